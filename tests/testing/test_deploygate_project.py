"""The public fixture: what it says of a session is what happened in it."""

import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pytest_deploygate.testing import LOCAL, ProjectFactory, deploygate_project  # noqa: F401
from pytest_deploygate.testing.sessions import LIMIT_S
from tests.plugin.plugin_project import REPOSITORY

PAGE = REPOSITORY / "docs" / "reference" / "testing.md"
FAILS = """
    def test_it_is_what_was_staged():
        assert False
"""
WAITS = """
    import time
    from pathlib import Path


    def test_it_waits():
        Path("waits").touch()
        while True:
            time.sleep(0.05)
"""


def wait_for(path: Path) -> None:
    deadline = time.monotonic() + LIMIT_S
    while not path.exists():
        assert time.monotonic() < deadline, f"{path} does not appear"
        time.sleep(0.02)


def test_outcome_tells_what_happened(deploygate_project: ProjectFactory) -> None:  # noqa: F811
    project = deploygate_project()
    assert (project.shares, project.serving, project.last_rollout()) == ({}, "", None)
    first = project.deploy()
    assert first.status == 0, first.output
    assert (first.shares, first.serving, project.serving) == (
        {"svc-00001": 100},
        *["svc-00001"] * 2,
    )
    assert (first.property("verdict"), first.property("gate.cand")) == ("PROMOTE", "1/1 PASSED")
    assert {case.property("gate") for case in first.cases} == {"ready", "cand", "live"}
    assert all(case.results == () for case in first.cases)
    assert first.record is not None
    assert first.record.state.value == "PROMOTED"
    assert project.last_rollout() == first.record
    assert first.property("nothing") == first.state_of("nothing") == ""
    shown = project.deploygate("history", "--json")
    assert shown.status == 0
    assert first.record.rollout_id in str(shown.json)
    assert (shown.junit, shown.cases, shown.record) == (None, (), None)
    assert project.events("rollout.transition")


def test_gate_that_fails_keeps_what_served(
    deploygate_project: ProjectFactory,  # noqa: F811
) -> None:
    released = deploygate_project()
    assert released.deploy().status == 0
    project = released.copy(released.root.with_name("copy"))
    digest = released.platform_digest()
    project.write({"gates/cand/test_cand.py": FAILS}).change_function("another release")
    outcome = project.deploy(workers=2)
    assert (outcome.status, outcome.serving) == (1, "svc-00001"), outcome.output
    assert outcome.state_of("gates/cand/test_cand.py::test_it_is_what_was_staged") == "failed"
    [failed] = [case for case in outcome.cases if case.property("gate") == "cand"]
    assert failed.results == ("failure",)
    assert failed.property("state") == "failed"
    assert released.platform_digest() == digest != project.platform_digest()


def test_session_is_interrupted_from_outside(
    deploygate_project: ProjectFactory,  # noqa: F811
) -> None:
    project = deploygate_project({"gates/cand/test_cand.py": WAITS})
    session = project.begin("pytest", *project.deploy_options())
    wait_for(project.root / "waits")
    assert session.is_running
    session.send_signal(signal.SIGTERM)
    outcome = project.finish(session)
    assert outcome.status == 2, outcome.output
    assert outcome.property("state") == "ROLLED_BACK"


def test_what_was_begun_ends_with_the_project(
    deploygate_project: ProjectFactory,  # noqa: F811
) -> None:
    project = deploygate_project({"test_it.py": WAITS})
    forked = project.begin("pytest", "-n0", "test_it.py")
    wait_for(project.root / "waits")
    piped = project.popen(sys.executable, "-c", "print('there', flush=True); input()")
    other = project.popen("sleep", "1000")
    assert piped.wait(LIMIT_S) == 1, "it reads nothing of the terminal"
    assert other.is_running
    project.close()
    assert not forked.is_running
    assert other.returncode == -signal.SIGKILL


def test_session_inherits_nothing_of_the_one_that_runs_the_tests(
    deploygate_project: ProjectFactory,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PYTEST_ADDOPTS", "--no-such-option")
    monkeypatch.setenv("DEPLOYGATE_STATE", "nonsense")
    project = deploygate_project(
        settings="""
        [tool.deploygate.phases]
        candidate = { threshold = 1.0 }
    """
    )
    assert project.deploy().status == 0
    here = project.pytest("-n0", "-q", PYTEST_ADDOPTS="--no-such-option")
    assert here.status == 4
    assert "--no-such-option" in here.err


def test_people_act_on_the_platform(deploygate_project: ProjectFactory) -> None:  # noqa: F811
    project = deploygate_project()
    assert project.deploy().status == 0
    with project.cloud() as cloud:
        cloud.human_moves()
    assert project.serving == "svc-foreign"
    assert project.deploygate("status").status != 11


def test_edit_says_what_is_not_there(deploygate_project: ProjectFactory) -> None:  # noqa: F811
    project = deploygate_project(name="named")
    assert project.root.name == "named"
    project.edit("function/main.py", "hello, {name}", "good day, {name}")
    with pytest.raises(ValueError, match=r"is not in function/main\.py"):
        project.edit("function/main.py", "hello, {name}", "")


@pytest.mark.e2e
def test_function_runs_on_the_emulator(deploygate_project: ProjectFactory) -> None:  # noqa: F811
    project = deploygate_project(environment=LOCAL)
    outcome = project.deploy("-n0")
    assert outcome.status == 0, outcome.output
    assert project.get("?name=Ada").text == "hello, Ada"
    assert project.get().headers["X-Revision"] == project.serving == outcome.serving
    assert project.call_emulator("services")


@pytest.mark.e2e
def test_examples_of_the_page_pass(tmp_path: Path) -> None:
    first, *tests = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    (tmp_path / "conftest.py").write_text(first, encoding="utf-8")
    (tmp_path / "test_examples.py").write_text("\n\n".join(tests), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-n0", "-q"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=2 * LIMIT_S,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{len(tests)} passed" in done.stdout
