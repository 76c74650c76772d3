"""Watches the candidate after the last step: it has all traffic, so triggers alone can end it, not a comparison."""

from collections.abc import Iterable

from pytest_deploygate.core.comparison import StepDecision
from pytest_deploygate.core.enforcement import Enforcement
from pytest_deploygate.core.identifiers import Phase
from pytest_deploygate.core.measurement import Measurement
from pytest_deploygate.core.record import RecordedStep
from pytest_deploygate.core.triggers import Firing, TriggerResult, evaluate, warnings_of
from pytest_deploygate.core.verdict import Reason, ReasonCode
from pytest_deploygate.engine.finalize import require_revision
from pytest_deploygate.engine.rollout import Rollout
from pytest_deploygate.judge.context import SessionContext
from pytest_deploygate.judge.step_watch import keep_warnings
from pytest_deploygate.ports import Metrics

_SHORTEST_WINDOW_S = 60
_LONGEST_POLL_S = 60.0
_REQUESTS = "request_count"


def watch_serving(
    context: SessionContext, metrics: Metrics | None, rollout: Rollout
) -> tuple[RecordedStep, Reason | None, dict[str, str]]:
    """Look at the candidate's figures until they cover the last step's ``watch``; a reason where it is to go back.

    Figures that cannot be read at the last look are no evidence: they are a reason. The last of what is returned are
    the triggers that only warn and fired, by name with their sentences.

    Raises:
        SessionOver: the session ended meanwhile.
        KeyboardInterrupt: a signal came.
    """
    step, clock = rollout.step, rollout.ports.clock
    assert step is not None
    watch_s = step.watch or 0
    late_s = metrics.lag_s if metrics is not None else 0
    candidate = require_revision(rollout.record.candidate, "candidate")
    began = clock.monotonic()
    context.terminal.step("watch", f"{candidate} for {step.watch}, figures come {late_s} s late")
    reason: Reason | None = None
    requests = 0
    warned: dict[str, str] = {}
    while True:
        elapsed_s = clock.monotonic() - began
        covered_s = elapsed_s - late_s
        problem = "" if metrics is not None else "its target has no figures"
        if metrics is not None and covered_s > 0:
            sample = metrics.sample(candidate, max(_SHORTEST_WINDOW_S, int(covered_s)))
            problem = sample.problems[0] if sample.problems else ""
            requests = _count_requests(sample.measurements, default=requests)
            results = evaluate(context.settings.policy.triggers, Phase.LIVE, sample.measurements)
            reason = _fired_trigger(results)
            keep_warnings(context.terminal, warnings_of(results), warned)
        is_over = covered_s >= watch_s
        if reason is None and is_over and problem:
            reason = _unreadable(problem)
        if reason is not None or is_over or context.recorder.doubts:
            break
        with context.signals.deliver_signals():
            context.session.wait(min(max(1.0, watch_s / 30), _LONGEST_POLL_S))
    told = reason.sentence if reason is not None else f"no trigger fired in {step.watch}"
    context.terminal.step("watch", f"{requests} requests: {told}")
    decision = StepDecision.ABORT if reason is not None else StepDecision.ADVANCE
    recorded = RecordedStep(
        percent=step.percent,
        decision=decision.value,
        reason=told,
        seconds=round(elapsed_s, 3),
        candidate_requests=requests,
    )
    return recorded, reason, warned


def _count_requests(measurements: Iterable[Measurement], *, default: int) -> int:
    return int(max((m.value for m in measurements if m.name == _REQUESTS), default=default))


def _unreadable(problem: str) -> Reason:
    sentence = f"the platform's figures cannot be read: {problem}"
    return Reason(code=ReasonCode.STEP_UNDECIDED, sentence=sentence)


def _fired_trigger(results: tuple[TriggerResult, ...]) -> Reason | None:
    """The first enforced trigger that fires on the candidate's figures."""
    for result in results:
        if result.firing is Firing.FIRED and result.trigger.enforce is Enforcement.BLOCK:
            return Reason(
                code=ReasonCode.TRIGGER_FIRED,
                sentence=result.sentence,
                subject=result.trigger.name,
            )
    return None
