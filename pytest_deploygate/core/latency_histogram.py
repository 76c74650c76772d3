"""Latencies in the platform's form: counts of requests between bounds (a ``Distribution``)."""

from bisect import bisect_left
from collections.abc import Iterable
from typing import NamedTuple, Self


class _Buckets(NamedTuple):
    bounds: tuple[float, ...]
    counts: tuple[int, ...]


class LatencyHistogram(_Buckets):
    """Counts by ascending ``bounds`` in seconds.

    ``counts`` has one member more than ``bounds``: bucket ``i`` counts latencies of at least ``bounds[i - 1]`` and
    below ``bounds[i]``, the first bucket all below ``bounds[0]``, the last one the rest. Without bounds there are no
    latencies.
    """

    __slots__ = ()

    def __new__(cls, bounds: tuple[float, ...] = (), counts: tuple[int, ...] = ()) -> Self:
        """Create a consistent histogram.

        Raises:
            ValueError: bounds that do not ascend, a negative count, or another number of counts than buckets.
        """
        if list(bounds) != sorted(set(bounds)):
            raise ValueError(f"bounds of a histogram must ascend: {bounds}")
        if any(count < 0 for count in counts):
            raise ValueError(f"a count of a histogram is negative: {counts}")
        if len(counts) != (len(bounds) + 1 if bounds else 0):
            raise ValueError(f"{len(counts)} counts do not fit {len(bounds)} bounds")
        return super().__new__(cls, bounds, counts)

    @property
    def total(self) -> int:
        """Number of latencies."""
        return sum(self.counts)

    def count_from(self, bound: float) -> int:
        """Number of latencies of at least ``bound``, which is one of ``bounds``."""
        return sum(self.counts[bisect_left(self.bounds, bound) + 1 :])

    def quantile(self, share: float) -> float:
        """Estimate the quantile ``share`` (0..1), by linear interpolation within a bucket.

        The last bucket has no upper bound: its lower one is returned. 0 without latencies.
        """
        rank = share * self.total
        below = 0
        for index, count in enumerate(self.counts):
            if count and below + count >= rank:
                low = self.bounds[index - 1] if index else 0.0
                high = self.bounds[index] if index < len(self.bounds) else low
                return low + (high - low) * (rank - below) / count
            below += count
        return 0.0


def combine(histograms: Iterable[LatencyHistogram]) -> LatencyHistogram:
    """Add histograms, on the bounds that all non-empty ones share.

    Coarser buckets lose only detail, so histograms with different bounds can be added.
    """
    full = [one for one in histograms if one.total]
    if not full:
        return LatencyHistogram()
    bounds = full[0].bounds
    if all(one.bounds == bounds for one in full):
        counts = tuple(map(sum, zip(*(one.counts for one in full), strict=True)))
        return LatencyHistogram(bounds, counts)
    shared = tuple(sorted(set(bounds).intersection(*(one.bounds for one in full[1:]))))
    if not shared:
        raise ValueError("histograms without a common bound cannot be added")
    from_each = [sum(one.count_from(bound) for one in full) for bound in shared]
    total = sum(one.total for one in full)
    counts = tuple(a - b for a, b in zip([total, *from_each], [*from_each, 0], strict=True))
    return LatencyHistogram(shared, counts)
