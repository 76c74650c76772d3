"""The platform's counts of one revision, minute by minute."""

from collections.abc import Iterable
from typing import NamedTuple

from pytest_deploygate.core.latency_histogram import LatencyHistogram, combine


class MinuteCounts(NamedTuple):
    """Requests of one revision in one minute, their server errors, and their latencies."""

    requests: int = 0
    errors: int = 0
    latencies: LatencyHistogram = LatencyHistogram()


class MinuteSeries(NamedTuple):
    """Minutes of one revision, oldest first. If they cannot be read, there are none and ``problems`` says why."""

    minutes: tuple[MinuteCounts, ...] = ()
    problems: tuple[str, ...] = ()


def add_counts(counts: Iterable[MinuteCounts]) -> MinuteCounts:
    """Add ``counts``."""
    known = tuple(counts)
    return MinuteCounts(
        requests=sum(one.requests for one in known),
        errors=sum(one.errors for one in known),
        latencies=combine(one.latencies for one in known),
    )


def group_minutes(minutes: tuple[MinuteCounts, ...], size: int) -> tuple[MinuteCounts, ...]:
    """Add ``size`` minutes at a time; drop the newest minutes of an incomplete group."""
    starts = range(0, len(minutes) - size + 1, size)
    return tuple(add_counts(minutes[start : start + size]) for start in starts)
