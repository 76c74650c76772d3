"""What all flows of a session share: their protocol, endings of errors, evidence in the record."""

import contextlib
from dataclasses import replace
from typing import Protocol

import pytest

from pytest_deploygate.core.errors import ConfigError, DeployGateError, ExitStatus
from pytest_deploygate.core.record import RolloutRecord
from pytest_deploygate.core.rollout import State
from pytest_deploygate.core.verdict import PhaseVerdict, Reason, ReasonCode
from pytest_deploygate.engine import Ledgered, reason_for
from pytest_deploygate.reporting import Ending


class Flow(Protocol):
    """A session's plot: :meth:`run` between collection and session end, :meth:`settle` at session end."""

    def run(self, session: pytest.Session) -> None:
        """Run the phases; errors of the package are kept for the ending."""
        ...

    def settle(self, *, is_complete: bool) -> Ending:
        """Bring everything to an end that says who serves. ``is_complete`` is False for a session cut short."""
        ...


def ending_for(error: DeployGateError) -> Ending:
    """How a session ends that could not act."""
    status = ExitStatus.USAGE if isinstance(error, ConfigError) else ExitStatus.COULD_NOT_ACT
    lines = (f"hint: {error.hint}",) if error.hint else ()
    return Ending(
        verdict="REFUSE",
        state=State.REFUSED.value,
        reason=reason_for(error, ReasonCode.COULD_NOT_ACT),
        status=status,
        lines=lines,
    )


def ending_without_lease(rollout: Ledgered, error: DeployGateError | None) -> Ending:
    """How a session ends whose lease went to somebody else: nothing is done here any more, so what serves is looked up.

    The status is STRANDED unless what served before serves; whoever holds the lease, or ``recover``, settles the rest.
    """
    record = rollout.record
    serving, is_restored = None, False
    with contextlib.suppress(DeployGateError):
        now = rollout.ports.target.snapshot()
        serving = now.serving.sole
        existed = record.facts.get("existed", "true") == "true"
        is_restored = serving == record.baseline if existed else not now.is_public
    sentence = error.message if error is not None else f"the rollout was left {record.state.value}"
    return Ending(
        verdict="ROLL_BACK",
        state="PENDING",
        reason=Reason(code=ReasonCode.COULD_NOT_ACT, sentence=sentence),
        status=ExitStatus.COULD_NOT_ACT if is_restored else ExitStatus.STRANDED,
        record=replace(record, serving=serving),
        lines=(
            f"serving: {serving or 'not known'}",
            f"what this rollout left is settled by: deploygate recover {record.environment}",
        ),
    )


def with_verdict(record: RolloutRecord, verdict: PhaseVerdict) -> RolloutRecord:
    """The record with what one phase showed: gates, measurements, and every check that did not pass."""
    gates = {r.gate.name: f"{r.score} {r.outcome.value}" for r in verdict.gates}
    measured = {
        f"{verdict.evidence.phase.value}.{m.name}": f"{float(m.value):.9g} {m.unit}".strip()
        for m in verdict.evidence.measurements
    }
    states = {
        f"check.{check}": state.value
        for checks in verdict.evidence.checks.values()
        for check, state in checks
        if state.value != "passed"
    }
    score = f"{float(verdict.score):.6f}"
    return replace(
        record,
        score=score,
        gates={**record.gates, **gates},
        measurements={**record.measurements, **measured},
        facts={**record.facts, **states, f"score.{verdict.evidence.phase.value}": score},
    )
