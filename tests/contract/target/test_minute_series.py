"""Figures minute by minute: samples in the documented form, and the same calls on the emulator."""

import urllib.parse
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
import requests

from pytest_deploygate.core.identifiers import RevisionName
from pytest_deploygate.core.latency_histogram import LatencyHistogram
from pytest_deploygate.core.minute_counts import MinuteCounts, MinuteSeries
from pytest_deploygate.targets.cloud_monitoring import open_metrics
from tests.contract.discovery import Json, call_problems
from tests.contract.target.google_replies import error, reply
from tests.contract.target.staged_function import HurriedClock, StagedFunction
from tests.contract.target.test_monitoring import REVISION, monitoring
from tests.loopback_server import Asked, Reply, ServerMaker, serving

BEGIN = datetime(2026, 11, 23, 8, 0, tzinfo=UTC)


@pytest.fixture
def start() -> Iterator[ServerMaker]:
    """Starts servers that answer as the test says."""
    with serving() as maker:
        yield maker


def point(minute: int, value: Json) -> Json:
    end = (BEGIN + timedelta(minutes=minute + 1)).isoformat().replace("+00:00", "Z")
    return {"interval": {"startTime": end, "endTime": end}, "value": value}


def counted(minute: int, number: int) -> Json:
    return point(minute, {"int64Value": str(number)})


def of_class(name: str, *points: Json) -> Json:
    return {"metric": {"labels": {"response_code_class": name}}, "points": list(points)}


EXPLICIT = {"explicitBuckets": {"bounds": [100.0, 200.0]}}
LINEAR = {"linearBuckets": {"numFiniteBuckets": 1, "width": 100.0, "offset": 100.0}}
EXPONENTIAL = {"exponentialBuckets": {"numFiniteBuckets": 1, "growthFactor": 2.0, "scale": 100.0}}


def answers(options: Json) -> dict[str, Json]:
    spread: Json = {"count": "5", "bucketOptions": options, "bucketCounts": ["2", "3"]}
    return {
        "request_count": {
            "timeSeries": [
                of_class("2xx", counted(2, 90), counted(0, 50)),
                of_class("5xx", counted(2, 10)),
                of_class("4xx", counted(2, 1), counted(7, 1000)),
            ]
        },
        "request_latencies": {
            "timeSeries": [{"points": [point(2, {"distributionValue": spread})]}]
        },
    }


def answering(told: dict[str, Json]) -> "ServerMaker | object":
    def answer(asked: Asked) -> Reply:
        path = urllib.parse.unquote(asked.path)
        return reply(next(value for metric, value in told.items() if metric in path))

    return answer


@pytest.mark.parametrize("options", [EXPLICIT, LINEAR, EXPONENTIAL])
def test_each_minute_has_its_counts_and_its_latencies(start: ServerMaker, options: Json) -> None:
    server = start(answering(answers(options)))  # type: ignore[arg-type]  # a handler
    found = monitoring(server.url).minutes(REVISION, BEGIN, 3)
    spread = LatencyHistogram((0.1, 0.2), (2, 3, 0))
    assert found == MinuteSeries(
        minutes=(MinuteCounts(50), MinuteCounts(), MinuteCounts(101, 10, spread))
    )


def test_minutes_are_asked_for_as_the_api_has_them(start: ServerMaker) -> None:
    server = start(answering(answers(EXPLICIT)))  # type: ignore[arg-type]  # a handler
    monitoring(server.url).minutes(REVISION, BEGIN, 3)
    for one in server.asked:
        path, _, query = one.path.partition("?")
        call: Json = {"method": one.method, "path": path, "query": query, "request": None}
        assert call_problems({**call, "http": 200, "response": None}) == []
        given = dict(urllib.parse.parse_qsl(query))
        assert given["aggregation.alignmentPeriod"] == "60s"
        assert given["interval.startTime"] == "2026-11-23T08:00:00Z"
        assert given["interval.endTime"] == "2026-11-23T08:03:00Z"
    assert len(server.asked) == 2


def test_nothing_is_asked_of_no_time(start: ServerMaker) -> None:
    server = start(answering({}))  # type: ignore[arg-type]  # a handler
    assert monitoring(server.url).minutes(REVISION, BEGIN, 0) == MinuteSeries()
    assert server.asked == []


