"""What the platform counted of one revision, minute by minute."""

from collections.abc import Iterable
from typing import NamedTuple

from pytest_deploygate.core.latency_histogram import LatencyHistogram, combine


class MinuteCounts(NamedTuple):
    """Requests of one revision in one minute, those that ended with a server error, and how long they took."""

    requests: int = 0
    errors: int = 0
    latencies: LatencyHistogram = LatencyHistogram()


class MinuteSeries(NamedTuple):
    """One revision's minutes, oldest first; ``problems`` say what could not be asked: then there are none."""

    minutes: tuple[MinuteCounts, ...] = ()
    problems: tuple[str, ...] = ()


def add_counts(counts: Iterable[MinuteCounts]) -> MinuteCounts:
    """All of them in one."""
    known = tuple(counts)
    return MinuteCounts(
        requests=sum(one.requests for one in known),
        errors=sum(one.errors for one in known),
        latencies=combine(one.latencies for one in known),
    )


def group_minutes(minutes: tuple[MinuteCounts, ...], size: int) -> tuple[MinuteCounts, ...]:
    """``size`` of them at a time put together; the newest ones that make no whole group are left out."""
    starts = range(0, len(minutes) - size + 1, size)
    return tuple(add_counts(minutes[start : start + size]) for start in starts)
