"""Statistics are read as the emulator writes them, and what is missing is None, never zero."""

import json

import pytest

from pytest_deploygate.checks.endpoint import Json
from pytest_deploygate.checks.platform import (
    LocalStatistics,
    RevisionStatistics,
    StatisticsMissing,
    parse_statistics,
)
from tests.loopback_server import Asked, Reply, ServerMaker

FULL: dict[str, Json] = {
    "requests": 40,
    "by_class": {"2xx": 30, "4xx": 8, "5xx": 2},
    "errors": 2,
    "latency_s": {"count": 40, "mean": 0.04, "p50": 0.03, "p95": 0.1, "max": 0.2},
    "memory_mb": {"now": 80.1, "peak": 93.4},
    "memory_kills": 1,
    "cold_starts": 1,
    "crashes": 0,
    "timeouts": 0,
}


def test_statistics_of_the_emulator_are_read(http_server: ServerMaker) -> None:
    def respond(asked: Asked) -> Reply:
        known = asked.path == "/_local/revisions/f-00002-abc/statistics"
        return Reply(status=200 if known else 404, body=json.dumps(FULL).encode())

    url = http_server(respond).url
    found = LocalStatistics(url, "f-00002-abc").read()
    assert found == RevisionStatistics(
        requests=40,
        errors_by_class={"4xx": 8, "5xx": 2},
        latency_mean_s=0.04,
        latency_p50_s=0.03,
        latency_p95_s=0.1,
        latency_max_s=0.2,
        memory_peak_mb=93.4,
        memory_kills=1,
        crashes=0,
    )
    assert found.server_errors == 2
    with pytest.raises(StatisticsMissing):
        LocalStatistics(url, "other").read()


def test_answer_that_is_no_object_is_missing(http_server: ServerMaker) -> None:
    with pytest.raises(StatisticsMissing):
        LocalStatistics(http_server(lambda _: Reply(body=b"[]")).url, "f").read()


def test_missing_values_are_none() -> None:
    assert parse_statistics({}) == RevisionStatistics()
    assert RevisionStatistics().server_errors is None
    assert parse_statistics({"by_class": {"2xx": 3}}).server_errors == 0


@pytest.mark.parametrize("value", [None, "12", True, -1, float("nan"), float("inf"), [], {}])
def test_values_that_are_no_figures_are_none(value: Json) -> None:
    broken: dict[str, Json] = {
        "requests": value,
        "by_class": {"5xx": value},
        "latency_s": {"mean": value, "p50": value, "p95": value, "max": value},
        "memory_mb": {"peak": value},
        "memory_kills": value,
        "crashes": value,
    }
    assert parse_statistics(broken) == RevisionStatistics()


def test_memory_that_was_never_measured_is_none() -> None:
    assert parse_statistics({"memory_mb": {"now": 0.0, "peak": 0.0}}).memory_peak_mb is None
