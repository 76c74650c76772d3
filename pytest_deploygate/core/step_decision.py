"""Decides one evaluation of a step: advance, hold, or abort (ADR 30).

The first rule that holds decides:

1. ABORT: an operator ordered it, a trigger fired, or an objective is worse than its margin;
2. HOLD: an operator or something else (a freeze) blocks the step;
3. ADVANCE: an operator ordered it;
4. HOLD: the figures cover less than the step's ``for`` or cannot be read, the candidate had fewer than
   ``least-requests``, an objective is undecided, or an operator must approve and did not;
5. ADVANCE: otherwise.

A HOLD that lasts for ``at-most`` is never a pass: it becomes ABORT, unless the step has ``undecided = "advance"`` and
the figures, which could be read, are too few.
"""

from dataclasses import dataclass, replace

from pytest_deploygate.core.comparison import ObjectiveResult, StepDecision
from pytest_deploygate.core.enforcement import Enforcement
from pytest_deploygate.core.engine_settings import TrafficStep
from pytest_deploygate.core.step_command import CommandKind, StepCommand
from pytest_deploygate.core.triggers import Firing, TriggerResult, warnings_of
from pytest_deploygate.core.verdict import Reason, ReasonCode


@dataclass(frozen=True, slots=True, kw_only=True)
class StepLook:
    """Data of one evaluation of a step.

    ``elapsed_s`` is the time since the candidate got the traffic, ``covered_s`` the part of it that the figures cover,
    ``late_s`` their delay. ``problem`` says why they could not be read, ``unmeasured`` why an objective cannot be
    judged on what the checks measured, ``blocked`` what else blocks the step, ``command`` what an operator ordered
    last. ``approval_command`` is what an operator types to approve the step; empty if it needs no approval.
    """

    step: TrafficStep
    elapsed_s: float
    covered_s: float
    late_s: float = 0
    candidate_requests: int = 0
    baseline_requests: int = 0
    results: tuple[ObjectiveResult, ...] = ()
    triggers: tuple[TriggerResult, ...] = ()
    problem: str = ""
    unmeasured: str = ""
    blocked: str = ""
    command: StepCommand | None = None
    approval_command: str = ""

    @property
    def waits_for_approval(self) -> bool:
        """Whether an operator must still approve that the candidate gets more traffic."""
        kind = self.command.kind if self.command is not None else None
        return bool(self.approval_command) and kind not in (
            CommandKind.APPROVE,
            CommandKind.ADVANCE,
        )

    @property
    def enforced(self) -> tuple[ObjectiveResult, ...]:
        """Results of the objectives that decide."""
        return tuple(r for r in self.results if r.objective.enforce is Enforcement.BLOCK)

    @property
    def warnings(self) -> dict[str, str]:
        """By name, the reasons for which objectives and triggers with ``enforce = "warn"`` would abort."""
        found = {
            f"objective.{r.objective.name}": r.sentence
            for r in self.results
            if r.decision is StepDecision.ABORT and r.objective.enforce is Enforcement.WARN
        }
        return found | warnings_of(self.triggers)


@dataclass(frozen=True, slots=True, kw_only=True)
class StepVerdict:
    """A judged evaluation; ``reason`` is the rule that decided. ``is_undecided``: the time is up without a result."""

    look: StepLook
    decision: StepDecision
    reason: Reason
    is_undecided: bool = False


def decide_step(look: StepLook) -> StepVerdict:
    """Judge one evaluation by the rules of this module."""
    worse = [r for r in look.enforced if r.decision is StepDecision.ABORT]
    fired = [
        t
        for t in look.triggers
        if t.firing is Firing.FIRED and t.trigger.enforce is Enforcement.BLOCK
    ]
    ordered = look.command.kind if look.command is not None else None
    if look.command is not None and ordered is CommandKind.ABORT:
        reason = Reason(code=ReasonCode.REQUESTED, sentence=look.command.sentence)
        return StepVerdict(look=look, decision=StepDecision.ABORT, reason=reason)
    if fired:
        reason = Reason(
            code=ReasonCode.TRIGGER_FIRED, sentence=fired[0].sentence, subject=fired[0].trigger.name
        )
        return StepVerdict(look=look, decision=StepDecision.ABORT, reason=reason)
    if worse:
        reason = Reason(
            code=ReasonCode.WORSE_THAN_BASELINE,
            sentence=worse[0].sentence,
            subject=worse[0].objective.name,
        )
        return StepVerdict(look=look, decision=StepDecision.ABORT, reason=reason)
    held = _why_held(look)
    if look.command is not None and ordered is CommandKind.ADVANCE and not look.blocked:
        told = f"{look.command.sentence}; before that: {held}" if held else look.command.sentence
        reason = Reason(code=ReasonCode.REQUESTED, sentence=told)
        return StepVerdict(
            look=look, decision=StepDecision.ADVANCE, reason=reason, is_undecided=bool(held)
        )
    if held:
        reason = Reason(code=ReasonCode.STEP_UNDECIDED, sentence=held)
        verdict = StepVerdict(look=look, decision=StepDecision.HOLD, reason=reason)
        is_over = look.elapsed_s >= look.step.longest_s + look.late_s
        return _time_is_up(verdict) if is_over else verdict
    told = "; ".join(result.sentence for result in look.enforced)
    reason = Reason(code=ReasonCode.HELD, sentence=told)
    return StepVerdict(look=look, decision=StepDecision.ADVANCE, reason=reason)


def _why_held(look: StepLook) -> str:
    """Why the step must hold; empty if it need not."""
    step = look.step
    if look.blocked:
        return look.blocked
    if look.command is not None and look.command.kind is CommandKind.HOLD:
        return look.command.sentence
    if look.problem:
        return f"the platform's figures cannot be read: {look.problem}"
    if look.unmeasured:
        return look.unmeasured
    if look.candidate_requests < step.least_requests:
        return (
            f"the candidate had {look.candidate_requests} requests, "
            f"the step needs {step.least_requests}"
        )
    undecided = [r for r in look.enforced if r.decision is StepDecision.HOLD]
    if undecided:
        return undecided[0].sentence
    if look.covered_s < (step.wait or 0):
        return f"the figures cover {look.covered_s:.0f} s of {step.wait}"
    if look.waits_for_approval:
        return f"the evidence suffices, and an operator must approve: {look.approval_command}"
    return ""


def _time_is_up(verdict: StepVerdict) -> StepVerdict:
    look = verdict.look
    is_kept = (
        bool(look.blocked or look.problem)
        or look.waits_for_approval
        or (look.command is not None and look.command.kind is CommandKind.HOLD)
    )
    may_advance = look.step.undecided == "advance" and not is_kept
    told = f"undecided after {look.elapsed_s:.0f} s at {look.step.percent} %"
    if may_advance:
        told = f'{told}, and the step says undecided = "advance"'
    return replace(
        verdict,
        decision=StepDecision.ADVANCE if may_advance else StepDecision.ABORT,
        reason=replace(verdict.reason, sentence=f"{told}: {verdict.reason.sentence}"),
        is_undecided=True,
    )
