"""The steps of one promotion: judged, advanced from, and watched after the last one.

At each step the gates of the step phase run first. The minutes that are compared begin after that, so they do not
include the requests of the gates.
"""

from pytest_deploygate.core.comparison import StepDecision
from pytest_deploygate.core.identifiers import Phase
from pytest_deploygate.core.measured_comparison import MeasuredPairs, pair_measurements
from pytest_deploygate.core.record import STEP_NOTE, RecordedStep
from pytest_deploygate.core.state_machine import Judged, State
from pytest_deploygate.core.step_command import CommandKind
from pytest_deploygate.core.verdict import PhaseVerdict, Reason, ReasonCode
from pytest_deploygate.engine.permits import PhasePermits
from pytest_deploygate.engine.rollout import Rollout
from pytest_deploygate.engine.staging import Staged
from pytest_deploygate.judge.context import SessionContext
from pytest_deploygate.judge.flows.flow_interface import with_verdict
from pytest_deploygate.judge.serving_watch import watch_serving
from pytest_deploygate.judge.step_orders import StepOrders
from pytest_deploygate.judge.step_watch import StepWatch, recorded_step
from pytest_deploygate.ports import Metrics
from pytest_deploygate.telemetry.event_log import log_step
from pytest_deploygate.wiring import open_metrics


def walk_steps(
    context: SessionContext, rollout: Rollout, permits: PhasePermits, staged: Staged
) -> Reason | None:
    """Take the rollout from the step that it waits at to the end of its steps; the reason if it must go back.

    With ``--deploy-detach`` it stays STEPPING at the first step that must wait.

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
        reason, must_wait = _judge_step(context, rollout, staged, metrics)
        if reason is not None or must_wait:
            return reason
        permits.permit(Judged.STEP)
        rollout.advance_step()
    last = rollout.step
    if rollout.state is not State.SERVING or not last.watch:
        return None
    recorded, reason, warned = watch_serving(context, metrics, rollout)
    record = rollout.record
    warnings = {**record.warnings, **warned}
    rollout.update(record._replace(steps=(*record.steps, recorded), warnings=warnings))
    return reason


def _judge_step(
    context: SessionContext, rollout: Rollout, staged: Staged, metrics: Metrics | None
) -> tuple[Reason | None, bool]:
    """Judge the current step by its gates, then by its figures, and record it.

    Returns why it must go back, if it must, and whether it must wait without a process.
    """
    assert rollout.step is not None
    step, clock = rollout.step, rollout.ports.clock
    before = [one for one in rollout.record.steps if one.percent != step.percent]
    left = [one for one in rollout.record.steps if one.percent == step.percent]
    began = clock.monotonic()
    recorded = RecordedStep(
        percent=step.percent, decision=StepDecision.ADVANCE.value, reason="", seconds=0
    )
    reason: Reason | None = None
    if left:  # another session ran the gates of this step
        last = left[-1]
        recorded = recorded._replace(
            gates=last.gates, measured=last.measured, began_at=last.began_at
        )
    elif rollout.ports.settings.has_step_gates:
        verdict = _run_gates(context, rollout, staged)
        gates = {result.gate.name: result.sentence for result in verdict.gates}
        recorded = recorded._replace(
            gates=gates,
            reason=verdict.reason.sentence,
            measured=_measured_pairs(context, verdict),
        )
        reason = None if verdict.holds else verdict.reason
    orders = StepOrders(rollout)
    if step.wait and reason is None:
        recorded, reason = _watch_step(context, rollout, metrics, orders, recorded)
    else:
        reason = reason or _abort_ordered(orders)
        recorded = recorded._replace(seconds=round(clock.monotonic() - began, 3))
    if reason is not None:
        recorded = recorded._replace(decision=StepDecision.ABORT.value, reason=reason.sentence)
    ordered = {f"{STEP_NOTE}{step.percent}.{one.kind.value}": one.sentence for one in orders.seen}
    record = rollout.record
    notes = {**record.notes, **ordered}
    rollout.update(record._replace(steps=(*before, recorded), notes=notes))
    log_step(rollout.record, recorded)
    return reason, reason is None and recorded.decision == StepDecision.HOLD.value


def _watch_step(
    context: SessionContext,
    rollout: Rollout,
    metrics: Metrics | None,
    orders: StepOrders,
    recorded: RecordedStep,
) -> tuple[RecordedStep, Reason | None]:
    """Compare both revisions until the step is decided, or once if it may be left."""
    watch = StepWatch(
        context,
        metrics,
        rollout,
        orders,
        measured=recorded.measured,
        began_at=recorded.began_at,
        may_wait=not context.options.detaches,
    )
    watched = watch.watch()
    warnings = {**rollout.record.warnings, **watch.warnings}
    rollout.update(rollout.record._replace(warnings=warnings))
    found = recorded_step(watched)._replace(
        gates=recorded.gates,
        measured=recorded.measured,
        began_at=watch.began_at,
    )
    if context.recorder.doubts:
        sentence = context.recorder.doubts[0]
        return found, Reason(code=ReasonCode.EVIDENCE_INCOMPLETE, sentence=sentence)
    return found, watched.reason if watched.decision is StepDecision.ABORT else None


def _measured_pairs(context: SessionContext, verdict: PhaseVerdict) -> dict[str, MeasuredPairs]:
    """By objective, what the checks of this step measured of both sides."""
    return {
        one.name: pair_measurements(one, verdict.evidence.measurements)
        for one in context.settings.policy.objectives
        if one.is_measured
    }


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
    deployment = context.deployment_at_step(rollout, staged)
    verdict = context.run_phase(Phase.STEP, deployment)
    rollout.update(with_verdict(rollout.record, verdict))
    context.tell_verdict(rollout.record, verdict)
    return verdict
