"""What the platform itself measured decides, too: real visitors, the emulator's Monitoring API, both targets."""

import json
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import pytest
import requests

from pytest_deploygate.core.identifiers import Phase
from pytest_deploygate.store.sql import open_store
from pytest_deploygate.system.clock import SystemClock
from pytest_deploygate.testing import SessionOutcome
from tests.contract.target.keys import service_account
from tests.e2e.checkout import Checkout
from tests.e2e.greeting_project import small_project
from tests.loopback_server import Reply, serving

pytestmark = [pytest.mark.e2e, pytest.mark.full]

TRIGGERS = """
[tool.deploygate.triggers.high_error_rate]
fires-when = ["error_rate > 0.10"]
severity = "critical"
needed-in = []

[tool.deploygate.triggers.memory_exhaustion]
fires-when = ["memory_usage_mb > 1500", "memory_kills > 0"]
severity = "high"
"""
GOOGLE = """
[tool.deploygate.environments.cloud]
target = "google"
function = "hello-world"
project = "local-project"
region = "us-central1"
runtime = "python312"
entry-point = "hello"
source = "function"
memory = "256M"
public = true
endpoint = "{endpoint}"
statistics = {{ lag-s = 0 }}
"""


@pytest.fixture
def project(tmp_path: Path, build_cache: Path) -> Iterator[Checkout]:
    """Two releases, one of which serves; no check measures anything."""
    project = small_project(tmp_path / "small", build_cache)
    settings = project.root / "pyproject.toml"
    settings.write_text(settings.read_text() + TRIGGERS)
    try:
        yield project
    finally:
        project.close()


def release(project: Checkout, text: str) -> str:
    with (project.root / "function" / "main.py").open("a", encoding="utf-8") as file:
        file.write(f"\n# {text}\n")
    run = project.deploy("-q", "-n0")
    assert run.status == 0, run.output
    return project.answering()


def visit(project: Checkout, count: int) -> None:
    url = project.url
    for _ in range(count):
        requests.get(url, timeout=30)


def inject_fault(project: Checkout, revision: str, **wanted: object) -> None:
    project.call_emulator(f"revisions/{revision}/inject_fault", **wanted)


def check(project: Checkout, environment: str = "local", **variables: str) -> SessionOutcome:
    return project.pytest("-m", "rollback-checks", f"--deploy-env={environment}", **variables)


def test_visitors_that_met_errors_roll_back_although_every_check_passes(project: Checkout) -> None:
    first, second = release(project, "one"), release(project, "two")
    visit(project, 20)
    kept = project.pytest("-m", "rollback-checks", "--deploy-env=local", "-v")
    assert kept.status == 0, kept.output
    assert f"deploygate: statistics: {second}: request_count " in kept.output
    assert ", error_rate 0, " in kept.output
    assert "memory_usage_mb" in kept.output

    inject_fault(project, second, error_ratio=0.5)
    visit(project, 60)
    inject_fault(project, second, error_ratio=0)
    back = check(project)
    assert back.status == 1, back.output
    assert project.answering() == first
    assert back.property("reason_code") == "trigger_fired"
    assert "error_rate is 0." in back.property("reason")
    assert f"(platform: {second}), and error_rate > 0.10" in back.property("reason")
    with_statistics(project, back, second)


def with_statistics(project: Checkout, run: SessionOutcome, revision: str) -> None:
    """The record has what the platform measured, and of which revision."""
    store = open_store(f"sqlite:///{project.root}/.deploygate/state.db", SystemClock())
    record = store.rollout(run.property("rollout_id"))  # type: ignore[arg-type]
    store.close()
    assert record is not None
    measured = {m.label: m.value for m in record.measurements[Phase.LIVE]}
    assert measured[f"error_rate@{revision}"] > Fraction(1, 10)
    assert measured[f"request_count_5xx@{revision}"] == 30


def test_statistics_that_cannot_be_read_roll_nothing_back_and_are_said(project: Checkout) -> None:
    release(project, "one")
    second = release(project, "two")
    fault = {"path": "/timeSeries", "http": 503, "status": "UNAVAILABLE", "times": None}
    answer = requests.post(f"{project.endpoint}/_local/faults", json=[fault], timeout=30)
    assert answer.ok, answer.text
    unknown = check(project)
    assert unknown.status == 1, unknown.output
    assert unknown.property("verdict") == "UNKNOWN"
    assert unknown.property("reason_code") == "trigger_unknown"
    assert "trigger memory_exhaustion needs memory_usage_mb" in unknown.property("reason")
    assert "503 UNAVAILABLE" in unknown.property("reason")
    said = "the platform's statistics could not be read: reading request_count"
    assert said in unknown.property("live.statistics")
    assert f"deploygate: note: {said}" in unknown.output
    assert project.answering() == second


def test_the_code_for_google_asks_the_same_and_rolls_back(
    project: Checkout, tmp_path: Path
) -> None:
    """A ``google`` environment with credentials of its own, whose APIs the emulator stands in for."""
    first, second = release(project, "one"), release(project, "two")
    settings = project.root / "pyproject.toml"
    settings.write_text(settings.read_text() + GOOGLE.format(endpoint=project.endpoint))
    token = {"access_token": "of-the-deployer", "expires_in": 3600, "token_type": "Bearer"}
    with serving() as start:
        server = start(lambda asked: Reply(body=json.dumps(token).encode()))
        key = service_account(tmp_path, f"{server.url}/token")
        variables = {"GOOGLE_APPLICATION_CREDENTIALS": str(key)}
        visit(project, 20)
        kept = check(project, "cloud", **variables)
        assert kept.status == 0, kept.output
        inject_fault(project, second, error_ratio=0.5)
        visit(project, 60)
        inject_fault(project, second, error_ratio=0)
        back = check(project, "cloud", **variables)
    assert back.status == 1, back.output
    assert back.property("reason_code") == "trigger_fired"
    assert project.answering() == first
    assert "of-the-deployer" not in kept.output + back.output
