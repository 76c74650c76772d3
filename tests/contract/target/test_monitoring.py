"""The platform's own statistics: samples of Google's documentation, and the same calls on the emulator."""

import json
import urllib.parse
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import pytest
import requests

from pytest_deploygate.checks.platform import parse_statistics
from pytest_deploygate.core.function_spec import FunctionSpec
from pytest_deploygate.core.identifiers import RevisionName
from pytest_deploygate.core.measurement import Sample
from pytest_deploygate.core.units import Memory
from pytest_deploygate.targets.api_caller import ApiCaller
from pytest_deploygate.targets.cloud_monitoring import CloudMonitoring, open_metrics
from tests.contract.discovery import Json, call_problems
from tests.contract.target.google_replies import error, reply
from tests.contract.target.staged_function import HurriedClock, StagedFunction
from tests.emulator.emulator_driver import until
from tests.fakes import FakeClock
from tests.loopback_server import Asked, Reply, ServerMaker, serving

SPEC = FunctionSpec(
    function="process_invoice",
    project="p1",
    region="us-central1",
    runtime="python312",
    entry_point="process_invoice",
    source="/src",
    memory="1Gi",
)
REVISION = RevisionName("r-1")


@pytest.fixture
def start() -> Iterator[ServerMaker]:
    """Starts servers that answer as the test says."""
    with serving() as maker:
        yield maker


def series(value: object, **labels: str) -> Json:
    """One series as projects.timeSeries.list answers it."""
    return {
        "metric": {"labels": labels, "type": "run.googleapis.com/request_count"},
        "resource": {"type": "cloud_run_revision", "labels": {"revision_name": "r-1"}},
        "metricKind": "DELTA",
        "valueType": "INT64",
        "points": [
            {
                "interval": {
                    "startTime": "2026-11-23T08:00:00Z",
                    "endTime": "2026-11-23T08:05:00Z",
                },
                "value": value,
            }
        ],
    }


COUNTS = [
    series({"int64Value": "190"}, response_code_class="2xx"),
    series({"int64Value": "10"}, response_code_class="5xx"),
]
ANSWERS = {
    "request_count": COUNTS,
    "request_latencies": [series({"doubleValue": 2500.0})],
    "utilizations": [series({"doubleValue": 0.5})],
}
KILLED = {"entries": [{"textPayload": "Memory limit of 1024 MiB exceeded with 1100 MiB used."}]}


def answer_metrics(asked: Asked) -> Reply:
    if asked.method == "POST":
        return reply(KILLED)
    path = urllib.parse.unquote(asked.path)
    return reply({"timeSeries": next(v for k, v in ANSWERS.items() if k in path)})


def monitoring(url: str, *, lag_s: int = 0, least_requests: int = 10) -> CloudMonitoring:
    return CloudMonitoring(
        SPEC,
        requests.Session(),
        ApiCaller(FakeClock(), timeout_s=5),
        monitoring_url=f"{url}/v3",
        logging_url=f"{url}/v2",
        lag_s=lag_s,
        least_requests=least_requests,
    )


def values(sample: Sample) -> dict[str, float]:
    return {m.name: float(m.value) for m in sample.measurements}


# -- against what the documentation shows ----------------------------------------------------------


def test_measurements_are_those_of_the_triggers(start: ServerMaker) -> None:
    found = monitoring(start(answer_metrics).url).sample(REVISION, 300)
    assert {m.name: (float(m.value), m.unit) for m in found.measurements} == {
        "request_count": (200.0, ""),
        "request_count_2xx": (190.0, ""),
        "request_count_5xx": (10.0, ""),
        "error_rate": (0.05, ""),
        "processing_time_s": (2.5, "s"),
        "memory_usage_mb": (536.870912, "MB"),
        "memory_kills": (1.0, ""),
    }
    assert found.problems == ()
    assert all((m.revision, m.check) == ("r-1", "") for m in found.measurements)


