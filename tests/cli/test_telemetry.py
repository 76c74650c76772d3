"""The log, the metrics, the textfile, the collector; and that none of them ever decides anything."""

import json
import logging
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from prometheus_client.parser import text_string_to_metric_families

from pytest_deploygate.core.identifiers import (
    Actor,
    EnvironmentName,
    Phase,
    RevisionName,
    RolloutId,
)
from pytest_deploygate.core.record import RolloutRecord
from pytest_deploygate.core.state_machine import State
from pytest_deploygate.telemetry import event_log, metrics, prometheus
from pytest_deploygate.telemetry.metrics import GAUGES
from tests.cli.cli_project import CliProject

BEGAN = datetime(2026, 11, 23, 8, tzinfo=UTC)
PROMOTED = RolloutRecord(
    rollout_id=RolloutId("r-1"),
    environment=EnvironmentName("production"),
    purpose="deploy",
    actor=Actor(user="ada", host="ci", pid=7),
    began_at=BEGAN,
    ended_at=BEGAN + timedelta(seconds=42),
    state=State.PROMOTED,
    candidate=RevisionName("svc-2"),
    serving=RevisionName("svc-2"),
    reason_code="held",
    backup="backup-1",
    scores={Phase.CANDIDATE: Fraction(9, 10), Phase.LIVE: Fraction(1)},
)
WENT_BACK = PROMOTED._replace(
    state=State.ROLLED_BACK,
    reason_code="gate_failed",
    reason="gate health failed",
    serving=RevisionName("svc-1"),
    scores={Phase.CANDIDATE: Fraction(1, 2)},
    rollback_s=1.5,
)
LATER = WENT_BACK._replace(purpose="rollback-checks", reason_code="trigger_fired")
BY_HAND = WENT_BACK._replace(purpose="rollback", reason_code="requested")
REFUSED = PROMOTED._replace(state=State.REFUSED, reason_code="gate_failed", scores={})
UNCHANGED = PROMOTED._replace(candidate=None, reason_code="nothing_to_deploy")
OPEN = PROMOTED._replace(state=State.SERVING, ended_at=None)


def event_of(record: RolloutRecord, folder: Path) -> dict[str, object]:
    with event_log.log_to(folder / "log.jsonl"):
        event_log.log_ending(record)
    line = json.loads((folder / "log.jsonl").read_text())
    assert isinstance(line, dict)
    return line


def test_promotion_is_logged_with_the_fields_of_the_original_task(tmp_path: Path) -> None:
    line = event_of(PROMOTED, tmp_path)
    assert list(line)[:4] == ["at", "level", "event", "correlation_id"]
    assert (line["level"], line["event"]) == ("INFO", "deployment.completed")
    assert line["correlation_id"] == "r-1"
    assert line["deployment_duration_seconds"] == 42
    assert line["post_deployment_validation_score"] == 1
    assert line["backup_identifier"] == "backup-1"


@pytest.mark.parametrize(
    ("state", "is_restored"), [(State.ROLLED_BACK, True), (State.STRANDED, False)]
)
def test_failure_is_logged_with_the_fields_of_the_original_task(
    tmp_path: Path, state: State, is_restored: bool
) -> None:
    line = event_of(WENT_BACK._replace(state=state), tmp_path)
    assert (line["level"], line["event"]) == ("ERROR", "deployment.failed")
    assert line["deployment_error"] == "gate health failed"
    assert line["rollback_successful"] is is_restored
    assert line["rollback_reason"] == "gate health failed"


@pytest.mark.parametrize(
    ("record", "event"),
    [
        (REFUSED, "deployment.refused"),
        (LATER, "rollback.completed"),
        (BY_HAND._replace(state=State.STRANDED), "rollback.failed"),
        (PROMOTED._replace(purpose="adopt"), "revision.adopted"),
    ],
)
def test_every_ending_has_one_event(record: RolloutRecord, event: str, tmp_path: Path) -> None:
    assert event_of(record, tmp_path)["event"] == event


def test_log_keeps_what_others_extra_fields_would_overwrite(tmp_path: Path) -> None:
    with event_log.log_to(tmp_path / "log.jsonl", lambda text: text.replace("hidden", "***")):
        log = logging.getLogger("pytest_deploygate.somewhere")
        log.info("it.happened", extra={"event": "other", "reason": "hidden", "count": 3})
        log.debug("too.fine")
    (line,) = map(json.loads, (tmp_path / "log.jsonl").read_text().splitlines())
    assert (line["event"], line["reason"], line["count"]) == ("it.happened", "***", 3)


def test_log_is_given_back(tmp_path: Path) -> None:
    package = logging.getLogger("pytest_deploygate")
    before = (package.level, list(package.handlers))
    with event_log.log_to(tmp_path / "log.jsonl"):
        pass
    assert (package.level, list(package.handlers)) == before


