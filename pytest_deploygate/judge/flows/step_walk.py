"""The steps of one promotion: judged, advanced from, and watched after the last one.

At each step the gates of the step phase run first. The minutes that are compared begin after that, so they do not
include the requests of the gates.
"""

from dataclasses import replace

from pytest_deploygate.core.comparison import StepDecision
from pytest_deploygate.core.identifiers import Phase
from pytest_deploygate.core.record import RecordedStep
from pytest_deploygate.core.state_machine import Judged, State
from pytest_deploygate.core.step_command import CommandKind
from pytest_deploygate.core.verdict import PhaseVerdict, Reason, ReasonCode
from pytest_deploygate.engine.permits import PhasePermits
from pytest_deploygate.engine.rollout import Rollout
from pytest_deploygate.engine.staging import Staged
from pytest_deploygate.judge.context import SessionContext
from pytest_deploygate.judge.flows.base import with_verdict
from pytest_deploygate.judge.serving_watch import watch_serving
from pytest_deploygate.judge.step_orders import StepOrders
from pytest_deploygate.judge.step_watch import StepWatch, recorded_step
from pytest_deploygate.ports import Metrics
from pytest_deploygate.wiring import open_metrics


def walk_steps(
    context: SessionContext, rollout: Rollout, permits: PhasePermits, staged: Staged
) -> Reason | None:
    """Take the rollout from the step that it waits at to the end of its steps; the reason if it must go back.

    Raises:
        DeployGateError: a shift failed, or the record cannot be written.
        SessionOver: the session ended meanwhile.
    """
    settings = rollout.ports.settings
    if rollout.step is None or not any(settings.is_judged(s) or s.watch for s in settings.steps):
        return None
    metrics = open_metrics(context.settings, context.environment, rollout.ports.clock)
    while rollout.state is State.STEPPING:
        permits.permit()
        reason = _judge_step(context, rollout, staged, metrics)
        if reason is not None:
            return reason
        permits.permit(Judged.STEP)
        rollout.advance_step()
    last = rollout.step
    if rollout.state is not State.SERVING or not last.watch:
        return None
    recorded, reason = watch_serving(context, metrics, rollout)
    rollout.update(rollout.record._replace(steps=(*rollout.record.steps, recorded)))
    return reason


def _judge_step(
    context: SessionContext, rollout: Rollout, staged: Staged, metrics: Metrics | None
) -> Reason | None:
    """Judge the current step by its gates, then by its figures; record it, and say why it must go back."""
    assert rollout.step is not None
    step, clock = rollout.step, rollout.ports.clock
    began = clock.monotonic()
    recorded = RecordedStep(
        percent=step.percent, decision=StepDecision.ADVANCE.value, reason="", seconds=0
    )
    reason: Reason | None = None
    if rollout.ports.settings.has_step_gates:
        verdict = _run_gates(context, rollout, staged)
        gates = {result.gate.name: result.sentence for result in verdict.gates}
        recorded = recorded._replace(gates=gates, reason=verdict.reason.sentence)
        reason = None if verdict.holds else verdict.reason
    orders = StepOrders(rollout)
    if step.wait and reason is None:
        watched = StepWatch(context, metrics, rollout, orders).watch()
        recorded = recorded_step(watched)._replace(gates=recorded.gates)
        warnings = {**rollout.record.warnings, **watched.look.warnings}
        rollout.update(rollout.record._replace(warnings=warnings))
        if context.recorder.doubts:
            sentence = context.recorder.doubts[0]
            reason = Reason(code=ReasonCode.EVIDENCE_INCOMPLETE, sentence=sentence)
        elif watched.decision is not StepDecision.ADVANCE:
            reason = watched.reason
    elif reason is None:
        reason = _abort_ordered(orders)
    if reason is not None and recorded.decision == StepDecision.ADVANCE.value:
        recorded = recorded._replace(decision=StepDecision.ABORT.value)
        recorded = recorded._replace(reason=reason.sentence)
    recorded = recorded._replace(seconds=round(clock.monotonic() - began, 3))
    ordered = {f"step.{step.percent}.{one.kind.value}": one.sentence for one in orders.seen}
    record = rollout.record
    rollout.update(
        record._replace(steps=(*record.steps, recorded), notes={**record.notes, **ordered})
    )
    return reason


def _abort_ordered(orders: StepOrders) -> Reason | None:
    """Why a step that does not wait must go back, if an operator ordered it meanwhile."""
    command = orders.read()
    if command is None or command.kind is not CommandKind.ABORT:
        return None
    return Reason(code=ReasonCode.REQUESTED, sentence=command.sentence)


def _run_gates(context: SessionContext, rollout: Rollout, staged: Staged) -> PhaseVerdict:
    """Run the gates of the step phase against the public URL and the candidate's own; record what they showed."""
    assert rollout.step is not None
    context.recorder.step = rollout.step.percent
    deployment = context.staged(rollout.ports.target, staged, rollout.snapshot, Phase.STEP)
    verdict = context.run_phase(Phase.STEP, replace(deployment, step_percent=rollout.step.percent))
    rollout.update(with_verdict(rollout.record, verdict))
    context.tell_verdict(rollout.record, verdict)
    return verdict
