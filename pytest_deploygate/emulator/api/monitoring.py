"""What the emulator measured, as Cloud Monitoring and Cloud Logging tell it.

``projects.timeSeries.list`` of the Monitoring API v3 for the metrics of Cloud Run revisions that a rollback and a step
look at, over the whole interval or period by period (latencies then as a ``Distribution``; Google does not document the
bounds of its buckets, so ours are an assumption), and ``entries.list`` of the Logging API v2 for instances that were
ended for their memory. Of filters and aggregations only those are known that the target uses; others are refused, never
answered wrongly.
"""

import asyncio
import re
import time
from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import TypeAlias, TypeVar

from aiohttp import web

from pytest_deploygate.emulator.api.protobuf_json import (
    ApiError,
    Json,
    read_json,
    whole_number,
)
from pytest_deploygate.emulator.container import CLOUD, Cloud
from pytest_deploygate.emulator.runtime.revisions import memory_limit
from pytest_deploygate.emulator.runtime.usage_statistics import (
    Answered,
    Used,
    quantile,
)

RESOURCE = "cloud_run_revision"
_PREFIX = "run.googleapis.com/"
_COMPARED = re.compile(r'\s*([a-zA-Z_.]+)\s*(>=|=|:)\s*("[^"]*"|\w+)\s*')
_CLASS = "metric.labels.response_code_class"
_LEAST_PERIOD_S = 60
_MOST_ENTRIES = 1000
_SHARES = {"REDUCE_PERCENTILE_50": 0.5, "REDUCE_PERCENTILE_95": 0.95, "REDUCE_PERCENTILE_99": 0.99}
_ALIGNERS = {"ALIGN_PERCENTILE_50": 0.5, "ALIGN_PERCENTILE_95": 0.95, "ALIGN_PERCENTILE_99": 0.99}

Observed = TypeVar("Observed", Answered, Used)
Interval = tuple[float, float]
"""Begin (not included) and end (included), in seconds since the epoch."""
Value: TypeAlias = "int | float | Json"
"""A count, a figure, or a distribution."""
Point: TypeAlias = "tuple[Interval, Value]"
SHORT_PERIODS = "X-Deploygate-Short-Periods"
"""Header with which alignment periods below a minute are taken."""
_GROWTH, _FINITE_BUCKETS, _SCALE_MS = 1.1, 145, 1.0
"""Buckets of latencies: from a millisecond to a quarter of an hour."""


def routes() -> list[web.RouteDef]:
    """The calls of both APIs."""
    return [
        web.get("/v3/projects/{project}/timeSeries", list_time_series),
        web.post("/v2/entries:list", list_entries),
    ]


# -- filters ---------------------------------------------------------------------------------------


def parse_filter(text: str, known: Iterable[str]) -> dict[str, str]:
    """The comparisons of a filter, all joined by AND, by the name that is compared.

    Raises:
        ApiError: 400 for another form, or a name that is not ``known``.
    """
    found: dict[str, str] = {}
    for part in text.split(" AND "):
        match = _COMPARED.fullmatch(part)
        if match is None or match[1] not in known:
            raise ApiError(400, f"Field filter had an invalid value of {part!r}.")
        found[match[1]] = match[3].strip('"')
    return found


def _instant(text: str, name: str) -> float:
    wrong = ApiError(400, f"Field {name} had an invalid value of {text!r}: not a timestamp.")
    try:
        parsed = datetime.fromisoformat(text)
    except ValueError as error:
        raise wrong from error
    if parsed.tzinfo is None:
        raise wrong
    return parsed.timestamp()


def _revisions(cloud: Cloud, project: str, wanted: dict[str, str]) -> list[str]:
    """Full names of the revisions that the resource's labels name."""
    found = []
    for name in cloud.state.revisions.names():
        _, project_of, _, location, _, service, _, revision = name.split("/")
        labels = {
            "resource.labels.revision_name": revision,
            "resource.labels.service_name": service,
            "resource.labels.location": location,
        }
        is_wanted = all(wanted.get(key, value) == value for key, value in labels.items())
        if project_of == project and is_wanted:
            found.append(name)
    return found


# -- Cloud Monitoring ------------------------------------------------------------------------------


