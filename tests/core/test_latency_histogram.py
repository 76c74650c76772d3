"""Histograms of latencies: buckets, quantiles, sums."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_deploygate.core.latency_histogram import LatencyHistogram, combine

BOUNDS = (0.1, 0.2, 0.4)
COUNTS = st.tuples(*[st.integers(0, 50)] * 4)


@pytest.mark.parametrize(
    ("bounds", "counts", "cause"),
    [
        ((0.2, 0.1), (1, 2, 3), "must ascend"),
        ((0.1, 0.1), (1, 2, 3), "must ascend"),
        ((0.1,), (1, -1), "negative"),
        ((0.1,), (1,), "do not fit"),
        ((), (1,), "do not fit"),
    ],
)
def test_an_inconsistent_histogram_is_refused(
    bounds: tuple[float, ...], counts: tuple[int, ...], cause: str
) -> None:
    with pytest.raises(ValueError, match=cause):
        LatencyHistogram(bounds, counts)


def test_quantiles_are_linear_within_a_bucket() -> None:
    histogram = LatencyHistogram(BOUNDS, (10, 80, 10, 0))
    assert histogram.total == 100
    assert histogram.quantile(0.05) == pytest.approx(0.05)
    assert histogram.quantile(0.5) == pytest.approx(0.15)
    assert histogram.quantile(0.95) == pytest.approx(0.3)
    assert LatencyHistogram(BOUNDS, (0, 0, 0, 5)).quantile(0.5) == 0.4
    assert LatencyHistogram().quantile(0.5) == 0


def test_what_is_at_least_a_bound_is_counted() -> None:
    histogram = LatencyHistogram(BOUNDS, (1, 2, 4, 8))
    assert [histogram.count_from(bound) for bound in BOUNDS] == [14, 12, 8]


@given(COUNTS, COUNTS)
def test_a_sum_counts_what_its_parts_count(a: tuple[int, ...], b: tuple[int, ...]) -> None:
    one, other = LatencyHistogram(BOUNDS, a), LatencyHistogram(BOUNDS, b)
    both = combine([one, LatencyHistogram(), other])
    assert both.total == one.total + other.total
    for bound in both.bounds:
        assert both.count_from(bound) == one.count_from(bound) + other.count_from(bound)


def test_different_bounds_are_added_on_those_that_both_have() -> None:
    one = LatencyHistogram((0.1, 0.2, 0.4), (1, 2, 3, 4))
    other = LatencyHistogram((0.2, 0.3, 0.4), (5, 6, 7, 8))
    assert combine([one, other]) == LatencyHistogram((0.2, 0.4), (8, 16, 12))
    assert combine([]) == LatencyHistogram()
    with pytest.raises(ValueError, match="without a common bound"):
        combine([one, LatencyHistogram((9.0,), (1, 1))])
