"""The candidate earns its traffic: real visitors, the emulator's figures, every end of a step."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from pytest_deploygate.core.identifiers import EnvironmentName
from pytest_deploygate.core.record import RecordedStep
from pytest_deploygate.core.state_machine import State
from pytest_deploygate.emulator.load_generator import LoadGenerator, Tally
from pytest_deploygate.testing import SessionOutcome
from tests.e2e.checkout import Checkout, until
from tests.e2e.greeting_project import small_project

DETACHED = 12
pytestmark = [pytest.mark.e2e, pytest.mark.slow]

ERRORS = """
[tool.deploygate.objectives.errors]
metric = "error_rate"
worse-by = "{margin}"
[tool.deploygate.triggers.high_error_rate]
fires-when = ["error_rate > 0.5"]
severity = "critical"
needed-in = []
"""
LATENCY = """
[tool.deploygate.objectives.latency]
metric = "processing_time_s"
quantile = 0.9
worse-by = "x1.25"
"""
STEPS = """[
    {{ percent = 5, for = "4s", at-most = "{at_most}", least-requests = 20 }},
    {{ percent = 25, for = "4s", at-most = "{at_most}" }}, {{ percent = 100, watch = "3s" }}]"""
FUNCTION = '''"""Errs and dawdles as its release says."""

import os
import time

FAILS_BELOW = {fails_below}
SLEEPS_S = {sleeps_s}


def hello(request):
    number = int(request.args.get("n", 100))
    if "n" in request.args:
        time.sleep(SLEEPS_S * (1 + number / 100))
    status = 500 if number < FAILS_BELOW else 200
    name = request.args.get("name", "world")
    return f"hello, {{name}}\\n", status, {{"X-Revision": os.environ["K_REVISION"]}}
'''


@pytest.fixture
def project(tmp_path: Path, build_cache: Path) -> Iterator[Checkout]:
    project = small_project(tmp_path / "small", build_cache)
    try:
        yield project
    finally:
        project.close()


def release(project: Checkout, *, fails_below: int = 0, sleeps_s: float = 0.01) -> None:
    text = FUNCTION.format(fails_below=fails_below, sleeps_s=sleeps_s)
    (project.root / "function" / "main.py").write_text(text, encoding="utf-8")


def judged(
    project: Checkout, *, margin: str = "8pp", at_most: str = "200s", latency: str = ""
) -> None:
    """From the second release on, steps are judged."""
    settings = project.root / "pyproject.toml"
    steps = STEPS.format(at_most=at_most).replace("\n", " ")
    text = settings.read_text(encoding="utf-8")
    text = text.replace("public = true\n", f"public = true\ndrill = true\nsteps = {steps}\n")
    settings.write_text(text + ERRORS.format(margin=margin) + latency, encoding="utf-8")


def first_release(project: Checkout, *, fails_below: int = 0) -> str:
    release(project, fails_below=fails_below)
    run = project.deploy("-q", "-n0")
    assert run.status == 0, run.output
    return project.answering()


@contextmanager
def visitors(project: Checkout, per_s: float = 50) -> Iterator[Tally]:
    """Visitors of the public URL while the block runs."""
    generator = LoadGenerator(project.url, per_s=per_s)
    thread = threading.Thread(target=generator.run, daemon=True)
    thread.start()
    try:
        yield generator.tally
    finally:
        generator.stop()
        thread.join(timeout=60)


def deploy(project: Checkout, *arguments: str) -> SessionOutcome:
    return project.deploy("-q", "-n0", *arguments)


def steps_of(project: Checkout) -> tuple[RecordedStep, ...]:
    record = project.last_rollout()
    assert record is not None
    return record.steps


@pytest.mark.full
def test_a_good_release_goes_through_all_steps_and_loses_nobody(project: Checkout) -> None:
    first_release(project)
    judged(project)
    release(project, sleeps_s=0.011)
    junit = project.root / "junit.xml"
    with visitors(project) as tally:
        run = deploy(project, f"--junitxml={junit}")
    assert run.status == 0, run.output
    assert [(step.percent, step.decision) for step in steps_of(project)] == [
        (5, "advance"),
        (25, "advance"),
        (100, "advance"),
    ]
    assert all(step.candidate_requests >= 20 for step in steps_of(project)[:1])
    assert tally.total > 100
    assert {status for _, status in tally.answers} == {"2xx"}
    properties = {
        str(p.get("name")): str(p.get("value"))
        for p in ET.fromstring(junit.read_bytes()).iter("property")
    }
    assert properties["deploygate.step.5.decision"] == "advance"
    assert "not worse by 8pp or more" in properties["deploygate.step.25.objective.errors"]
    for step in steps_of(project):
        told = f"deploygate.step.{step.percent}"
        assert properties[f"{told}.reason"] == step.reason
        assert properties[f"{told}.seconds"] == f"{step.seconds:.3f}"
        assert properties[f"{told}.candidate_requests"] == str(step.candidate_requests)
        assert properties[f"{told}.baseline_requests"] == str(step.baseline_requests)
    record = project.last_rollout()
    assert record is not None
    assert record.drill_s is not None
    shown = project.deploygate("show", "last")
    assert "advance" in shown.output, shown.output


def test_errors_that_no_gate_sees_are_stopped_at_the_first_step(project: Checkout) -> None:
    baseline = first_release(project)
    judged(project, margin="1pp")
    release(project, fails_below=8)
    with visitors(project) as tally:
        run = deploy(project)
    assert run.status == 1, run.output
    [step] = steps_of(project)
    assert (step.percent, step.decision, step.is_undecided) == (5, "abort", False)
    record = project.last_rollout()
    assert record is not None
    assert record.reason_code == "worse_than_baseline"
    assert project.answering() == baseline
    assert record.candidate is not None
    # 5 % of the requests were routed to it; a tenth more is luck
    assert 0 < tally.of_revision(record.candidate) <= 0.055 * tally.total + 10
    assert "errors: worse by more than 1pp" in run.output


@pytest.mark.full
def test_a_fresh_baseline_takes_its_share_is_compared_with_and_leaves(project: Checkout) -> None:
    baseline = first_release(project)
    judged(project)
    project.edit("pyproject.toml", "drill = true", 'drill = true\nbaseline = "fresh"')
    release(project, sleeps_s=0.011)
    junit = project.root / "junit.xml"
    with visitors(project) as tally:
        run = deploy(project, f"--junitxml={junit}")
        first = project.last_rollout()
    assert run.status == 0, run.output
    assert first is not None
    fresh, candidate = first.fresh_baseline, first.candidate
    assert fresh is not None
    assert candidate is not None
    assert project.shares == {candidate: 100}
    assert {status for _, status in tally.answers} == {"2xx"}
    for step in first.steps[:2]:
        assert step.decision == "advance"
        # equal shares, and not the twenty times as many of what serves besides
        assert 0.3 < step.candidate_requests / step.baseline_requests < 3
    assert tally.of_revision(fresh) > 20
    assert run.property("fresh_baseline_revision") == fresh
    assert fresh in project.deploygate("show", "last").output

    release(project, fails_below=60)
    with visitors(project):
        run = deploy(project)
    assert run.status == 1, run.output
    second = project.last_rollout()
    assert second is not None
    assert second.fresh_baseline not in {None, fresh}
    assert project.shares == {candidate: 100}
    assert project.answering() == candidate != baseline


def is_held(project: Checkout) -> bool:
    """Whether somebody works on the rollout."""
    with project.store() as store:
        return store.lease(EnvironmentName("local")) is not None


def resumed(project: Checkout) -> SessionOutcome:
    """Carry the rollout on, session after session as a schedule does, until it has ended."""
    run = project.pytest("--deploy-resume=local", "-q", "-n0")
    for _ in range(40):
        if run.status != DETACHED:
            return run
        assert run.property("state") == "STEPPING"
        time.sleep(2)
        run = project.pytest("--deploy-resume=local", "-q", "-n0")
    raise AssertionError(run.output)


@pytest.mark.full
def test_steps_outlive_the_session_that_began_them(project: Checkout) -> None:
    baseline = first_release(project)
    judged(project)
    project.edit("pyproject.toml", "drill = true", "drill = true\ndetach = true")
    release(project, sleeps_s=0.011)
    with visitors(project) as tally:
        begun = deploy(project, "--deploy-detach")
        assert begun.status == DETACHED, begun.output
        assert begun.property("state") == "STEPPING"
        assert project.shares.get(baseline) == 95
        assert project.deploygate("hold", "local", "--reason", "I look").status == 0
        killed = project.start("--deploy-resume=local", "-q", "-n0")
        until(lambda: is_held(project), seconds=60, what="carried on")
        killed.close()
        left = project.deploygate("recover", "local")
        assert "is at 5 % in local and goes on until" in left.output, left.output
        assert project.deploygate("advance", "local", "--reason", "it is fine").status == 0
        run = resumed(project)
    assert run.status == 0, run.output
    first, second, last = steps_of(project)
    assert {step.decision for step in (first, second, last)} == {"advance"}
    assert "it is fine" in first.reason
    assert "not worse by 8pp" in second.objectives["errors"]
    assert not second.is_undecided
    assert {status for _, status in tally.answers} == {"2xx"}
    promoted = project.answering()
    assert promoted != baseline

    release(project, fails_below=60)
    with visitors(project):
        assert deploy(project, "--deploy-detach").status == DETACHED
        run = resumed(project)
    assert run.status == 1, run.output
    assert "errors: worse by more than 8pp" in run.output
    assert project.shares == {promoted: 100}
    late = project.pytest("--deploy-resume=local", "-q", "-n0")
    assert (late.status, late.property("state")) == (1, "ROLLED_BACK"), late.output


@pytest.mark.full
def test_a_release_that_is_twice_as_slow_is_stopped(project: Checkout) -> None:
    release(project, sleeps_s=0.04)
    assert project.deploy("-q", "-n0").status == 0
    baseline = project.answering()
    judged(project, latency=LATENCY)
    release(project, sleeps_s=0.08)
    with visitors(project, per_s=30):
        run = deploy(project)
    assert run.status == 1, run.output
    assert "latency: worse by more than x1.25" in run.output
    assert project.answering() == baseline


@pytest.mark.full
def test_a_service_without_visitors_is_undecided_and_goes_back(project: Checkout) -> None:
    baseline = first_release(project)
    judged(project, at_most="6s")
    release(project, sleeps_s=0.011)
    run = deploy(project)
    assert run.status == 1, run.output
    record = project.last_rollout()
    assert record is not None
    assert record.reason_code == "step_undecided"
    assert "undecided after" in record.reason
    assert "the candidate had 0 requests, the step needs 20" in record.reason
    assert project.answering() == baseline


@pytest.mark.full
def test_a_baseline_that_is_bad_itself_does_not_stop_a_fix(project: Checkout) -> None:
    baseline = first_release(project, fails_below=40)
    judged(project)
    release(project)
    with visitors(project):
        run = deploy(project)
    assert run.status == 0, run.output
    assert project.answering() != baseline


@pytest.mark.full
def test_figures_that_do_not_come_hold_and_end_at_the_baseline(project: Checkout) -> None:
    baseline = first_release(project)
    judged(project, at_most="6s")
    release(project, sleeps_s=0.011)
    project.call_emulator("faults", path="/timeSeries", http=503, status="UNAVAILABLE", times=None)
    with visitors(project, per_s=10):
        run = deploy(project)
    assert run.status == 1, run.output
    assert "the platform's figures cannot be read: reading request_count" in run.output
    assert project.answering() == baseline


@pytest.mark.full
def test_death_at_a_step_ends_at_the_baseline(project: Checkout) -> None:
    baseline = first_release(project)
    judged(project)
    release(project, sleeps_s=0.011)
    session = project.start("--deploy-to=local", "-q", "-n0")
    try:
        until(lambda: project.shares.get(baseline) == 95, seconds=120, what="5 % at the candidate")
        session.kill()
        until(lambda: project.shares == {baseline: 100}, seconds=60, what="back at the baseline")
    finally:
        session.close()
    record = project.last_rollout()
    assert record is not None
    assert record.state is not State.PROMOTED
    assert project.answering() == baseline