async def list_time_series(request: web.Request) -> web.Response:
    """One point for each series and alignment period, the newest first."""
    cloud = request.app[CLOUD]
    query = request.query
    known = ("metric.type", "resource.type", *_LABELS)
    wanted = parse_filter(query.get("filter", ""), known)
    metric = wanted.get("metric.type", "").removeprefix(_PREFIX)
    if wanted.get("resource.type", RESOURCE) != RESOURCE or metric not in _METRICS:
        raise ApiError(404, f"Cannot find metric(s) that match type = {metric!r}.")
    intervals = _intervals(query, cloud.settings.monitoring_lag_s, _least_period(request))
    series: list[Json] = []
    for name in _revisions(cloud, request.match_info["project"], wanted):
        await asyncio.sleep(0)  # there may be many, with many observations each
        instance = cloud.runner.ready(name)
        if metric == _MEMORY and instance is not None:
            await cloud.runner.measure(instance)
        aligner = query.get("aggregation.perSeriesAligner", "ALIGN_NONE")
        reducer = query.get("aggregation.crossSeriesReducer", "REDUCE_NONE")
        group = query.get("aggregation.groupByFields", "")
        points: dict[str, list[Point]] = {}
        for interval, seen in intervals:
            values = _METRICS[metric](cloud, name, seen, (aligner, reducer, group))
            for label, value in values.items():
                points.setdefault(label, []).append((interval, value))
        series += [_series(metric, of_label, label) for label, of_label in points.items()]
    return web.json_response({"timeSeries": series} if series else {})


_LABELS = (
    "resource.labels.revision_name",
    "resource.labels.service_name",
    "resource.labels.location",
)


def _least_period(request: web.Request) -> int:
    """Shortest alignment period: a minute, as Google's; a client of ours may ask for less, so as not to wait."""
    return 1 if request.headers.get(SHORT_PERIODS) else _LEAST_PERIOD_S


def _intervals(
    query: Mapping[str, str], lag_s: float, least_period_s: int
) -> list[tuple[Interval, Interval]]:
    """Alignment periods of what was asked for, newest first, each with the part of it that has been ingested."""
    begin = _instant(query.get("interval.startTime", ""), "interval.start_time")
    end = _instant(query.get("interval.endTime", ""), "interval.end_time")
    period = re.fullmatch(r"([0-9]{1,9})s", query.get("aggregation.alignmentPeriod", ""))
    if period is None or int(period[1]) < least_period_s:
        raise ApiError(
            400, "Field aggregation.alignmentPeriod had an invalid value: at least 60 s."
        )
    if end < begin:
        raise ApiError(
            400, "Field interval had an invalid value: the end time is before the start."
        )
    ingested = time.time() - lag_s
    found: list[tuple[Interval, Interval]] = []
    while end > begin or not found:
        start = max(begin, end - int(period[1]))
        found.append(((start, end), (start, min(end, ingested))))
        end = start
    return found


def _series(metric: str, points: list[Point], label: str) -> Json:
    value = points[0][1]
    kind = "INT64" if isinstance(value, int) else "DOUBLE"
    if isinstance(value, dict):
        kind = "DISTRIBUTION"
    labels = {_CLASS.rpartition(".")[2]: label} if label else {}
    return {
        "metric": {"type": f"{_PREFIX}{metric}", "labels": labels},
        "resource": {"type": RESOURCE, "labels": {}},
        "metricKind": "GAUGE" if kind == "DOUBLE" else "DELTA",
        "valueType": kind,
        "points": [_point(interval, value) for interval, value in points],
    }


def _point(interval: Interval, value: Value) -> Json:
    begin, end = (
        datetime.fromtimestamp(at, UTC).isoformat().replace("+00:00", "Z") for at in interval
    )
    if isinstance(value, dict):
        told: Json = {"distributionValue": value}
    else:
        told = {"int64Value": str(value)} if isinstance(value, int) else {"doubleValue": value}
    return {"interval": {"startTime": begin, "endTime": end}, "value": told}


Aggregation = tuple[str, str, str]


def _unknown(aggregation: Aggregation) -> ApiError:
    return ApiError(501, f"The emulator does not aggregate by {aggregation}.")


def _request_count(
    cloud: Cloud, name: str, seen: Interval, aggregation: Aggregation
) -> dict[str, int]:
    if aggregation != ("ALIGN_DELTA", "REDUCE_SUM", _CLASS):
        raise _unknown(aggregation)
    counts: dict[str, int] = {}
    for one in _within(cloud.statistics.of(name).answered, seen):
        counts[one.status_class] = counts.get(one.status_class, 0) + 1
    return dict(sorted(counts.items()))


