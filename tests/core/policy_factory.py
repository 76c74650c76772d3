"""Short functions that create policies and evidence."""

from collections.abc import Mapping, Sequence
from fractions import Fraction

from pytest_deploygate.core.evidence import CheckState, Evidence
from pytest_deploygate.core.identifiers import Phase, Severity
from pytest_deploygate.core.measurement import Measurement
from pytest_deploygate.core.policy import (
    Asking,
    Condition,
    Gate,
    Leniency,
    PhasePolicy,
    Policy,
    Trigger,
)

P = CheckState.PASSED


def a_gate(
    name: str = "g",
    *,
    threshold: str = "1",
    weight: str = "1",
    required: bool = True,
    least: int = 1,
    skips: Leniency = Leniency.FAIL,
    flaky: Leniency = Leniency.FAIL,
    phase: Phase = Phase.CANDIDATE,
    asks: Asking = Asking.NOTHING,
) -> Gate:
    return Gate(
        name=name,
        phase=phase,
        paths=(name,),
        threshold=Fraction(threshold),
        weight=Fraction(weight),
        required=required,
        least_checks=least,
        skips=skips,
        flaky=flaky,
        asks=asks,
    )


def a_policy(
    *gates: Gate, threshold: str = "0", triggers: tuple[Trigger, ...] = (), budget_s: int = 10
) -> Policy:
    phase = PhasePolicy(threshold=Fraction(threshold), budget_s=budget_s)
    return Policy(gates=gates, phases=dict.fromkeys(Phase, phase), triggers=triggers)


def a_trigger(
    *conditions: str,
    name: str = "t",
    severity: Severity = Severity.HIGH,
    needed_in: tuple[Phase, ...] = (Phase.LIVE,),
) -> Trigger:
    parsed = tuple(Condition.parse(text) for text in conditions)
    return Trigger(name=name, conditions=parsed, severity=severity, needed_in=needed_in)


def evidence_of(
    states: Mapping[str, Sequence[CheckState]],
    *,
    doubts: tuple[str, ...] = (),
    measured: tuple[Measurement, ...] = (),
    phase: Phase = Phase.CANDIDATE,
) -> Evidence:
    checks = {
        gate: tuple((f"{gate}.py::test_{i}", state) for i, state in enumerate(found))
        for gate, found in states.items()
    }
    return Evidence(phase=phase, checks=checks, measurements=measured, doubts=doubts)


def measured(name: str, value: object, unit: str = "") -> Measurement:
    return Measurement.of(name, value, unit=unit, check="c")
