"""The steps of one promotion: judged, advanced from, and watched after the last one."""

from pytest_deploygate.core.comparison import StepDecision
from pytest_deploygate.core.state_machine import Judged, State
from pytest_deploygate.core.verdict import Reason, ReasonCode
from pytest_deploygate.engine.permits import PhasePermits
from pytest_deploygate.engine.rollout import Rollout
from pytest_deploygate.judge.context import SessionContext
from pytest_deploygate.judge.serving_watch import watch_serving
from pytest_deploygate.judge.step_watch import StepWatch, recorded_step
from pytest_deploygate.wiring import open_metrics


def walk_steps(context: SessionContext, rollout: Rollout, permits: PhasePermits) -> Reason | None:
    """Take the rollout from the step that it waits at to the end of its steps; the reason if it must go back.

    Raises:
        DeployGateError: a shift failed, or the record cannot be written.
        SessionOver: the session ended meanwhile.
    """
    step = rollout.step
    if step is None or not any(one.wait or one.watch for one in rollout.ports.settings.steps):
        return None
    metrics = open_metrics(context.settings, context.environment, rollout.ports.clock)
    while rollout.state is State.STEPPING:
        permits.permit()
        verdict = StepWatch(context, metrics, rollout).watch()
        steps = (*rollout.record.steps, recorded_step(verdict))
        warnings = {**rollout.record.warnings, **verdict.look.warnings}
        rollout.update(rollout.record._replace(steps=steps, warnings=warnings))
        if context.recorder.doubts:
            return Reason(code=ReasonCode.EVIDENCE_INCOMPLETE, sentence=context.recorder.doubts[0])
        if verdict.decision is not StepDecision.ADVANCE:
            return verdict.reason
        permits.permit(Judged.STEP)
        rollout.advance_step()
    last = rollout.step
    if rollout.state is not State.SERVING or last is None or not last.watch:
        return None
    recorded, reason = watch_serving(context, metrics, rollout)
    rollout.update(rollout.record._replace(steps=(*rollout.record.steps, recorded)))
    return reason
