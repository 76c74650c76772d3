"""The candidate against the baseline: decisions, estimates, intervals, sentences."""

from fractions import Fraction

import pytest

from pytest_deploygate.core.comparison import MinutePair, StepDecision, compare
from pytest_deploygate.core.latency_histogram import LatencyHistogram
from pytest_deploygate.core.margin import Margin
from pytest_deploygate.core.minute_counts import MinuteCounts
from pytest_deploygate.core.objective import Objective

ERRORS = Objective(name="errors", metric="error_rate", worse_by=Margin.parse("1pp"))
ERROR_RATIO = Objective(name="errors", metric="error_rate", worse_by=Margin.parse("x1.2"))
LATENCY = Objective(
    name="latency",
    metric="processing_time_s",
    quantile=Fraction("0.95"),
    worse_by=Margin.parse("x1.25"),
)
BOUNDS = (0.1, 0.2, 0.25, 0.4, 0.5, 0.8)
FAST = MinuteCounts(100, 0, LatencyHistogram(BOUNDS, (50, 45, 3, 2, 0, 0, 0)))
SLOW = MinuteCounts(100, 0, LatencyHistogram(BOUNDS, (0, 50, 30, 10, 5, 5, 0)))


def pairs(candidate: tuple[int, int], baseline: tuple[int, int], minutes: int) -> list[MinutePair]:
    return [MinutePair(MinuteCounts(*candidate), MinuteCounts(*baseline))] * minutes


@pytest.mark.parametrize(
    ("candidate", "baseline", "decision"),
    [
        ((100, 6), (1000, 10), StepDecision.ABORT),
        ((100, 1), (1000, 10), StepDecision.ADVANCE),
        ((100, 2), (1000, 10), StepDecision.HOLD),
        ((0, 0), (1000, 10), StepDecision.HOLD),
        ((100, 0), (0, 0), StepDecision.HOLD),
        # a baseline that is bad itself does not stop a fix, and excuses nothing worse
        ((100, 1), (1000, 300), StepDecision.ADVANCE),
        ((100, 45), (1000, 300), StepDecision.ABORT),
        ((100, 100), (1000, 0), StepDecision.ABORT),
    ],
)
def test_errors_are_held_against_the_baseline_of_the_same_minutes(
    candidate: tuple[int, int], baseline: tuple[int, int], decision: StepDecision
) -> None:
    assert compare(ERRORS, pairs(candidate, baseline, 15)).decision is decision


def test_errors_may_have_a_ratio_as_margin() -> None:
    assert compare(ERROR_RATIO, pairs((100, 9), (900, 45), 20)).decision is StepDecision.ABORT
    assert compare(ERROR_RATIO, pairs((100, 2), (900, 45), 20)).decision is StepDecision.ADVANCE
    assert compare(ERROR_RATIO, pairs((100, 5), (900, 45), 20)).decision is StepDecision.HOLD


def test_nothing_seen_decides_nothing() -> None:
    result = compare(ERRORS, [])
    assert result.decision is StepDecision.HOLD
    assert (result.candidate_requests, result.baseline_requests, result.seconds) == (0, 0, 0)
    assert "[open, open]" in result.sentence


def test_a_quantile_without_histograms_decides_nothing() -> None:
    assert compare(LATENCY, pairs((100, 0), (900, 0), 30)).decision is StepDecision.HOLD


def test_a_ratio_of_nothing_to_nothing_is_one_and_of_something_is_endless() -> None:
    assert compare(ERROR_RATIO, pairs((10, 0), (10, 0), 1)).difference == 1
    assert compare(ERROR_RATIO, pairs((10, 1), (10, 0), 1)).difference == float("inf")


def test_the_interval_has_the_estimate_and_lies_on_the_side_that_was_decided() -> None:
    bad = compare(ERRORS, pairs((100, 6), (1000, 10), 15))
    assert 0.01 <= bad.low < bad.difference < bad.high < 0.1
    good = compare(ERRORS, pairs((100, 1), (1000, 10), 15))
    assert good.low < good.difference < good.high <= 0.01
    unsure = compare(ERRORS, pairs((100, 2), (1000, 10), 15))
    assert unsure.low < 0.01 < unsure.high


def test_an_interval_shrinks_with_what_is_seen() -> None:
    few, many = (compare(ERRORS, pairs((100, 2), (1000, 10), n)) for n in (5, 80))
    assert few.low <= many.low < many.high < few.high


