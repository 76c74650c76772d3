"""Counts of minutes put together."""

from pytest_deploygate.core.latency_histogram import LatencyHistogram
from pytest_deploygate.core.minute_counts import MinuteCounts, add_counts, group_minutes

ONE = MinuteCounts(3, 1, LatencyHistogram((0.1,), (2, 1)))


def test_counts_are_added() -> None:
    assert add_counts([]) == MinuteCounts()
    assert add_counts([ONE, MinuteCounts(), ONE]) == MinuteCounts(
        6, 2, LatencyHistogram((0.1,), (4, 2))
    )


def test_groups_are_fixed_by_their_place_and_an_unfinished_one_waits() -> None:
    minutes = tuple(MinuteCounts(n) for n in range(1, 8))
    assert [one.requests for one in group_minutes(minutes, 3)] == [6, 15]
    assert group_minutes(minutes, 1) == minutes
    assert group_minutes((), 3) == ()
