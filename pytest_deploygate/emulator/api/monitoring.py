"""What the emulator measured, as Cloud Monitoring and Cloud Logging tell it.

``projects.timeSeries.list`` of the Monitoring API v3 for the metrics of Cloud Run revisions that a rollback and a step
look at, over the whole interval or period by period (latencies then as a ``Distribution``; Google does not document the
bounds of its buckets, so ours are an assumption), and ``entries.list`` of the Logging API v2 for instances that were
ended for their memory. Of filters and aggregations only those are known that the target uses; others are refused, never
answered wrongly.
"""

import asyncio
import json
import re
import time
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypeAlias, TypeVar

from aiohttp import web

from pytest_deploygate.emulator.api.protobuf_json import (
    ApiError,
    Json,
    json_body,
    read_json,
    whole_number,
)
from pytest_deploygate.emulator.container import CLOUD, EmulatedCloud
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
_MOST_RESOURCES = 100
"""Of one request (Logging API v2, ``entries.list``, ``resourceNames``)."""
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


def _revisions(cloud: EmulatedCloud, project: str, wanted: dict[str, str]) -> list[str]:
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
    periods = _periods(query, cloud.settings.monitoring_lag_s, _least_period(request))
    aggregation = (
        query.get("aggregation.perSeriesAligner", "ALIGN_NONE"),
        query.get("aggregation.crossSeriesReducer", "REDUCE_NONE"),
        query.get("aggregation.groupByFields", ""),
    )
    series: list[str] = []
    for name in _revisions(cloud, request.match_info["project"], wanted):
        instance = cloud.runner.ready(name)
        if metric == _MEMORY and instance is not None:
            await cloud.runner.measure(instance)
        # there may be many, with many observations each
        series += await asyncio.to_thread(_series_of, cloud, name, metric, periods, aggregation)
    return json_body(f'{{"timeSeries": [{", ".join(series)}]}}'.encode() if series else b"{}")


def _series_of(
    cloud: EmulatedCloud, name: str, metric: str, periods: "Periods", aggregation: "Aggregation"
) -> list[str]:
    """The series of one revision, each as JSON."""
    points: dict[str, list[Point]] = {}
    for number, values in sorted(_METRICS[metric](cloud, name, periods, aggregation).items()):
        for label, value in values.items():
            points.setdefault(label, []).append((periods.interval(number), value))
    return [json.dumps(_series(metric, found, label)) for label, found in points.items()]


_LABELS = (
    "resource.labels.revision_name",
    "resource.labels.service_name",
    "resource.labels.location",
)


def _least_period(request: web.Request) -> int:
    """Shortest alignment period: a minute, as Google's; a client of ours may ask for less, so as not to wait."""
    return 1 if request.headers.get(SHORT_PERIODS) else _LEAST_PERIOD_S


@dataclass(frozen=True, slots=True, kw_only=True)
class Periods:
    """Alignment periods of an interval, numbered from its end; there may be more than anybody could go through."""

    begin: float
    end: float
    period_s: int
    ingested_until: float

    def group(self, observed: Iterable[Observed]) -> dict[int, list[Observed]]:
        """What was observed and ingested, by the number of its period."""
        found: dict[int, list[Observed]] = {}
        for one in observed:
            if self.begin < one.at <= min(self.end, self.ingested_until):
                found.setdefault(int((self.end - one.at) // self.period_s), []).append(one)
        return found

    def interval(self, number: int) -> Interval:
        """Of the period with that number; the earliest one may be shorter."""
        end = self.end - number * self.period_s
        return max(self.begin, end - self.period_s), end


def _periods(query: Mapping[str, str], lag_s: float, least_period_s: int) -> Periods:
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
    return Periods(begin=begin, end=end, period_s=int(period[1]), ingested_until=ingested)


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
ValuesByPeriod: TypeAlias = "Mapping[int, Mapping[str, Value]]"
"""Of one revision: number of the period, label, value; nothing where nothing was observed."""


def _unknown_metric_error(aggregation: Aggregation) -> ApiError:
    return ApiError(501, f"The emulator does not aggregate by {aggregation}.")


def _request_count(
    cloud: EmulatedCloud, name: str, periods: Periods, aggregation: Aggregation
) -> ValuesByPeriod:
    if aggregation != ("ALIGN_DELTA", "REDUCE_SUM", _CLASS):
        raise _unknown_metric_error(aggregation)
    answered = periods.group(list(cloud.statistics.of(name).answered))
    return {
        n: dict(sorted(Counter(one.status_class for one in seen).items()))
        for n, seen in answered.items()
    }


def _request_latencies(
    cloud: EmulatedCloud, name: str, periods: Periods, aggregation: Aggregation
) -> ValuesByPeriod:
    aligner, reducer, group = aggregation
    if aligner != "ALIGN_DELTA" or reducer not in {*_SHARES, "REDUCE_SUM"} or group:
        raise _unknown_metric_error(aggregation)
    found: dict[int, Mapping[str, Value]] = {}
    for number, seen in periods.group(list(cloud.statistics.of(name).answered)).items():
        values = sorted(1000 * one.seconds for one in seen)
        told = (
            _distribution(values) if reducer == "REDUCE_SUM" else quantile(values, _SHARES[reducer])
        )
        found[number] = {} if told is None else {"": told}
    return found


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
    cloud: EmulatedCloud, name: str, periods: Periods, aggregation: Aggregation
) -> ValuesByPeriod:
    aligner, reducer, group = aggregation
    if aligner not in _ALIGNERS or reducer != "REDUCE_MAX" or group:
        raise _unknown_metric_error(aggregation)
    revision = cloud.state.revisions[name]
    limit = memory_limit(revision.containers[0].resources.limits["memory"])
    found: dict[int, Mapping[str, Value]] = {}
    for number, seen in periods.group(list(cloud.statistics.of(name).used)).items():
        share = quantile(sorted(one.megabytes / limit.mb for one in seen), _ALIGNERS[aligner])
        found[number] = {} if share is None else {"": share}
    return found


_MEMORY = "container/memory/utilizations"
_METRICS: dict[str, Callable[[EmulatedCloud, str, Periods, Aggregation], ValuesByPeriod]] = {
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
    if len(value) > _MOST_RESOURCES:
        raise ApiError(400, f"resourceNames may name at most {_MOST_RESOURCES} resources.")
    return list(dict.fromkeys(str(one) for one in value))


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
