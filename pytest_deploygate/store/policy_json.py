"""The policy that judged a rollout as JSON and back: names, thresholds, exemptions; not where its checks are."""

from fractions import Fraction
from typing import Any

from pytest_deploygate.core.duration import Duration
from pytest_deploygate.core.enforcement import Enforcement
from pytest_deploygate.core.engine_settings import TrafficStep
from pytest_deploygate.core.identifiers import Phase, Severity
from pytest_deploygate.core.margin import Margin
from pytest_deploygate.core.objective import Objective
from pytest_deploygate.core.policy import (
    Asking,
    Condition,
    Gate,
    Leniency,
    PhasePolicy,
    Policy,
    Trigger,
)
from pytest_deploygate.core.ratchet import RecordedPolicy


def policy_document(recorded: RecordedPolicy) -> dict[str, object]:
    """Members of the JSON object."""
    policy = recorded.policy
    return {
        "gates": {gate.name: _gate_document(gate) for gate in policy.gates},
        "phases": {
            phase.value: {"threshold": str(one.threshold), "budget_s": one.budget_s}
            for phase, one in policy.phases.items()
        },
        "triggers": {
            trigger.name: {
                "conditions": [condition.text for condition in trigger.conditions],
                "severity": trigger.severity.value,
                "needed_in": [phase.value for phase in trigger.needed_in],
                "enforce": trigger.enforce.value,
            }
            for trigger in policy.triggers
        },
        "objectives": {one.name: _objective_document(one) for one in policy.objectives},
        "known_defects": dict(recorded.known_defects),
        "unchecked_files": list(recorded.unchecked_files),
        "approval": recorded.approval,
        "left_out_checks": {g: list(checks) for g, checks in recorded.left_out_checks.items()},
        "steps": [_step_document(step) for step in recorded.steps]
        if recorded.steps is not None
        else None,
    }


def _gate_document(gate: Gate) -> dict[str, object]:
    return {
        "phase": gate.phase.value,
        "threshold": str(gate.threshold),
        "weight": str(gate.weight),
        "required": gate.required,
        "least_checks": gate.least_checks,
        "skips": gate.skips.value,
        "flaky": gate.flaky.value,
        "asks": gate.asks.value,
        "enforce": gate.enforce.value,
    }


def _objective_document(objective: Objective) -> dict[str, object]:
    quantile = objective.quantile
    return {
        "metric": objective.metric,
        "worse_by": str(objective.worse_by),
        "quantile": str(quantile) if quantile is not None else None,
        "better": objective.better,
        "up_to": str(objective.up_to),
        "confidence": str(objective.confidence),
        "enforce": objective.enforce.value,
    }


def policy_from(data: dict[str, Any]) -> RecordedPolicy:
    """What :func:`policy_document` wrote.

    Raises:
        AttributeError, KeyError, TypeError, ValueError: it is not of that form.
    """
    return RecordedPolicy(
        policy=Policy(
            gates=tuple(_gate(name, one) for name, one in data["gates"].items()),
            phases={
                Phase(phase): PhasePolicy(
                    threshold=Fraction(one["threshold"]), budget_s=one["budget_s"]
                )
                for phase, one in data["phases"].items()
            },
            triggers=tuple(
                Trigger(
                    name=name,
                    conditions=tuple(map(Condition.parse, one["conditions"])),
                    severity=Severity(one["severity"]),
                    needed_in=tuple(map(Phase, one["needed_in"])),
                    enforce=Enforcement(one["enforce"]),
                )
                for name, one in data["triggers"].items()
            ),
            objectives=tuple(_objective(name, one) for name, one in data["objectives"].items()),
        ),
        known_defects=dict(data["known_defects"]),
        unchecked_files=tuple(data["unchecked_files"]),
        approval=data.get("approval", ""),
        left_out_checks={
            gate: tuple(checks) for gate, checks in data.get("left_out_checks", {}).items()
        },
        steps=tuple(map(_step, steps)) if (steps := data.get("steps")) is not None else None,
    )


def _step_document(step: TrafficStep) -> dict[str, object]:
    times = {"wait": step.wait, "at_most": step.at_most, "watch": step.watch}
    return {
        **step._asdict(),
        **{name: int(one) if one is not None else None for name, one in times.items()},
    }


def _step(data: dict[str, Any]) -> TrafficStep:
    times = {
        name: Duration(data[name]) if data[name] is not None else None
        for name in ("wait", "at_most", "watch")
    }
    return TrafficStep(**{**data, **times})


def _gate(name: str, data: dict[str, Any]) -> Gate:
    return Gate(
        name=name,
        phase=Phase(data["phase"]),
        threshold=Fraction(data["threshold"]),
        weight=Fraction(data["weight"]),
        required=data["required"],
        least_checks=data["least_checks"],
        skips=Leniency(data["skips"]),
        flaky=Leniency(data["flaky"]),
        asks=Asking(data["asks"]),
        enforce=Enforcement(data["enforce"]),
    )


def _objective(name: str, data: dict[str, Any]) -> Objective:
    quantile = data["quantile"]
    return Objective(
        name=name,
        metric=data["metric"],
        worse_by=Margin.parse(data["worse_by"]),
        quantile=Fraction(quantile) if quantile is not None else None,
        better=data.get("better", "lower"),
        up_to=Fraction(data.get("up_to", 1)),
        confidence=Fraction(data["confidence"]),
        enforce=Enforcement(data["enforce"]),
    )
