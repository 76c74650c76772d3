"""One trace a rollout: what a collector receives, and that no collector decides or delays anything."""

import socket
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Status

from pytest_deploygate.core.trace_context import read_traceparent
from tests.cli.cli_project import CliProject
from tests.loopback_server import ServerMaker
from tests.otlp_collector import OtlpCollector, attributes

TRACE, JOB = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
SECRET = "hunter2-is-a-secret"


@pytest.fixture
def collector(http_server: ServerMaker) -> OtlpCollector:
    return OtlpCollector(http_server)


def test_rollout_is_one_trace_below_the_job(project: CliProject, collector: OtlpCollector) -> None:
    job = {"TRACEPARENT": f"00-{TRACE}-{JOB}-01"}
    done = project.release("v3", **collector.variables, **job)
    assert done.status == 0, done.output
    spans = collector.spans()
    root = spans["deploy fake"]
    assert {one.trace_id.hex() for one in spans.values()} == {TRACE}
    assert root.parent_span_id.hex() == JOB
    assert attributes(root)["deploygate.state"] == "PROMOTED"
    assert attributes(root)["deployment.id"] == done.property("rollout_id")
    ids = {one.span_id for one in spans.values()}
    assert all(one.parent_span_id in ids for one in spans.values() if one is not root)
    for phase, check in (
        ("readiness", "suites/test_ready.py::test_ready"),
        ("candidate", "suites/test_health.py::test_health"),
        ("live", "suites/test_live.py::test_live"),
    ):
        assert spans[check].parent_span_id == spans[f"phase {phase}"].span_id
        assert spans[f"phase {phase}"].parent_span_id == root.span_id
        assert attributes(spans[check])["test.case.result.status"] == "pass"
    assert {"staging", "promoting", "finalising", "upload", "shift"} <= set(spans)
    assert spans["upload"].parent_span_id == spans["staging"].span_id
    assert spans["shift"].parent_span_id == spans["promoting"].span_id
    assert all(
        root.start_time_unix_nano <= one.start_time_unix_nano <= one.end_time_unix_nano
        for one in spans.values()
    )
    context = read_traceparent(done.property("trace"))
    assert context is not None
    assert (context.trace_id, context.span_id) == (TRACE, root.span_id.hex())


def test_failing_check_and_its_rollout_are_errors(
    project: CliProject, collector: OtlpCollector
) -> None:
    project.say("health", "bad")
    assert project.release("v3", **collector.variables).status == 1
    spans = collector.spans()
    root = spans["deploy fake"]
    assert not root.parent_span_id
    errors = {name for name, one in spans.items() if one.status.code == Status.STATUS_CODE_ERROR}
    assert errors == {"deploy fake", "phase candidate", "suites/test_health.py::test_health"}
    assert "gate health failed" in root.status.message
    assert "bad" in spans["suites/test_health.py::test_health"].status.message
    assert "rolling back" in spans


def test_secret_is_in_no_span_and_no_header_of_another(
    project: CliProject, collector: OtlpCollector
) -> None:
    variables = {"PAYMENT_TOKEN": SECRET, "OTEL_EXPORTER_OTLP_HEADERS": "x-api-key=k3y-of-us"}
    body = f"""
        import pytest


        def test_health():
            assert "{SECRET} k3y-of-us" == "another"


        @pytest.mark.parametrize("text", ["{SECRET}", "k3y-of-us"])
        def test_more(text):
            assert text
    """
    project.write({"suites/test_health.py": body})
    done = project.release("v3", **collector.variables, **variables)
    assert done.status == 1
    asked = collector.asked()
    assert asked.headers["x-api-key"] == "k3y-of-us"
    assert b"another" in asked.body
    for secret in (SECRET, "k3y-of-us"):
        assert secret.encode() not in asked.body
        assert secret not in (project.root / ".deploygate" / "log.jsonl").read_text()
        assert secret not in (project.root / "junit.xml").read_text()


@pytest.mark.parametrize(
    "off",
    [
        {},
        {"TRACEPARENT": f"00-{TRACE}-{JOB}-00"},
        {"OTEL_SDK_DISABLED": "true"},
        {"OTEL_TRACES_EXPORTER": "none"},
    ],
)
def test_nothing_is_traced_where_it_is_off(
    project: CliProject, collector: OtlpCollector, off: dict[str, str]
) -> None:
    variables = {**(collector.variables if off else {}), **off}
    project.write({"loaded.py": LOADED})
    project.edit("pyproject.toml", "[tool.deploygate]", '[tool.deploygate]\nplugins = ["loaded"]')
    done = project.release("v3", **variables)
    assert done.status == 0, done.output
    assert "deploygate.trace" not in (project.root / "junit.xml").read_text()
    assert (project.root / "loaded.txt").read_text() == ""
    assert collector.is_unasked


LOADED = """
    import sys
    from pathlib import Path


    def pytest_deploygate_finished(rollout):
        loaded = [name for name in sys.modules if name.startswith("opentelemetry")]
        Path("loaded.txt").write_text(" ".join(loaded))
"""


@contextmanager
def deaf() -> Iterator[str]:
    """A collector that accepts connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


@contextmanager
def nobody() -> Iterator[str]:
    """An address where nothing listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{probe.getsockname()[1]}"


@pytest.mark.parametrize("down", [deaf, nobody])
def test_collector_that_is_down_changes_nothing(
    project: CliProject, down: Callable[[], AbstractContextManager[str]]
) -> None:
    with down() as url:
        done = project.release("v3", OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=f"{url}/v1/traces")
    assert done.status == 0, done.output
    assert project.shares == {"svc-00003": 100}
    assert "note:" not in done.out


@pytest.mark.full
def test_rollback_by_hand_is_a_trace(project: CliProject, collector: OtlpCollector) -> None:
    done = project.deploygate(
        "rollback", "fake", "--reason", "complaints", "--yes", **collector.variables
    )
    assert done.status == 0, done.output
    spans = collector.spans()
    assert attributes(spans["rollback fake"])["deploygate.reason"] == "complaints"
    assert spans["rollback fake"].status.code == Status.STATUS_CODE_UNSET
    assert "rolling back" in spans


@pytest.mark.full
def test_recovery_ends_the_trace_that_a_dead_session_began(
    project: CliProject, collector: OtlpCollector
) -> None:
    body = """
        import os, signal
        from pathlib import Path


        def test_health():
            judge = os.getppid()
            os.kill(judge, signal.SIGKILL)
            signal.pause()
    """
    project.write({"suites/test_health.py": body})
    job = {"TRACEPARENT": f"00-{TRACE}-{JOB}-01"}
    assert project.release("v3", **collector.variables, **job).status not in (0, 1)
    done = project.deploygate("recover", "fake", **collector.variables)
    assert done.status == 0, done.output
    spans = collector.spans()
    root = spans["deploy fake"]
    assert (root.trace_id.hex(), root.parent_span_id.hex()) == (TRACE, JOB)
    assert attributes(root)["deploygate.state"] == "ROLLED_BACK"
    with project.store() as store:
        (record, *_) = store.history(None, 1)
    context = read_traceparent(record.notes["trace"])
    assert context is not None
    assert context.span_id == root.span_id.hex()
