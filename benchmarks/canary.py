"""Ours against the canary tests of others: false alarms, missed regressions, requests spent on a bad release.

Each method looks once a minute, for 500 minutes, at a candidate with 5 % of the traffic:

* ours: margin of one percentage point, confidence 0.95, without history;
* Mann-Whitney as Kayenta applies it (``NetflixACAJudge``: confidence 0.98, a quarter of the Hodges-Lehmann estimate as
  tolerance) on the error rate of each minute, up to the 50 newest, looked at each minute;
* a fixed threshold as in Flagger's README: 99 % of the requests of a minute must succeed, the tenth minute that does
  not ends it (``FailedChecks``, never reset).

A bad release errs at 6 % instead of 1 %. What is missed has spent all its requests.
"""

import math
from collections import deque
from collections.abc import Callable, Iterator
from itertools import islice
from random import Random
from statistics import median

from benchmarks.figures import Figure
from pytest_deploygate.core.comparison import MinutePair
from pytest_deploygate.core.sequential_test import Arm, Block, Claim, Line, log_evidence
from tests.core.canary_simulation import error_minutes

MINUTES = 500
ALPHA = 0.05
GOOD, BAD = 0.01, 0.06
RATES = (1, 5, 50)
RUNS = 100
Looks = Callable[[Iterator[MinutePair]], int | None]
"""Plays minutes until a method stops; the number of the minute, or None."""


def ours(minutes: Iterator[MinutePair]) -> int | None:
    """The sequential test of this package."""

    def blocks() -> Iterator[Block]:
        requests, errors = 50.0, 0.5
        for candidate, baseline in minutes:
            arms = Arm(*candidate[:2]), Arm(*baseline[:2])
            yield Block(*arms, errors / requests)
            requests, errors = requests + baseline.requests, errors + baseline.errors

    evidence = log_evidence(blocks(), Line(shift=0.01), Claim.ABOVE)
    return next((n for n, one in enumerate(evidence, 1) if one >= -math.log(ALPHA)), None)


def flagger(minutes: Iterator[MinutePair]) -> int | None:
    """Ten minutes below 99 %."""
    failed = 0
    for number, (candidate, _) in enumerate(minutes, 1):
        failed += candidate.errors > 0.01 * candidate.requests
        if failed == 10:
            return number
    return None


def kayenta(minutes: Iterator[MinutePair]) -> int | None:
    """The confidence interval of the shift lies above a quarter of the shift; minutes without requests have no rate."""
    z = 2.326  # 0.98, both sides
    points: deque[tuple[float, float]] = deque(maxlen=50)
    for number, (candidate, baseline) in enumerate(minutes, 1):
        if candidate.requests and baseline.requests:
            points.append(
                (candidate.errors / candidate.requests, baseline.errors / baseline.requests)
            )
        n = len(points)
        rank = math.floor(n * n / 2 - z * math.sqrt(n * n * (2 * n + 1) / 12))
        if rank < 1:
            continue
        shifts = sorted(c - b for c, _ in points for _, b in points)
        if shifts[rank - 1] > 0.25 * abs(shifts[len(shifts) // 2]):
            return number
    return None


METHODS: dict[str, Looks] = {"ours": ours, "Mann-Whitney": kayenta, "threshold": flagger}


def play(method: Looks, rate: int, candidate: float, runs: int) -> list[tuple[int | None, int]]:
    """When each run was stopped, and how many requests the candidate had got until then."""
    source = error_minutes(
        Random(2026), per_minute=60 * rate, percent=5, candidate=candidate, baseline=GOOD
    )
    found = []
    for _ in range(runs):
        run = list(islice(source, MINUTES))
        stopped = method(iter(run))
        found.append((stopped, sum(pair.candidate.requests for pair in run[:stopped])))
    return found


def columns(rate: int, runs: int) -> dict[str, dict[str, float]]:
    """Each column of the table at ``rate`` requests a second, by method; less is better in all of them."""
    good = {name: play(method, rate, GOOD, runs) for name, method in METHODS.items()}
    bad = {name: play(method, rate, BAD, runs) for name, method in METHODS.items()}
    return {
        "false alarms in 500 looks": {
            name: sum(stopped is not None for stopped, _ in found) / runs
            for name, found in good.items()
        },
        "regressions missed": {
            name: sum(stopped is None for stopped, _ in found) / runs for name, found in bad.items()
        },
        "requests of a bad release": {
            name: median(requests for _, requests in found) for name, found in bad.items()
        },
    }


def _rows(rate: int, runs: int) -> Iterator[Figure]:
    """The figures at ``rate``; the target of ours is to be the best in each column."""
    for column, values in columns(rate, runs).items():
        best = min(value for name, value in values.items() if name != "ours")
        for name, value in values.items():
            yield Figure(
                topic="canary",
                what=f"{rate} requests/s, {name}: {column}",
                value=value,
                at_most=best if name == "ours" else None,
            )


def figures() -> list[Figure]:
    """The table, and 10,000 runs of ours at the worst that the margin allows."""
    found = [figure for rate in RATES for figure in _rows(rate, RUNS)]
    runs = 10_000
    for candidate in (GOOD, GOOD + 0.01):
        alarms = sum(s is not None for s, _ in play(ours, 20, candidate, runs)) / runs
        limit = ALPHA + 3.1 * math.sqrt(ALPHA * (1 - ALPHA) / runs)
        what = f"ours, {candidate:.0%} errors against 1 %: aborted in 500 looks, margin 1pp"
        note = f"{runs} runs; confidence 0.95, and 3.1 standard deviations"
        found.append(
            Figure(topic="canary", what=what, value=alarms, at_most=round(limit, 4), note=note)
        )
    return found
