"""The sequential test of two means: what its evidence is worth, exactly and in simulations."""

import math
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_deploygate.core.mean_test import Pair, is_mean_shown, log_evidence
from pytest_deploygate.core.sequential_test import Claim, Line

VALUES = st.floats(0, 1)
FIVE_POINTS = Line(shift=0.05)


@settings(max_examples=200, deadline=None)
@given(
    claim=st.sampled_from(Claim),
    scale=st.floats(0.2, 5),
    shift=st.floats(-0.9, 0.9),
    pairs=st.lists(st.tuples(VALUES, VALUES), min_size=1, max_size=8),
)
def test_a_pair_wins_nothing_on_average_against_a_true_hypothesis(
    claim: Claim, scale: float, shift: float, pairs: list[tuple[float, float]]
) -> None:
    """Any joint distribution of both sides, also one in which they depend on each other."""
    means = [sum(side) / len(pairs) for side in zip(*pairs, strict=True)]
    effect = means[0] - scale * means[1]
    # the side of the line on which the claim is false
    line = Line(scale, max(shift, effect) if claim is Claim.ABOVE else min(shift, effect))
    won = [math.exp(*log_evidence([Pair(*pair)], line, claim)) for pair in pairs]
    assert sum(won) / len(won) <= 1 + 1e-9


@pytest.mark.parametrize("claim", Claim)
def test_false_claims_are_as_rare_as_the_confidence_says_though_every_pair_is_looked_at(
    claim: Claim,
) -> None:
    """At the margin itself, which is the worst case; 0.95 allows 5 %, of 1,000 runs up to 71 (binomial, 0.999)."""
    random, runs, wrong = Random(19), 1000, 0
    for _ in range(runs):
        pairs = [
            Pair(float(random.random() < 0.15), float(random.random() < 0.10)) for _ in range(150)
        ]
        wrong += is_mean_shown(pairs, FIVE_POINTS, claim, confidence=0.95)
    assert wrong <= 71


@pytest.mark.parametrize(
    ("candidate", "claim", "most"),
    [(0.1, Claim.BELOW, 74), (0.35, Claim.ABOVE, 22), (0.9, Claim.ABOVE, 10)],
)
def test_so_many_pairs_suffice(candidate: float, claim: Claim, most: int) -> None:
    pairs = [Pair(candidate, 0.1)] * most
    assert is_mean_shown(pairs, FIVE_POINTS, claim, confidence=0.95)
    assert not is_mean_shown(pairs[: most // 3], FIVE_POINTS, claim, confidence=0.95)


def test_without_a_pair_nothing_is_shown() -> None:
    assert not is_mean_shown([], FIVE_POINTS, Claim.BELOW, confidence=0.5)
    assert list(log_evidence([], FIVE_POINTS, Claim.ABOVE)) == []
