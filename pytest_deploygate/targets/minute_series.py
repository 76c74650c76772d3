"""Answers of ``projects.timeSeries.list`` that have one point a minute, as counts.

Counts come by class of status (``request_count``), latencies as ``google.api.Distribution`` in milliseconds. What is of
another form is an error: a figure that was misread would decide.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final, TypeAlias

from pytest_deploygate.core.errors import TargetRefused
from pytest_deploygate.core.latency_histogram import LatencyHistogram, combine
from pytest_deploygate.core.minute_counts import MinuteCounts

Json: TypeAlias = "Mapping[str, object]"
SHORT_PERIODS: Final = "X-Deploygate-Short-Periods"
"""Header that lets the emulator take periods below a minute."""
_CLASS: Final = "response_code_class"
PER_MINUTE: Final[Mapping[str, dict[str, str]]] = {
    "request_count": {
        "aggregation.perSeriesAligner": "ALIGN_DELTA",
        "aggregation.crossSeriesReducer": "REDUCE_SUM",
        "aggregation.groupByFields": f"metric.labels.{_CLASS}",
    },
    "request_latencies": {
        "aggregation.perSeriesAligner": "ALIGN_DELTA",
        "aggregation.crossSeriesReducer": "REDUCE_SUM",
    },
}
"""What is asked for, by metric: the aggregation of it."""


def read_minutes(
    counted: Json, timed: Json, *, end: datetime, period_s: int, count: int
) -> tuple[MinuteCounts, ...]:
    """The answers on both metrics of :data:`PER_MINUTE` for ``count`` periods before ``end``.

    Raises:
        TargetRefused: an answer is not of the form that is documented.
    """
    requests, errors = [0] * count, [0] * count
    latencies = [LatencyHistogram()] * count
    try:
        for label, index, value in _points(counted, end, period_s, count):
            number = int(str(value["int64Value"]))
            requests[index] += number
            errors[index] += number if label == "5xx" else 0
        for _, index, value in _points(timed, end, period_s, count):
            latencies[index] = combine((latencies[index], _histogram(value["distributionValue"])))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise TargetRefused(
            f"the platform's figures by minute cannot be read: {type(error).__name__}: {error}"
        ) from error
    return tuple(map(MinuteCounts, requests, errors, latencies))


def _points(
    answer: Json, end: datetime, period_s: int, count: int
) -> list[tuple[str, int, dict[str, Any]]]:
    """Label, number of the period and value of each point; points outside of the periods are left out."""
    found = []
    for series in _list(answer.get("timeSeries", [])):
        labels = series.get("metric", {}).get("labels", {})
        for point in _list(series["points"]):
            at = datetime.fromisoformat(point["interval"]["endTime"])
            index = count - 1 - round((end - at).total_seconds() / period_s)
            if 0 <= index < count:
                found.append((str(labels.get(_CLASS, "")), index, point["value"]))
    return found


def _list(value: object) -> list[dict[str, Any]]:
    if not isinstance(value, list):
        raise TypeError(f"not a list: {value!r}")
    return value


def _histogram(distribution: object) -> LatencyHistogram:
    """A distribution in milliseconds; counts of empty buckets at its end may be left out."""
    if not isinstance(distribution, dict):
        raise TypeError(f"not a distribution: {distribution!r}")
    bounds = _bounds(distribution.get("bucketOptions", {}))
    counts = [int(one) for one in distribution.get("bucketCounts", [])]
    counts += [0] * (len(bounds) + 1 - len(counts))
    return LatencyHistogram(tuple(bound / 1000 for bound in bounds), tuple(counts))


def _bounds(options: dict[str, dict[str, object]]) -> list[float]:
    if "explicitBuckets" in options:
        listed = options["explicitBuckets"].get("bounds", [])
        return [float(str(bound)) for bound in listed] if isinstance(listed, list) else []
    if "linearBuckets" in options:
        linear = {name: float(str(value)) for name, value in options["linearBuckets"].items()}
        offset, finite = linear.get("offset", 0.0), int(linear["numFiniteBuckets"])
        return [offset + linear["width"] * i for i in range(finite + 1)]
    of = {name: float(str(value)) for name, value in options["exponentialBuckets"].items()}
    finite = int(of["numFiniteBuckets"])
    return [of["scale"] * of["growthFactor"] ** i for i in range(finite + 1)]
