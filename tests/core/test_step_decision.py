"""Advance, hold, abort: every rule of a look at a step, and what time makes of it."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from pytest_deploygate.core.comparison import MinutePair, ObjectiveResult, StepDecision, compare
from pytest_deploygate.core.duration import Duration
from pytest_deploygate.core.engine_settings import TrafficStep
from pytest_deploygate.core.identifiers import Actor, EnvironmentName, Phase, RolloutId
from pytest_deploygate.core.margin import Margin
from pytest_deploygate.core.measurement import Measurement
from pytest_deploygate.core.minute_counts import MinuteCounts
from pytest_deploygate.core.objective import Objective
from pytest_deploygate.core.step_command import CommandKind, StepCommand, latest_command
from pytest_deploygate.core.step_decision import StepLook, decide_step
from pytest_deploygate.core.triggers import evaluate
from pytest_deploygate.core.verdict import ReasonCode
from tests.core.policy_factory import a_trigger

STEP = TrafficStep(percent=5, wait=Duration(600), least_requests=200)
ERRORS = Objective(name="errors", metric="error_rate", worse_by=Margin.parse("1pp"))


def result(errors: int, minutes: int = 20) -> ObjectiveResult:
    pair = MinutePair(MinuteCounts(100, errors), MinuteCounts(1000, 10))
    return compare(ERRORS, [pair] * minutes)


GOOD, BAD, UNSURE = result(1), result(9), result(2, 2)
LOOK = StepLook(
    step=STEP,
    elapsed_s=700,
    covered_s=600,
    candidate_requests=2000,
    baseline_requests=20_000,
    results=(GOOD,),
)
TRIGGER = a_trigger("memory_usage_mb > 1500", name="memory", needed_in=())


def test_a_candidate_that_is_shown_not_to_be_worse_goes_on() -> None:
    verdict = decide_step(LOOK)
    assert (verdict.decision, verdict.reason.code) == (StepDecision.ADVANCE, ReasonCode.HELD)
    assert verdict.reason.sentence == GOOD.sentence


def test_one_that_is_worse_is_aborted_at_once() -> None:
    verdict = decide_step(replace(LOOK, elapsed_s=60, covered_s=60, results=(GOOD, BAD)))
    assert (verdict.decision, verdict.reason.code) == (
        StepDecision.ABORT,
        ReasonCode.WORSE_THAN_BASELINE,
    )
    assert (verdict.reason.subject, verdict.reason.sentence) == ("errors", BAD.sentence)


def test_a_trigger_that_fires_comes_first() -> None:
    measured = (Measurement.of("memory_usage_mb", 1600, unit="MB", revision="r"),)
    fired = evaluate((TRIGGER,), Phase.LIVE, measured)
    quiet = evaluate((TRIGGER,), Phase.LIVE, ())
    verdict = decide_step(replace(LOOK, triggers=fired, results=(BAD,)))
    assert (verdict.decision, verdict.reason.code, verdict.reason.subject) == (
        StepDecision.ABORT,
        ReasonCode.TRIGGER_FIRED,
        "memory",
    )
    assert decide_step(replace(LOOK, triggers=quiet)).decision is StepDecision.ADVANCE


@pytest.mark.parametrize(
    ("look", "sentence"),
    [
        (replace(LOOK, covered_s=540), "the figures cover 540 s of 10m"),
        (replace(LOOK, candidate_requests=199), "had 199 requests, the step needs 200"),
        (replace(LOOK, results=(GOOD, UNSURE)), "not yet decided"),
        (replace(LOOK, problem="503"), "figures cannot be read: 503"),
        (replace(LOOK, unmeasured="no check measured q"), "no check measured q"),
        (replace(LOOK, blocked="frozen until 8:00"), "frozen until 8:00"),
    ],
)
def test_what_is_not_shown_holds_and_is_never_a_pass_when_time_is_up(
    look: StepLook, sentence: str
) -> None:
    verdict = decide_step(look)
    assert (verdict.decision, verdict.reason.code) == (
        StepDecision.HOLD,
        ReasonCode.STEP_UNDECIDED,
    )
    assert sentence in verdict.reason.sentence
    late = decide_step(replace(look, elapsed_s=1800))
    assert (late.decision, late.is_undecided) == (StepDecision.ABORT, True)
    assert late.reason.sentence.startswith("undecided after 1800 s at 5 %: ")
    assert sentence in late.reason.sentence


def test_time_that_figures_come_late_is_added() -> None:
    look = replace(LOOK, results=(UNSURE,), elapsed_s=1800, late_s=240)
    assert decide_step(look).decision is StepDecision.HOLD
    assert decide_step(replace(look, elapsed_s=2040)).decision is StepDecision.ABORT


def test_figures_that_cannot_be_read_never_advance_a_step() -> None:
    """``undecided = "advance"`` is for few visitors, not for a platform that does not answer."""
    step = STEP._replace(undecided="advance", at_most=Duration(900))
    verdict = decide_step(replace(LOOK, step=step, problem="HTTP 503", elapsed_s=900))
    assert (verdict.decision, verdict.is_undecided) == (StepDecision.ABORT, True)
    assert verdict.reason.sentence.endswith("the platform's figures cannot be read: HTTP 503")


def test_a_step_may_say_that_undecided_advances() -> None:
    step = STEP._replace(undecided="advance", at_most=Duration(900))
    look = replace(LOOK, step=step, results=(UNSURE,), elapsed_s=900)
    verdict = decide_step(look)
    assert (verdict.decision, verdict.is_undecided) == (StepDecision.ADVANCE, True)
    assert verdict.reason.code is ReasonCode.STEP_UNDECIDED
    assert 'and the step says undecided = "advance"' in verdict.reason.sentence
    frozen = decide_step(replace(look, blocked="frozen"))
    assert frozen.decision is StepDecision.ABORT
    worse = decide_step(replace(look, results=(BAD,)))
    assert (worse.decision, worse.is_undecided) == (StepDecision.ABORT, False)


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 90), ("10m", 600), ("2h", 7200), ("3600s", 3600)]
)
def test_durations_are_written_as_people_do(text: str, seconds: int) -> None:
    assert Duration.parse(text) == seconds
    assert Duration.parse(str(Duration(seconds))) == seconds
    assert [str(Duration(s)) for s in (90, 600, 7200)] == ["90s", "10m", "2h"]


def ordered(kind: CommandKind, percent: int = 5) -> StepCommand:
    return StepCommand(
        rollout_id=RolloutId("one"),
        environment=EnvironmentName("production"),
        percent=percent,
        kind=kind,
        actor=Actor(user="ada", host="laptop", pid=1),
        reason="I look",
        at=datetime(2026, 11, 28, 12, 0, 1, tzinfo=UTC),
    )


HOLD, ADVANCE, ABORT, APPROVE = map(ordered, CommandKind)


def test_an_operator_aborts_whatever_is_shown() -> None:
    verdict = decide_step(replace(LOOK, command=ABORT))
    assert (verdict.decision, verdict.reason.code) == (StepDecision.ABORT, ReasonCode.REQUESTED)
    assert verdict.reason.sentence == "aborted by ada@laptop at 12:00:01 UTC: I look"


def test_an_operator_holds_what_would_advance_and_time_ends_it() -> None:
    verdict = decide_step(replace(LOOK, command=HOLD))
    assert (verdict.decision, verdict.reason.sentence) == (StepDecision.HOLD, HOLD.sentence)
    late = replace(LOOK, command=HOLD, elapsed_s=5000)
    assert decide_step(late).decision is StepDecision.ABORT
    lenient = replace(late, step=STEP._replace(undecided="advance"))
    assert decide_step(lenient).decision is StepDecision.ABORT


def test_an_operator_advances_without_enough_evidence_and_it_is_said() -> None:
    verdict = decide_step(replace(LOOK, results=(UNSURE,), command=ADVANCE))
    assert (verdict.decision, verdict.is_undecided) == (StepDecision.ADVANCE, True)
    assert verdict.reason.sentence == f"{ADVANCE.sentence}; before that: {UNSURE.sentence}"
    shown = decide_step(replace(LOOK, command=ADVANCE))
    assert (shown.is_undecided, shown.reason.sentence) == (False, ADVANCE.sentence)


def test_an_operator_does_not_advance_over_a_freeze_or_a_regression() -> None:
    frozen = decide_step(replace(LOOK, command=ADVANCE, blocked="frozen"))
    assert (frozen.decision, frozen.reason.sentence) == (StepDecision.HOLD, "frozen")
    worse = decide_step(replace(LOOK, command=ADVANCE, results=(BAD,)))
    assert worse.decision is StepDecision.ABORT


def test_the_last_command_of_the_step_counts_and_an_abort_of_any() -> None:
    later = ordered(CommandKind.HOLD, 25)
    assert latest_command((), 5) is None
    assert latest_command((HOLD, ADVANCE), 5) == ADVANCE
    assert latest_command((ADVANCE, later), 5) == ADVANCE
    assert latest_command((ADVANCE,), 25) is None
    assert latest_command((ABORT, later), 25) == ABORT


def test_a_step_that_needs_an_approval_waits_for_it_and_is_never_passed_without() -> None:
    look = replace(LOOK, approval_command="deploygate approve prod")
    waiting = decide_step(look)
    assert waiting.decision is StepDecision.HOLD
    assert waiting.reason.sentence.endswith("must approve: deploygate approve prod")
    assert decide_step(replace(look, command=APPROVE)).decision is StepDecision.ADVANCE
    assert decide_step(replace(look, command=ADVANCE)).decision is StepDecision.ADVANCE
    assert decide_step(replace(look, command=HOLD)).decision is StepDecision.HOLD
    late = replace(look, elapsed_s=5000, step=STEP._replace(undecided="advance"))
    assert decide_step(late).decision is StepDecision.ABORT
    unsure = replace(late, results=(UNSURE,))
    assert decide_step(unsure).decision is StepDecision.ABORT
    assert decide_step(replace(unsure, command=APPROVE)).decision is StepDecision.ADVANCE


def test_an_approval_is_no_evidence() -> None:
    verdict = decide_step(
        replace(
            LOOK, results=(UNSURE,), approval_command="deploygate approve prod", command=APPROVE
        )
    )
    assert (verdict.decision, verdict.reason.sentence) == (StepDecision.HOLD, UNSURE.sentence)
    worse = decide_step(
        replace(LOOK, results=(BAD,), approval_command="deploygate approve prod", command=APPROVE)
    )
    assert worse.decision is StepDecision.ABORT