def test_minutes_without_requests_are_empty(start: ServerMaker) -> None:
    server = start(lambda _: error(404, "NOT_FOUND", "Cannot find metric(s) that match type = ..."))
    assert monitoring(server.url).minutes(REVISION, BEGIN, 2).minutes == (MinuteCounts(),) * 2


@pytest.mark.parametrize(
    "wrong",
    [
        {"timeSeries": 7},
        {"timeSeries": [{"points": [point(0, {})]}]},
        {"timeSeries": [{"points": [point(0, {"int64Value": "x"})]}]},
        {"timeSeries": [{"points": [{"value": {"int64Value": "1"}}]}]},
        {"timeSeries": [{}]},
    ],
)
def test_figures_that_cannot_be_read_are_a_problem_and_no_figures(
    start: ServerMaker, wrong: Json
) -> None:
    server = start(lambda _: reply(wrong))
    found = monitoring(server.url).minutes(REVISION, BEGIN, 2)
    assert found.minutes == ()
    assert "figures by minute cannot be read" in found.problems[0]


@pytest.mark.parametrize(
    "spread",
    [
        7,
        {"bucketOptions": EXPLICIT, "bucketCounts": ["1", "1", "1", "1"]},
        {"bucketOptions": {"explicitBuckets": {}}, "bucketCounts": ["1", "1"]},
        {"bucketCounts": ["1"]},
    ],
)
def test_a_distribution_that_contradicts_itself_is_a_problem(
    start: ServerMaker, spread: object
) -> None:
    wrong: Json = {"timeSeries": [{"points": [point(0, {"distributionValue": spread})]}]}
    told: dict[str, Json] = {"request_count": {}, "request_latencies": wrong}
    server = start(answering(told))  # type: ignore[arg-type]  # a handler
    assert monitoring(server.url).minutes(REVISION, BEGIN, 2).minutes == ()


def test_an_api_that_is_down_is_a_problem(start: ServerMaker) -> None:
    server = start(lambda _: error(503, "UNAVAILABLE", "later"))
    assert "503 UNAVAILABLE" in monitoring(server.url).minutes(REVISION, BEGIN, 2).problems[0]


# -- the same code on the emulator --------------------------------------------------------------


def on(shared: StagedFunction, revision: RevisionName, begin: datetime, count: int) -> MinuteSeries:
    metrics = open_metrics(
        shared.target.spec,
        endpoint=shared.driver.cloud.endpoint,
        is_local=True,
        clock=HurriedClock(),
        lag_s=0,
        least_requests=10,
    )
    assert metrics.period_s == 1
    return metrics.minutes(revision, begin, count)


def test_the_emulator_counts_by_period_and_gives_latencies_as_a_histogram(
    shared: StagedFunction,
) -> None:
    begin = datetime.now(UTC)
    shared.serving()  # 20 requests
    shared.driver.local("POST", f"revisions/{shared.baseline}/inject_fault", {"error_ratio": 1.0})
    try:
        url = shared.read().uri
        for _ in range(5):
            shared.driver.get(url)
    finally:
        shared.driver.local("DELETE", f"revisions/{shared.baseline}/inject_fault")
    found = on(shared, shared.baseline, begin, 120)
    assert found.problems == ()
    assert len(found.minutes) == 120
    assert sum(one.requests for one in found.minutes) == 25
    assert sum(one.errors for one in found.minutes) == 5
    assert all(one.latencies.total == one.requests for one in found.minutes)
    assert (
        sum(one.requests for one in on(shared, shared.baseline, begin - timedelta(60), 60).minutes)
        == 0
    )


def test_the_emulator_takes_no_period_below_a_minute_from_other_clients(
    shared: StagedFunction,
) -> None:
    query = {
        "filter": 'metric.type="run.googleapis.com/request_count"',
        "interval.startTime": "2026-11-23T08:00:00Z",
        "interval.endTime": "2026-11-23T08:01:00Z",
        "aggregation.alignmentPeriod": "1s",
    }
    url = f"{shared.driver.cloud.endpoint}/v3/projects/p/timeSeries"
    assert requests.get(url, params=query, timeout=10).status_code == 400
