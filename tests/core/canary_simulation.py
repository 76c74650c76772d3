"""Requests of two revisions, minute by minute: counts as Cloud Monitoring gives them, drawn from a seeded source.

Numbers of good and of bad requests are independent Poisson variables, which is the same as a Poisson number of requests
of which each is bad with its probability.
"""

import math
from bisect import bisect_left
from collections.abc import Callable, Iterator
from random import Random

from pytest_deploygate.core.comparison import MinutePair
from pytest_deploygate.core.latency_histogram import LatencyHistogram
from pytest_deploygate.core.minute_counts import MinuteCounts

BOUNDS = tuple(0.01 * 1.1**i for i in range(80))
"""Seconds: exponential buckets as those of ``request_latencies``."""


def poisson(random: Random, mean: float) -> Callable[[], int]:
    """A source of Poisson numbers with ``mean``, of which ``random`` is the luck."""
    cumulative = [0.0]
    for k in range(int(mean + 12 * math.sqrt(mean) + 12)):
        chance = math.exp(k * math.log(mean) - mean - math.lgamma(k + 1)) if mean else float(not k)
        cumulative.append(cumulative[-1] + chance)
    del cumulative[0]
    return lambda: bisect_left(cumulative, random.random())


def error_minutes(
    random: Random, *, per_minute: float, percent: int, candidate: float, baseline: float
) -> Iterator[MinutePair]:
    """Endless minutes: ``per_minute`` requests, ``percent`` of them to the candidate, with these error rates."""
    to_candidate = per_minute * percent / 100
    to_baseline = per_minute - to_candidate
    draws = [
        poisson(random, mean)
        for mean in (
            to_candidate * candidate,
            to_candidate * (1 - candidate),
            to_baseline * baseline,
            to_baseline * (1 - baseline),
        )
    ]
    while True:
        bad_c, good_c, bad_b, good_b = (draw() for draw in draws)
        yield MinutePair(MinuteCounts(bad_c + good_c, bad_c), MinuteCounts(bad_b + good_b, bad_b))


def latency_minutes(
    random: Random, *, per_minute: float, percent: int, factor: float, spread: float = 0.5
) -> Iterator[MinutePair]:
    """Endless minutes of log-normal latencies around 0.2 s; those of the candidate are ``factor`` times as long."""
    to_candidate = poisson(random, per_minute * percent / 100)
    to_baseline = poisson(random, per_minute * (100 - percent) / 100)

    def counts(number: int, times: float) -> MinuteCounts:
        buckets = [0] * (len(BOUNDS) + 1)
        for _ in range(number):
            buckets[bisect_left(BOUNDS, times * 0.2 * random.lognormvariate(0, spread))] += 1
        return MinuteCounts(number, 0, LatencyHistogram(BOUNDS, tuple(buckets)))

    while True:
        yield MinutePair(counts(to_candidate(), factor), counts(to_baseline(), 1.0))
