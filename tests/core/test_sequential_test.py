"""The sequential test of two proportions: what its evidence is worth, exactly and in simulations."""

import math
from fractions import Fraction
from itertools import islice
from random import Random
from statistics import median

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from pytest_deploygate.core.comparison import MinutePair, StepDecision, compare
from pytest_deploygate.core.margin import Margin
from pytest_deploygate.core.objective import Objective
from pytest_deploygate.core.sequential_test import (
    Arm,
    Block,
    Claim,
    Line,
    is_shown,
    log_evidence,
)
from tests.core.canary_simulation import error_minutes, latency_minutes

SHARES = st.floats(0, 1)
ERRORS = Objective(name="errors", metric="error_rate", worse_by=Margin.parse("1pp"))
LATENCY = Objective(
    name="latency",
    metric="processing_time_s",
    quantile=Fraction("0.95"),
    worse_by=Margin.parse("x1.25"),
)
MINUTES = 500


def chance(arm: Arm, share: float) -> float:
    return (
        math.comb(arm.requests, arm.bad) * share**arm.bad * (1 - share) ** (arm.requests - arm.bad)
    )


@settings(max_examples=150, deadline=None)
@given(
    claim=st.sampled_from(Claim),
    scale=st.floats(0.2, 5),
    shift=st.floats(-0.9, 0.9),
    baseline=SHARES,
    candidate=SHARES,
    expected=st.floats(0.001, 0.999),
    requests=st.tuples(st.integers(1, 7), st.integers(1, 7)),
)
def test_a_block_wins_nothing_on_average_against_a_true_hypothesis(
    claim: Claim,
    scale: float,
    shift: float,
    baseline: float,
    candidate: float,
    expected: float,
    requests: tuple[int, int],
) -> None:
    line = Line(scale, shift)
    assume(max(0, -shift / scale) < min(1, (1 - shift) / scale) - 1e-6)
    border = scale * baseline + shift
    # the side of the line on which the claim is false
    share = min(candidate, border) if claim is Claim.ABOVE else max(candidate, border)
    assume(0 <= share <= 1)
    average = 0.0
    for bad_c in range(requests[0] + 1):
        for bad_b in range(requests[1] + 1):
            block = Block(Arm(requests[0], bad_c), Arm(requests[1], bad_b), expected)
            (evidence,) = log_evidence([block], line, claim)
            average += (
                chance(block.candidate, share)
                * chance(block.baseline, baseline)
                * math.exp(evidence)
            )
    assert average <= 1 + 1e-9


def test_a_side_without_requests_is_no_evidence() -> None:
    blocks = [Block(Arm(0, 0), Arm(100, 0), 0.01), Block(Arm(100, 100), Arm(0, 0), 0.01)]
    assert list(log_evidence(blocks, Line(), Claim.ABOVE)) == [pytest.approx(0)] * 2


def test_what_was_shown_once_stays_shown() -> None:
    bad = [Block(Arm(100, 30), Arm(900, 9), 0.01)]
    good = [Block(Arm(100, 0), Arm(900, 9), 0.01)] * 20
    assert is_shown(bad + good, Line(), Claim.ABOVE, confidence=0.99)
    assert not is_shown(good, Line(), Claim.ABOVE, confidence=0.99)
    evidence = list(log_evidence(bad + good, Line(), Claim.ABOVE))
    assert evidence[-1] < evidence[0]


def first_minute(minutes: list[MinutePair], objective: Objective, decision: StepDecision) -> int:
    """Number of the first minute after which it is decided so, or one after the last look."""
    for number in range(1, len(minutes) + 1):
        if compare(objective, minutes[:number]).decision is decision:
            return number
    return MINUTES + 1


def alarm_share(*, runs: int, confidence: float, candidate: float, per_minute: float) -> float:
    """Share of runs that would be aborted at any of 500 looks, with a margin of one percentage point."""
    random = Random(19)
    source = error_minutes(
        random, per_minute=per_minute, percent=5, candidate=candidate, baseline=0.01
    )
    alarms = 0
    for _ in range(runs):
        blocks = (
            Block(Arm(c.requests, c.errors), Arm(b.requests, b.errors), 0.01)
            for c, b in islice(source, MINUTES)
        )
        alarms += is_shown(blocks, Line(shift=0.01), Claim.ABOVE, confidence=confidence)
    return alarms / runs


@pytest.mark.parametrize("runs", [400, pytest.param(10_000, marks=pytest.mark.full)])
@pytest.mark.parametrize("candidate", [0.01, 0.02])
@pytest.mark.slow
def test_false_aborts_are_as_rare_as_the_confidence_says_when_looked_at_each_minute(
    candidate: float, runs: int
) -> None:
    """At equality, and at the worst that the margin allows."""
    alpha = 0.05
    found = alarm_share(runs=runs, confidence=1 - alpha, candidate=candidate, per_minute=1200)
    # 3.1 standard deviations above alpha: more would happen in about one of 1000 repetitions if the share were alpha
    assert found <= alpha + 3.1 * math.sqrt(alpha * (1 - alpha) / runs)


def test_errors_of_6_percent_instead_of_1_are_found_within_3_minutes() -> None:
    """5 % of 20 requests a second, margin one percentage point, confidence 0.95."""
    source = error_minutes(Random(7), per_minute=1200, percent=5, candidate=0.06, baseline=0.01)
    runs = [list(islice(source, 20)) for _ in range(151)]
    assert median(first_minute(run, ERRORS, StepDecision.ABORT) for run in runs) <= 3


def test_a_p95_twice_as_long_is_found_within_5_minutes() -> None:
    """5 % of 20 requests a second, margin x1.25, confidence 0.95; the first minute only teaches the quantile."""
    source = latency_minutes(Random(7), per_minute=1200, percent=5, factor=2)
    runs = [list(islice(source, 10)) for _ in range(21)]
    assert median(first_minute(run, LATENCY, StepDecision.ABORT) for run in runs) <= 5


@pytest.mark.slow
def test_a_latency_within_the_margin_is_seldom_aborted() -> None:
    source = latency_minutes(Random(3), per_minute=300, percent=20, factor=1.2)
    runs = [list(islice(source, 25)) for _ in range(20)]
    aborted = sum(compare(LATENCY, run).decision is StepDecision.ABORT for run in runs)
    assert aborted <= 3  # more has a probability of 0.016 where the true share is 0.05
