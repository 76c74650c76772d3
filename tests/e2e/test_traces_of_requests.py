"""The function is told which check asks it; calls to the platform are spans of the rollout."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from pytest_deploygate.testing import LOCAL, DeploygateProject, ProjectFactory
from tests.loopback_server import ServerMaker
from tests.otlp_collector import OtlpCollector

pytestmark = pytest.mark.e2e
FILES = {
    "function/main.py": """
        def hello(request):
            return request.headers.get("traceparent", "none")
    """,
    "gates/cand/test_cand.py": """
        from pathlib import Path


        def test_it_is_told(candidate, verification):
            own = {"traceparent": "of my own"}
            told = [candidate.get().text, verification.post(json={"a": 1}).text]
            told.append(candidate.get(headers=own).text)
            Path("told.txt").write_text("\\n".join(told))


        def test_other(candidate):
            Path("other.txt").write_text(candidate.get().text)
    """,
}


@pytest.fixture
def project(tmp_path: Path) -> Iterator[DeploygateProject]:
    factory = ProjectFactory(tmp_path)
    yield factory(FILES, environment=LOCAL)
    factory.close()


@pytest.mark.parametrize("workers", [0, pytest.param(2, marks=pytest.mark.full)])
def test_request_names_the_span_of_its_check(
    project: DeploygateProject, http_server: ServerMaker, workers: int
) -> None:
    collector = OtlpCollector(http_server)
    run = project.deploy(workers=workers, **collector.variables)
    assert run.status == 0, run.output
    found = collector.spans()
    check = found["gates/cand/test_cand.py::test_it_is_told"]
    other = found["gates/cand/test_cand.py::test_other"]
    header = f"00-{check.trace_id.hex()}-{check.span_id.hex()}-01"
    told = (project.root / "told.txt").read_text().splitlines()
    assert told == [header, header, "of my own"]
    assert other.span_id.hex() in (project.root / "other.txt").read_text()
    call = found["asking where to upload the source"]
    assert call.kind == Span.SPAN_KIND_CLIENT
    assert call.parent_span_id == found["upload"].span_id
    assert found["upload"].parent_span_id == found["staging"].span_id
