"""Settings from ``[tool.deploygate]`` of pyproject.toml, checked by a JSON Schema.

Every error names the file, the key, what is wrong with it and what is allowed. Numbers are read as decimals, so that
a threshold of 0.95 is exactly 19/20.
"""

import hashlib
import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

from pytest_deploygate import FILE, settings_schema
from pytest_deploygate.core.errors import ConfigError
from pytest_deploygate.core.freeze import FreezeWindow
from pytest_deploygate.core.freeze import parse as parse_freeze
from pytest_deploygate.core.policy import (
    Condition,
    Gate,
    Leniency,
    PhasePolicy,
    Policy,
    StatisticsWindow,
    Trigger,
)
from pytest_deploygate.core.release import FunctionSpec
from pytest_deploygate.core.values import Digest, EnvironmentName, Phase, Severity
from pytest_deploygate.function_settings import spec_of
from pytest_deploygate.tables import (
    Table,
    as_table,
    fraction,
    integer,
    list_of,
    optional_integer,
    table_of,
    texts_of,
)

_DEFAULT_PHASES = {
    Phase.READINESS: PhasePolicy(threshold=Fraction("0.95"), budget_s=300),
    Phase.CANDIDATE: PhasePolicy(threshold=Fraction("0.75"), budget_s=300),
    Phase.LIVE: PhasePolicy(threshold=Fraction(1), budget_s=120),
}
STATE_FOLDER = ".deploygate"
CHECKED = "settings-checked"
"""In the state folder: which text of the settings was found right last."""
_MAPS = (
    "environment-variables",
    "verify-environment",
    "secrets",
    "labels",
    "build-environment-variables",
)
"""Tables of an environment that add to those of ``[tool.deploygate.function]``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Environment:
    """One place to deploy to. ``target`` is ``local``, ``google`` or the name of an entry point."""

    name: EnvironmentName
    target: str
    spec: FunctionSpec
    endpoint: str = ""
    port: int = 0
    steps: tuple[int, ...] = (100,)
    rolls_back: bool = True
    """Whether failing rollback-checks roll back, or only report."""
    rollout_budget_s: int = 600
    rollback_budget_s: int = 300
    lease_ttl_s: int = 60
    confirmations: int = 3
    secrets_file: str = ""
    services: Mapping[str, str] = field(default_factory=dict)
    freeze: tuple[FreezeWindow, ...] = ()
    approval: str = "none"
    statistics: StatisticsWindow = field(default_factory=StatisticsWindow)
    rehearsal_variables: Mapping[str, str] = field(default_factory=dict)
    """Environment variables that a rehearsal on the local cloud adds or replaces."""
    rehearsal_secrets_file: str = ""
    gates: Mapping[str, Table] = field(default_factory=dict)
    """What is otherwise about gates here, by name: ``skips``, ``least-checks``."""

    @property
    def config_digest(self) -> Digest:
        """Digest of everything that makes a revision apart from its source."""
        spec = self.spec
        facts = {
            name: getattr(spec, name)
            for name in FunctionSpec.__dataclass_fields__
            if name not in ("source", "secrets")
        }
        facts["secrets"] = {k: [s.project, s.name, s.version] for k, s in spec.secrets.items()}
        text = json.dumps(facts, sort_keys=True, default=dict)
        return Digest(hashlib.sha256(text.encode()).hexdigest())


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """All of ``[tool.deploygate]``. ``root`` is the directory of pyproject.toml; paths are relative to it."""

    root: Path
    policy: Policy
    environments: Mapping[str, Environment]
    default_environment: str
    state: str = ""
    prometheus_textfile: str = ""
    """Where metrics are left for node_exporter's textfile collector; empty for nowhere."""

    def environment(self, name: str) -> Environment:
        """The environment of that name.

        Raises:
            ConfigError: there is none; names those that exist.
        """
        try:
            return self.environments[name]
        except KeyError:
            raise ConfigError(
                f"unknown environment {name!r}",
                hint=f"environments in {self.root / FILE}: {', '.join(self.environments)}",
            ) from None

    def judging(self, environment: Environment) -> "Settings":
        """These settings with the policy as it is in ``environment``."""
        gates = tuple(
            replace(
                gate,
                skips=Leniency(own.get("skips", gate.skips)),
                least_checks=integer(own.get("least-checks"), gate.least_checks),
            )
            for gate in self.policy.gates
            for own in (environment.gates.get(gate.name, {}),)
        )
        return replace(self, policy=replace(self.policy, gates=gates))

    @property
    def state_dir(self) -> Path:
        """Where records, packages, backups and the local cloud live."""
        return self.root / STATE_FOLDER