@pytest.mark.parametrize(("asked_s", "window_s"), [(5, 60), (600, 600)])
def test_questions_are_those_that_the_apis_have(
    start: ServerMaker, asked_s: int, window_s: int
) -> None:
    server = start(answer_metrics)
    monitoring(server.url, lag_s=240).sample(REVISION, asked_s)
    assert [a.method for a in server.asked] == ["GET", "GET", "GET", "POST"]
    end = FakeClock().now() - timedelta(seconds=240)
    begin = end - timedelta(seconds=window_s)
    for one in server.asked:
        path, _, query = one.path.partition("?")
        body = json.loads(one.body) if one.body else None
        call: Json = {"method": one.method, "path": path, "query": query, "request": body}
        assert call_problems({**call, "http": 200, "response": None}) == []
        given = dict(urllib.parse.parse_qsl(query))
        asked_for = given["filter"] if body is None else body["filter"]
        assert 'revision_name="r-1"' in asked_for
        if body is None:
            assert given["aggregation.alignmentPeriod"] == f"{window_s}s"
            times = [datetime.fromisoformat(given[f"interval.{t}Time"]) for t in ("start", "end")]
            assert times == [begin, end]
            assert end.tzinfo is UTC
        else:
            assert body["resourceNames"] == ["projects/p1"]
            assert f'timestamp>="{begin.isoformat().replace("+00:00", "Z")}"' in asked_for


def test_a_handful_of_requests_makes_no_rate(start: ServerMaker) -> None:
    server = start(answer_metrics)
    found = values(monitoring(server.url, least_requests=201).sample(REVISION, 300))
    assert found["request_count_5xx"] == 10
    assert {"error_rate", "processing_time_s"}.isdisjoint(found)
    assert found["memory_usage_mb"] > 0
    assert "error_rate" in values(monitoring(server.url, least_requests=200).sample(REVISION, 300))


@pytest.mark.parametrize(
    "nothing",
    [reply({}), error(404, "NOT_FOUND", "Cannot find metric(s) that match type = ...")],
    ids=["no-series", "metric-never-written"],
)
def test_what_is_not_known_is_left_out(start: ServerMaker, nothing: Reply) -> None:
    server = start(lambda asked: nothing if asked.method == "GET" else reply({}))
    found = monitoring(server.url).sample(REVISION, 300)
    assert values(found) == {"memory_kills": 0.0}
    assert found.problems == ()


def test_an_api_that_does_not_answer_is_a_problem_and_the_other_is_asked_all_the_same(
    start: ServerMaker,
) -> None:
    down = error(503, "UNAVAILABLE", "later")
    server = start(lambda asked: down if asked.method == "GET" else reply(KILLED))
    found = monitoring(server.url).sample(REVISION, 300)
    assert values(found) == {"memory_kills": 1.0}
    [problem] = found.problems
    assert problem.startswith("reading request_count of r-1: 503 UNAVAILABLE: later")


def test_a_log_that_may_not_be_read_costs_the_kills_alone(start: ServerMaker) -> None:
    denied = error(403, "PERMISSION_DENIED", "Permission denied for all log views")
    server = start(lambda asked: denied if asked.method == "POST" else answer_metrics(asked))
    found = monitoring(server.url).sample(REVISION, 300)
    assert "memory_kills" not in values(found)
    assert values(found)["error_rate"] == 0.05
    [problem] = found.problems
    assert "reading the log of r-1: 403" in problem
    assert "roles/logging.viewer" in problem


@pytest.mark.parametrize(
    "body",
    [b"<html>", b"[]", b'{"timeSeries": 7}', b'{"timeSeries": [{"points": [{"value": {}}]}]}'],
)
def test_answers_that_make_no_sense_are_no_measurement(start: ServerMaker, body: bytes) -> None:
    server = start(
        lambda asked: Reply(body=body) if asked.method == "GET" else reply({"entries": 7})
    )
    found = monitoring(server.url).sample(REVISION, 300)
    assert found.measurements == ()
    assert any("reading the log" in problem for problem in found.problems)


# -- the same code on the emulator --------------------------------------------------------------