def test_log_that_cannot_be_written_is_noted(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with event_log.log_to(tmp_path / "file" / "log.jsonl") as handler:
        event_log.log_ending(PROMOTED)
    assert "cannot be written" in handler.problem


def test_figures_of_a_history() -> None:
    history = [OPEN, BY_HAND, LATER, REFUSED, UNCHANGED, WENT_BACK, PROMOTED, PROMOTED, PROMOTED]
    found = metrics.compute_metrics("production", history)
    assert found.deployment_success_rate == 3 / 4
    assert found.deployment_duration_seconds == 42
    assert found.post_deployment_validation_score == 0.5
    assert found.rollback_trigger_rate == 2 / 4
    assert found.rollouts["deploy/PROMOTED"] == 4
    assert dict(found.rollbacks) == {"requested": 1, "trigger_fired": 1, "gate_failed": 1}


def test_figures_of_no_history_are_not_known() -> None:
    found = metrics.compute_metrics("production", [])
    assert found.deployment_success_rate is None
    assert found.rollback_trigger_rate is None


def test_textfile_can_be_read_by_prometheus(tmp_path: Path) -> None:
    path = tmp_path / "metrics" / "deploygate.prom"
    prometheus.write_textfile(path, [metrics.compute_metrics("production", [WENT_BACK, PROMOTED])])
    families = {f.name: f for f in text_string_to_metric_families(path.read_text())}
    values = {name: family.samples[0].value for name, family in families.items() if family.samples}
    assert values["deployment_success_rate"] == 0.5
    assert values["deployment_duration_seconds"] == 42
    assert values["post_deployment_validation_score"] == 0.5
    assert values["rollback_trigger_rate"] == 0.5
    assert families["deploygate_rollouts"].type == "counter"
    assert families["deployment_success_rate"].samples[0].labels == {"environment": "production"}


# -- in sessions -----------------------------------------------------------------------------------


def test_session_leaves_log_and_metrics_that_outlive_it(project: CliProject) -> None:
    project.write_settings(more='prometheus-textfile = "metrics/deploygate.prom"')
    project.say("health", "bad")
    assert project.release("v3").status == 1
    text = (project.root / "metrics" / "deploygate.prom").read_text()
    assert (
        'deploygate_rollouts_total{environment="fake",purpose="deploy",state="PROMOTED"} 2.0'
        in text
    )
    assert 'deployment_success_rate{environment="fake"} 0.6666666666666666' in text
    (event,) = project.events("deployment.failed")
    assert event["rollback_successful"] is True
    assert [
        e["post_deployment_validation_score"] for e in project.events("deployment.completed")
    ] == [
        1,
        1,
    ]


def test_record_that_cannot_be_written_is_noted_and_changes_no_verdict(project: CliProject) -> None:
    project.write_settings(more='prometheus-textfile = "main.py/deploygate.prom"')
    log = project.root / ".deploygate" / "log.jsonl"
    log.unlink()
    log.mkdir()
    done = project.release("v3")
    assert done.status == 0
    assert project.shares == {"svc-00003": 100}
    assert "note: not everything was recorded: main.py/deploygate.prom" in done.out
    assert "log.jsonl cannot be written" in done.out


class _Collector(BaseHTTPRequestHandler):
    received: "list[bytes]"

    def do_POST(self) -> None:
        self.received.append(self.rfile.read(int(self.headers["Content-Length"])))
        self.send_response(200)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 # theirs
        pass


@contextmanager
def collector() -> Iterator[tuple[str, list[bytes]]]:
    received: list[bytes] = []
    handler = type("Handler", (_Collector,), {"received": received})
    server = HTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.handle_request)
    server.timeout = 120
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", received
    finally:
        thread.join(120)
        server.server_close()


def test_metrics_reach_a_collector(project: CliProject) -> None:
    with collector() as (endpoint, received):
        done = project.release("v3", OTEL_EXPORTER_OTLP_METRICS_ENDPOINT=f"{endpoint}/v1/metrics")
        assert done.status == 0
    request = ExportMetricsServiceRequest.FromString(received[0])
    metrics = {
        metric.name: metric.gauge.data_points[0].as_double
        for resource in request.resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
    }
    assert metrics["deployment_success_rate"] == 1
    assert metrics["post_deployment_validation_score"] == 1
    assert set(metrics) == set(GAUGES)


@pytest.mark.parametrize(
    ("package", "extra"), [("prometheus_client", "prometheus"), ("opentelemetry", "opentelemetry")]
)
def test_extra_that_is_not_installed_is_named_and_changes_no_verdict(
    project: CliProject, package: str, extra: str
) -> None:
    (project.root / "bare.py").write_text(f"import sys\n\nsys.modules[{package!r}] = None\n")
    file = 'prometheus-textfile = "metrics.prom"' if extra == "prometheus" else ""
    project.write_settings(more=file)
    project.edit("pyproject.toml", "[tool.deploygate]", '[tool.deploygate]\nplugins = ["bare"]')
    done = project.release(
        "v3",
        **({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"} if extra != "prometheus" else {}),
    )
    assert done.status == 0, done.out
    assert project.shares == {"svc-00003": 100}
    assert f"pip install 'pytest-deploygate[{extra}]'" in done.out


def test_collector_that_never_answers_delays_nothing(project: CliProject) -> None:
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        deaf.settimeout(120)
        endpoint = f"http://127.0.0.1:{deaf.getsockname()[1]}"
        done = project.release("v3", OTEL_EXPORTER_OTLP_ENDPOINT=endpoint)
        assert done.status == 0
        connection, _ = deaf.accept()
        with connection:
            # The session has ended, and what it sent has not been answered yet.
            assert connection.recv(4) == b"POST"
