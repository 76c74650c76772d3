"""What all flows of a session share: their protocol, and evidence in the record."""

from typing import Protocol

from pytest_deploygate.config.display import written_settings
from pytest_deploygate.config.setting_changes import recorded_settings
from pytest_deploygate.core.documentation import stranded_advice
from pytest_deploygate.core.errors import TargetRefused
from pytest_deploygate.core.evidence import CheckState
from pytest_deploygate.core.record import FAILURE_NOTE, SETTING_NOTE, RecordedGate, RolloutRecord
from pytest_deploygate.core.state_machine import State
from pytest_deploygate.core.verdict import PhaseVerdict, ReasonCode
from pytest_deploygate.engine.engine_context import Ports
from pytest_deploygate.engine.recovery import wait_for_orphaned_deployment
from pytest_deploygate.judge.context import SessionContext
from pytest_deploygate.judge.reporting.session_result import SessionResult
from pytest_deploygate.wiring import recover


class Flow(Protocol):
    """A session's plot: :meth:`run` between collection and session end, :meth:`conclude` at session end."""

    def run(self) -> None:
        """Run the phases; errors of the package are kept for the result."""
        ...

    def conclude(self, *, is_complete: bool) -> SessionResult:
        """Bring everything to an end that says who serves. ``is_complete`` is False for a session cut short."""
        ...


def with_verdict(record: RolloutRecord, verdict: PhaseVerdict) -> RolloutRecord:
    """The record with what one phase showed: gates, measurements, and every check that did not pass.

    What was recorded of the phase before is replaced.
    """
    evidence = verdict.evidence
    gates = {r.gate.name: RecordedGate(score=r.score, outcome=r.outcome) for r in verdict.gates}
    states = dict(check for checks in evidence.checks.values() for check in checks)
    before = {check: state for check, state in record.not_passed.items() if check not in states}
    bad = {check: state for check, state in states.items() if state is not CheckState.PASSED}
    # the states, which are typed, are what a policy ratchet counts; last day and reason are for people
    defects = {f"known_defect.{it.check}": str(it) for it in evidence.expected_failures}
    failures = {f"{FAILURE_NOTE}{check}": why for check, why in evidence.failures.items()}
    return record._replace(
        scores={**record.scores, evidence.phase: verdict.score},
        gates={**record.gates, **gates},
        measurements={**record.measurements, evidence.phase: evidence.measurements},
        not_passed=before | bad,
        warnings={**record.warnings, **warnings_of(verdict)},
        notes={**record.notes, **defects, **failures},
    )


def warnings_of(verdict: PhaseVerdict) -> dict[str, str]:
    """What rules that only warn would have decided, by rule."""
    of_gates = (ReasonCode.GATE_FAILED, ReasonCode.GATE_UNKNOWN)
    return {
        f"{'gate' if reason.code in of_gates else 'trigger'}.{reason.subject}": reason.sentence
        for reason in verdict.warnings
    }


def settings_notes(context: SessionContext) -> dict[str, str]:
    """The settings of the environment as notes of a record, for later plans to compare with."""
    written = tuple(written_settings(context.environment, context.settings.root))
    return {f"{SETTING_NOTE}{key}": text for key, text in recorded_settings(written).items()}


def posting_note(record: RolloutRecord) -> str:
    """Say through which revisions checks wrote: where a verification revision did, none has production settings."""
    if record.candidate is None:
        return "no revision was staged"
    if record.verification is None:
        return f"checks posted with production settings, through {record.candidate}"
    variants = (f"{revision} (variant {name})" for name, revision in record.variants.items())
    through = " and ".join([record.verification, *variants])
    return f"nothing was posted with production settings: checks wrote through {through} alone"


def recover_open_rollouts(context: SessionContext, ports: Ports) -> None:
    """Bring to an end what dead processes left.

    Raises:
        TargetRefused: one of them is stranded.
    """
    recovered = recover(ports, wait_s=context.options.wait_s, progress=context.terminal.step)
    if wait_for_orphaned_deployment(ports, context.terminal.step):
        recovered += recover(ports, wait_s=context.options.wait_s, progress=context.terminal.step)
    for one in recovered:
        context.terminal.line(
            f"deploygate: recovered {one.rollout_id}: {one.state.value}: {one.sentence}"
        )
    if context.telemetry.trace is not None:
        records = [ports.store.rollout(one.rollout_id) for one in recovered]
        context.telemetry.trace.send_all(filter(None, records))
    stranded = [one for one in recovered if one.state is State.STRANDED]
    if stranded:
        raise TargetRefused(
            f"rollout {stranded[0].rollout_id} is stranded: {stranded[0].sentence}",
            hint=stranded_advice(ports.environment),
        )