def on(
    shared: StagedFunction, revision: RevisionName, *, lag_s: int = 0, window_s: int = 3600
) -> Sample:
    metrics = open_metrics(
        shared.target.spec,
        endpoint=shared.driver.cloud.endpoint,
        is_local=True,
        clock=HurriedClock(),
        lag_s=lag_s,
        least_requests=10,
    )
    return metrics.sample(revision, window_s)


@pytest.fixture
def inject_fault(shared: StagedFunction) -> Iterator[Callable[..., None]]:
    """Injects a fault into the baseline until the test ends."""

    def ask(**wanted: object) -> None:
        shared.driver.local("POST", f"revisions/{shared.baseline}/inject_fault", wanted)

    yield ask
    shared.driver.local("DELETE", f"revisions/{shared.baseline}/inject_fault")


def test_the_emulator_tells_what_it_served(
    shared: StagedFunction, inject_fault: Callable[..., None]
) -> None:
    before = values(on(shared, shared.baseline))
    shared.serving()  # 20 requests
    inject_fault(error_ratio=1.0, status=503)
    url = shared.read().uri
    assert [shared.driver.get(url).status_code for _ in range(20)] == [503] * 20
    found = on(shared, shared.baseline)
    assert found.problems == ()
    after = values(found)
    assert after["request_count_2xx"] - before.get("request_count_2xx", 0) == 20
    assert after["request_count_5xx"] - before.get("request_count_5xx", 0) == 20
    assert after["error_rate"] == after["request_count_5xx"] / after["request_count"]
    assert after["processing_time_s"] > 0
    assert 10 < after["memory_usage_mb"] < Memory.parse(shared.target.spec.memory).mb
    assert after["memory_kills"] == 0


def test_checks_and_platform_tell_one_figure_of_the_memory_of_one_revision(
    shared: StagedFunction, inject_fault: Callable[..., None]
) -> None:
    """One trigger is held against both, so that a MB of theirs must be the same number of bytes: a MiB is 5 % more."""
    shared.serving()
    inject_fault(memory_mb=300)  # beside which it does not matter what the process does meanwhile

    def figures() -> tuple[float, float]:
        by_platform = values(on(shared, shared.baseline)).get("memory_usage_mb", 0.0)
        answer = shared.driver.local("GET", f"revisions/{shared.baseline}/statistics")
        by_check = parse_statistics(answer).memory_peak_mb  # type: ignore[arg-type]  # it is JSON
        return by_platform, by_check or 0.0

    by_platform, by_check = until(
        figures, lambda both: min(both) > 300 and abs(both[0] / both[1] - 1) < 0.02, seconds=60
    )
    assert by_check == pytest.approx(by_platform, rel=0.02)


def test_what_is_younger_than_the_lag_is_not_told(shared: StagedFunction) -> None:
    shared.serving()
    assert values(on(shared, shared.baseline))["request_count"] >= 20
    assert values(on(shared, shared.baseline, lag_s=3600)) == {"memory_kills": 0.0}


def test_a_revision_that_was_never_asked_has_no_rate(shared: StagedFunction) -> None:
    found = values(on(shared, shared.verification))
    assert {"request_count", "error_rate", "processing_time_s"}.isdisjoint(found)


def test_a_killed_instance_is_found_in_the_log(
    shared: StagedFunction, inject_fault: Callable[..., None]
) -> None:
    url = shared.read().uri
    shared.driver.get(url)
    inject_fault(memory_mb=2000)
    until(lambda: values(on(shared, shared.baseline)), lambda f: f["memory_kills"] > 0, seconds=60)
    found = values(on(shared, shared.baseline))  # the log is asked last, so it may have known more
    assert found["memory_usage_mb"] > Memory.parse(shared.target.spec.memory).mb


def test_a_monitoring_api_that_is_down_is_said(shared: StagedFunction) -> None:
    shared.driver.fault(path="/timeSeries", http=503, status="UNAVAILABLE", times=None)
    [problem] = on(shared, shared.baseline).problems
    assert "503 UNAVAILABLE" in problem