def _request_latencies(
    cloud: Cloud, name: str, seen: Interval, aggregation: Aggregation
) -> dict[str, float] | dict[str, Json]:
    aligner, reducer, group = aggregation
    if aligner != "ALIGN_DELTA" or reducer not in {*_SHARES, "REDUCE_SUM"} or group:
        raise _unknown(aggregation)
    answered = _within(cloud.statistics.of(name).answered, seen)
    if reducer == "REDUCE_SUM":
        return {"": _distribution([1000 * one.seconds for one in answered])} if answered else {}
    found = quantile(sorted(one.seconds for one in answered), _SHARES[reducer])
    return {} if found is None else {"": found * 1000}


def _distribution(values: list[float]) -> Json:
    """``google.api.Distribution`` of ``values`` in exponential buckets; empty ones at the end are left out."""
    bounds = [_SCALE_MS * _GROWTH**i for i in range(_FINITE_BUCKETS + 1)]
    counts = [0] * (len(bounds) + 1)
    for value in values:
        counts[bisect_right(bounds, value)] += 1
    while counts[-1] == 0:
        counts.pop()
    mean = sum(values) / len(values)
    return {
        "count": str(len(values)),
        "mean": mean,
        "sumOfSquaredDeviation": sum((value - mean) ** 2 for value in values),
        "bucketOptions": {
            "exponentialBuckets": {
                "numFiniteBuckets": _FINITE_BUCKETS,
                "growthFactor": _GROWTH,
                "scale": _SCALE_MS,
            }
        },
        "bucketCounts": [str(count) for count in counts],
    }


def _memory_utilizations(
    cloud: Cloud, name: str, seen: Interval, aggregation: Aggregation
) -> dict[str, float]:
    aligner, reducer, group = aggregation
    if aligner not in _ALIGNERS or reducer != "REDUCE_MAX" or group:
        raise _unknown(aggregation)
    revision = cloud.state.revisions[name]
    limit = memory_limit(revision.containers[0].resources.limits["memory"])
    used = _within(cloud.statistics.of(name).used, seen)
    found = quantile(sorted(one.megabytes / limit.mb for one in used), _ALIGNERS[aligner])
    return {} if found is None else {"": found}


def _within(observed: Iterable[Observed], seen: Interval) -> list[Observed]:
    begin, end = seen
    return [one for one in observed if begin < one.at <= end]


_MEMORY = "container/memory/utilizations"
_METRICS: dict[
    str,
    Callable[
        [Cloud, str, Interval, Aggregation], dict[str, float] | dict[str, int] | dict[str, Json]
    ],
] = {
    "request_count": _request_count,
    "request_latencies": _request_latencies,
    _MEMORY: _memory_utilizations,
}


# -- Cloud Logging ---------------------------------------------------------------------------------


async def list_entries(request: web.Request) -> web.Response:
    """The lines of instances that were ended for their memory, the newest first."""
    cloud = request.app[CLOUD]
    body = await read_json(request)
    known = ("resource.type", "severity", "textPayload", "timestamp", *_LABELS)
    wanted = parse_filter(str(body.get("filter", "")), known)
    since = _instant(wanted.get("timestamp", "1970-01-01T00:00:00Z"), "timestamp")
    entries: list[Json] = []
    for resource in _texts(body.get("resourceNames")):
        project = resource.removeprefix("projects/")
        for name in _revisions(cloud, project, wanted):
            entries.extend(
                _entry(project, name, one.at, one.line)
                for one in cloud.statistics.of(name).killed
                if one.at >= since and wanted.get("textPayload", "") in one.line
            )
    entries.sort(key=lambda entry: str(entry["timestamp"]), reverse=True)
    size = whole_number(str(body.get("pageSize", _MOST_ENTRIES)), "page_size") or _MOST_ENTRIES
    return web.json_response({"entries": entries[:size]} if entries else {})


def _texts(value: object) -> list[str]:
    if not isinstance(value, list) or not value:
        raise ApiError(400, "The request must name at least one resource in resourceNames.")
    return [str(one) for one in value]


def _entry(project: str, name: str, at: float, line: str) -> Json:
    _, _, _, location, _, service, _, revision = name.split("/")
    labels = {"location": location, "service_name": service, "revision_name": revision}
    return {
        "logName": f"projects/{project}/logs/run.googleapis.com%2Fvarlog%2Fsystem",
        "resource": {"type": RESOURCE, "labels": labels},
        "timestamp": datetime.fromtimestamp(at, UTC).isoformat().replace("+00:00", "Z"),
        "severity": "ERROR",
        "textPayload": line,
        "insertId": f"{at:.6f}",
    }
