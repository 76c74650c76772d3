"""Reads phases, gates and triggers of the settings, already checked by the schema, into a policy."""

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

from pytest_deploygate.config.environment import Environment
from pytest_deploygate.config.toml_access import Table, Toml, as_table, integer, list_of, table_of
from pytest_deploygate.core.errors import ConfigError
from pytest_deploygate.core.identifiers import Phase, Severity
from pytest_deploygate.core.policy import Condition, Gate, Leniency, PhasePolicy, Policy, Trigger

_DEFAULT_PHASES = {
    Phase.READINESS: PhasePolicy(threshold=Fraction("0.95"), budget_s=300),
    Phase.CANDIDATE: PhasePolicy(threshold=Fraction("0.75"), budget_s=300),
    Phase.LIVE: PhasePolicy(threshold=Fraction(1), budget_s=120),
}


def policy_of(path: Path, table: Table) -> Policy:
    """The policy in ``table``, read from the file at ``path``.

    Raises:
        ConfigError: two gates have the same path.
    """
    phases = dict(_DEFAULT_PHASES)
    for name, raw in table_of(table, "phases").items():
        phase, own = Phase(name), as_table(raw)
        default = phases[phase]
        phases[phase] = PhasePolicy(
            threshold=_fraction(own.get("threshold"), default.threshold),
            budget_s=integer(own.get("budget-s"), default.budget_s),
        )
    gates = tuple(_gate(name, as_table(raw)) for name, raw in table_of(table, "gates").items())
    _refuse_shared_paths(path, gates)
    triggers = tuple(
        _trigger(name, as_table(raw)) for name, raw in table_of(table, "triggers").items()
    )
    return Policy(gates=gates, phases=phases, triggers=triggers)


def _gate(name: str, own: Table) -> Gate:
    return Gate(
        name=name,
        phase=Phase(own["phase"]),
        paths=tuple(str(p).rstrip("/") for p in list_of(own.get("paths"))),
        marker=str(own.get("marker", "")),
        threshold=_fraction(own.get("threshold"), Fraction(1)),
        weight=_fraction(own.get("weight"), Fraction(1)),
        required=bool(own.get("required", True)),
        least_checks=integer(own.get("least-checks"), 1),
        skips=Leniency(own.get("skips", "fail")),
        flaky=Leniency(own.get("flaky", "fail")),
    )


def _refuse_shared_paths(path: Path, gates: tuple[Gate, ...]) -> None:
    seen: dict[str, str] = {}
    for gate in gates:
        for place in gate.paths:
            if place in seen:
                raise ConfigError(
                    f"{path}: tool.deploygate.gates.{gate.name}.paths: {place} already belongs to "
                    f"gate {seen[place]}; a check belongs to one gate"
                )
            seen[place] = gate.name


def _trigger(name: str, own: Table) -> Trigger:
    needed = own.get("needed-in")
    return Trigger(
        name=name,
        conditions=tuple(Condition.parse(str(c)) for c in list_of(own["fires-when"])),
        severity=Severity(own["severity"]),
        needed_in=(Phase.LIVE,) if needed is None else tuple(Phase(p) for p in list_of(needed)),
    )


def judging(policy: Policy, environment: Environment) -> Policy:
    """``policy`` as it is in ``environment``."""
    gates = tuple(
        replace(
            gate,
            skips=Leniency(own.get("skips", gate.skips)),
            least_checks=integer(own.get("least-checks"), gate.least_checks),
        )
        for gate in policy.gates
        for own in (environment.gates.get(gate.name, {}),)
    )
    return replace(policy, gates=gates)


def _fraction(value: "Toml | None", default: Fraction) -> Fraction:
    """The value as an exact number."""
    return default if value is None else Fraction(str(value))