def test_a_higher_confidence_needs_more() -> None:
    sure = Objective(
        name="errors",
        metric="error_rate",
        worse_by=Margin.parse("1pp"),
        confidence=Fraction("0.9999"),
    )
    minutes = pairs((100, 6), (1000, 10), 3)
    assert compare(ERRORS, minutes).decision is StepDecision.ABORT
    assert compare(sure, minutes).decision is StepDecision.HOLD


def test_history_of_the_baseline_is_no_evidence_itself() -> None:
    history = [MinuteCounts(10_000, 100)] * 3
    assert compare(ERRORS, [], history).decision is StepDecision.HOLD
    assert compare(ERRORS, pairs((100, 6), (1000, 10), 9), history).decision is StepDecision.ABORT


def test_a_slow_candidate_is_aborted_and_an_equal_one_goes_on() -> None:
    slow = compare(LATENCY, [MinutePair(SLOW, FAST)] * 5)
    assert slow.decision is StepDecision.ABORT
    assert slow.candidate == pytest.approx(0.5)
    assert slow.baseline == pytest.approx(0.2)
    assert slow.difference == pytest.approx(2.5)
    equal = compare(LATENCY, [MinutePair(FAST, FAST)] * 60)
    assert equal.decision is StepDecision.ADVANCE


def test_the_first_minute_teaches_where_slow_begins_unless_history_does() -> None:
    assert compare(LATENCY, [MinutePair(SLOW, FAST)]).decision is StepDecision.HOLD
    assert compare(LATENCY, [MinutePair(SLOW, FAST)], [FAST]).decision is StepDecision.ABORT


def test_nothing_is_known_beyond_the_bounds() -> None:
    """All of the candidate is in the last bucket or none is: a ratio that leads out of the bounds has no answer."""
    few = LatencyHistogram((0.1,), (95, 5))
    minute = MinuteCounts(100, 0, few)
    result = compare(LATENCY, [MinutePair(minute, minute)] * 10)
    assert result.decision is StepDecision.HOLD


def test_minutes_of_one_side_alone_wait_for_the_other_side() -> None:
    lone = [MinutePair(MinuteCounts(0, 0), MinuteCounts(60, 0))] * 19
    one = MinutePair(MinuteCounts(1, 1), MinuteCounts(60, 0))
    result = compare(ERRORS, [*lone, one, *lone, one, *lone, one])
    assert result.decision is StepDecision.ABORT
    assert (result.candidate_requests, result.baseline_requests) == (3, 60 * 60)
    assert result.seconds == 3600


def test_the_sentence_has_all_that_a_person_needs() -> None:
    sentence = compare(ERRORS, pairs((100, 6), (1000, 10), 15)).sentence
    assert sentence.startswith("errors: worse by more than 1pp: 6.00 % against 1.00 %, +5.00pp [+")
    assert "(1500 and 15000 requests in 15 min, confidence 0.95)" in sentence
    short = compare(ERRORS, pairs((100, 6), (1000, 10), 15), minute_s=1).sentence
    assert "requests in 15 s, " in short
    sentence = compare(LATENCY, [MinutePair(SLOW, FAST)] * 5).sentence
    assert "0.5 s against 0.2 s, x2.50 [x" in sentence
    assert compare(ERRORS, pairs((100, 1), (1000, 10), 15)).sentence.startswith(
        "errors: not worse by 1pp or more: "
    )
    assert "not yet decided, the margin is 1pp" in compare(ERRORS, []).sentence


def test_the_interval_has_the_estimate_also_if_the_minutes_changed_sides() -> None:
    wide = Objective(name="errors", metric="error_rate", worse_by=Margin.parse("10pp"))
    worse_first = [*pairs((100, 6), (1000, 10), 15), *pairs((100, 0), (1000, 60), 30)]
    result = compare(wide, worse_first)
    assert result.decision is StepDecision.ADVANCE
    assert result.low <= result.difference <= result.high <= 0.1


def test_the_interval_does_not_leave_the_side_that_was_decided() -> None:
    result = compare(ERRORS, [*pairs((100, 6), (1000, 10), 15), *pairs((100, 0), (1000, 60), 30)])
    assert result.decision is StepDecision.ABORT
    assert result.difference < 0.01 == result.low
