"""What all flows of a session share: their protocol, and evidence in the record."""

from typing import Protocol

from pytest_deploygate.core.evidence import BY_PLATFORM, Measurement
from pytest_deploygate.core.record import RolloutRecord
from pytest_deploygate.core.verdict import PhaseVerdict
from pytest_deploygate.judge.reporting.session_result import SessionResult


class Flow(Protocol):
    """A session's plot: :meth:`run` between collection and session end, :meth:`settle` at session end."""

    def run(self) -> None:
        """Run the phases; errors of the package are kept for the ending."""
        ...

    def settle(self, *, is_complete: bool) -> SessionResult:
        """Bring everything to an end that says who serves. ``is_complete`` is False for a session cut short."""
        ...


def with_verdict(record: RolloutRecord, verdict: PhaseVerdict) -> RolloutRecord:
    """The record with what one phase showed: gates, measurements, and every check that did not pass."""
    gates = {r.gate.name: f"{r.score} {r.outcome.value}" for r in verdict.gates}
    measured = {
        f"{verdict.evidence.phase.value}.{_name_of(m)}": f"{float(m.value):.9g} {m.unit}".strip()
        for m in verdict.evidence.measurements
    }
    states = {
        f"check.{check}": state.value
        for checks in verdict.evidence.checks.values()
        for check, state in checks
        if state.value != "passed"
    }
    score = f"{float(verdict.score):.6f}"
    return record._replace(
        score=score,
        gates={**record.gates, **gates},
        measurements={**record.measurements, **measured},
        facts={**record.facts, **states, f"score.{verdict.evidence.phase.value}": score},
    )


def _name_of(measurement: Measurement) -> str:
    """Its name, with the revision where the platform measured it."""
    if measurement.is_by_platform:
        return f"{measurement.name}@{measurement.check.removeprefix(BY_PLATFORM)}"
    return measurement.name