def load(root: Path, *, is_checked: bool = False) -> Settings:
    """Read and check the settings of the project at ``root``; ``is_checked`` says that another process just has.

    Raises:
        ConfigError: the file is missing, is not TOML, or does not fit the schema.
    """
    path = root / FILE
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(
            f"{path}: cannot be read: {error.strerror}",
            hint="run pytest in the directory of a pyproject.toml with a [tool.deploygate] table",
        ) from error
    try:
        document = tomllib.loads(text, parse_float=Decimal)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path}: not valid TOML: {error}") from error
    table = document.get("tool", {}).get("deploygate")
    if table is None:
        raise ConfigError(
            f"{path}: there is no [tool.deploygate] table",
            hint="the guide in docs/guide.md starts with a minimal one",
        )
    if not is_checked:
        settings_schema.check(path, text, table, known=root / STATE_FOLDER / CHECKED)
    return _build(path, table)


# -- building ------------------------------------------------------------------------------------


def _build(path: Path, table: Table) -> Settings:
    root = path.parent
    environments = {
        name: _environment(path, EnvironmentName(name), table_of(table, "function"), as_table(raw))
        for name, raw in table_of(table, "environments").items()
    }
    default = str(table.get("default-environment", "local"))
    if "default-environment" in table and default not in environments:
        raise ConfigError(
            f"{path}: tool.deploygate.default-environment: {default!r} is not an environment "
            f"(there are: {', '.join(environments)})"
        )
    policy = _policy(path, table)
    _refuse_unknown_gates(path, policy, environments)
    return Settings(
        root=root,
        policy=policy,
        environments=environments,
        default_environment=default,
        state=str(table.get("state", "")),
        prometheus_textfile=str(table.get("prometheus-textfile", "")),
    )


def _policy(path: Path, table: Table) -> Policy:
    phases = dict(_DEFAULT_PHASES)
    for name, raw in table_of(table, "phases").items():
        phase, own = Phase(name), as_table(raw)
        default = phases[phase]
        phases[phase] = PhasePolicy(
            threshold=fraction(own.get("threshold"), default.threshold),
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
        threshold=fraction(own.get("threshold"), Fraction(1)),
        weight=fraction(own.get("weight"), Fraction(1)),
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


def _refuse_unknown_gates(
    path: Path, policy: Policy, environments: Mapping[str, Environment]
) -> None:
    known = [gate.name for gate in policy.gates]
    for name, environment in environments.items():
        for gate in environment.gates:
            if gate not in known:
                raise ConfigError(
                    f"{path}: tool.deploygate.environments.{name}.gates: there is no gate {gate!r} "
                    f"(there are: {', '.join(known)})"
                )


def _trigger(name: str, own: Table) -> Trigger:
    needed = own.get("needed-in")
    return Trigger(
        name=name,
        conditions=tuple(Condition.parse(str(c)) for c in list_of(own["fires-when"])),
        severity=Severity(own["severity"]),
        needed_in=(Phase.LIVE,) if needed is None else tuple(Phase(p) for p in list_of(needed)),
    )


def _environment(path: Path, name: EnvironmentName, base: Table, own: Table) -> Environment:
    merged: Table = {**base, **own}
    for key in _MAPS:
        if key in base or key in own:
            merged[key] = {**table_of(base, key), **table_of(own, key)}
    where = f"{path}: tool.deploygate.environments.{name}"
    steps = tuple(integer(s, 0) for s in list_of(merged.get("steps"))) or (100,)
    if list(steps) != sorted(set(steps)) or steps[-1] != 100:
        raise ConfigError(f"{where}.steps: must ascend and end with 100, got {list(steps)}")
    return Environment(
        name=name,
        target=str(merged["target"]),
        spec=spec_of(path.parent, where, merged),
        endpoint=str(merged.get("endpoint", "")),
        port=integer(merged.get("port"), 0),
        steps=steps,
        rolls_back=merged.get("on-failure", "roll-back") == "roll-back",
        rollout_budget_s=integer(merged.get("rollout-budget-s"), 600),
        rollback_budget_s=integer(merged.get("rollback-budget-s"), 300),
        lease_ttl_s=integer(merged.get("lease-ttl-s"), 60),
        confirmations=integer(merged.get("confirmations"), 3),
        secrets_file=str(merged.get("secrets-file", "")),
        services=texts_of(merged, "services"),
        freeze=_freeze(where, merged),
        approval=str(merged.get("approval", "none")),
        statistics=_statistics(table_of(merged, "statistics")),
        rehearsal_variables=texts_of(table_of(merged, "rehearsal"), "environment-variables"),
        rehearsal_secrets_file=str(table_of(merged, "rehearsal").get("secrets-file", "")),
        gates={gate: as_table(raw) for gate, raw in table_of(merged, "gates").items()},
    )


def _statistics(own: Table) -> StatisticsWindow:
    default = StatisticsWindow()
    return StatisticsWindow(
        window_s=integer(own.get("window-s"), default.window_s),
        lag_s=optional_integer(own.get("lag-s")),
        least_requests=integer(own.get("least-requests"), default.least_requests),
    )


def _freeze(where: str, own: Table) -> tuple[FreezeWindow, ...]:
    try:
        return tuple(parse_freeze(str(text)) for text in list_of(own.get("freeze")))
    except ConfigError as error:
        raise ConfigError(f"{where}.freeze: {error.message}", hint=error.hint) from error
