"""Pytest hands over to the judge: in its own place where it is pytest and nothing else, beside another program else."""

import os
import signal
import sys
import time
from types import SimpleNamespace
from typing import cast

import psutil
import pytest

from pytest_deploygate import handover
from pytest_deploygate.testing import DeploygateProject
from pytest_deploygate.testing.sessions import LIMIT_S, PipedProcess
from tests.plugin.plugin_project import ENVIRONMENT, SUBJECT

PYTHON, SCRIPT = "/usr/bin/python3", "/usr/bin/pytest"
WAITS = """
    import time
    from pathlib import Path


    def test_subject():
        Path("running").touch()
        while True:
            time.sleep(0.05)
"""
MAIN = "import sys, pytest; sys.exit(pytest.main(sys.argv[1:]))"
ARGS = ("-p", "no:anyio", "--deploy-to=fake", "--deploy-no-watchdog", "--junitxml=junit.xml")


@pytest.mark.parametrize(
    ("started", "is_whole"),
    [
        ([PYTHON, SCRIPT, "-q"], True),
        ([PYTHON, "-m", "pytest", "-q"], True),
        ([PYTHON, "-X", "dev", "-W", "error", "-m", "pytest", "-q"], True),
        ([PYTHON, "-I", "/usr/bin/py.test", "-q"], True),
        ([PYTHON, "/usr/bin/coverage", "run", "-m", "pytest", "-q"], False),
        ([PYTHON, "-m", "coverage", "run", "-m", "pytest", "-q"], False),
        ([PYTHON, "-m", "pdb", SCRIPT, "-q"], False),
        ([PYTHON, "/opt/ide/runner.py", "-q"], False),
        ([PYTHON, "-c", "import pytest", "-q"], False),
        ([PYTHON, SCRIPT], False),
        ([PYTHON], False),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_pytest_is_replaced_where_it_is_the_whole_program(
    monkeypatch: pytest.MonkeyPatch, started: list[str], is_whole: bool
) -> None:
    monkeypatch.setattr(sys, "orig_argv", started)
    monkeypatch.setattr(sys, "argv", [started[-1], "-q"])
    config = SimpleNamespace(invocation_params=SimpleNamespace(args=("-q",)))
    assert handover._is_pytest_itself(cast("pytest.Config", config)) is is_whole


def test_program_that_calls_pytest_gets_the_status_of_the_judge(
    project: DeploygateProject, before: str
) -> None:
    run = project.finish(project.popen(sys.executable, "-c", MAIN, *ARGS))
    assert run.status == 0, run.output
    assert run.serving != before
    assert run.property("state") == "PROMOTED"
    project.write({SUBJECT: "def test_subject(): assert False\n", "function/main.py": "v3"})
    again = project.finish(project.popen(sys.executable, "-c", MAIN, *ARGS))
    assert (again.status, again.serving) == (1, run.serving), again.output


def test_object_as_plugin_is_refused(project: DeploygateProject, before: str) -> None:
    main = f"import sys, pytest; sys.exit(pytest.main({list(ARGS)!r}, plugins=[object()]))"
    run = project.finish(project.popen(sys.executable, "-c", main))
    assert (run.status, run.serving) == (4, before), run.output
    assert "an object cannot be handed to the process that runs the checks" in run.output


def begin(project: DeploygateProject) -> PipedProcess:
    """A program whose deployment waits in the candidate phase."""
    process = project.write({SUBJECT: WAITS}).popen(sys.executable, "-c", MAIN, *ARGS)
    deadline = time.monotonic() + LIMIT_S
    while not (project.root / "running").exists():
        assert process.is_running, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return process


def test_death_of_the_program_that_called_pytest_ends_in_the_baseline(
    project: DeploygateProject, before: str
) -> None:
    process = begin(project)
    [judge] = psutil.Process(process.pid).children()
    os.kill(process.pid, signal.SIGKILL)
    judge.wait(LIMIT_S)
    process.communicate()
    assert project.serving == before
    rollout = project.last_rollout()
    assert rollout is not None
    assert (rollout.state.value, rollout.reason_code) == ("ROLLED_BACK", "interrupted")


def test_death_of_the_judge_is_no_good_end(project: DeploygateProject, before: str) -> None:
    process = begin(project)
    [judge] = psutil.Process(process.pid).children()
    sessions = judge.children(recursive=True)
    judge.kill()
    run = project.finish(process)
    assert (run.status, run.serving) == (128 + signal.SIGKILL, before), run.output
    assert run.property("state") == "PENDING"
    psutil.wait_procs(sessions, timeout=LIMIT_S)
    assert not any(one.is_running() for one in sessions)
    assert project.deploygate("recover", ENVIRONMENT).status == 0
