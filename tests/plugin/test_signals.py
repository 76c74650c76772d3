"""Signals in the middle of a rollout: exit status 2, the baseline serves, the JUnit file says so."""

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from pytest_deploygate.testing import DeploygateProject
from pytest_deploygate.testing.sessions import LIMIT_S, ForkedSession, PipedProcess
from tests.plugin.plugin_project import SUBJECT

WAITS = """
    import time
    from pathlib import Path


    def test_{name}():
        Path("running").touch()
        while True:
            time.sleep(0.05)
"""
CANDIDATE = {SUBJECT: WAITS.format(name="subject")}
LIVE = {"gates/live/test_live.py": WAITS.format(name="honest")}
READINESS = {"gates/ready/test_ready.py": WAITS.format(name="honest")}
Session = ForkedSession | PipedProcess
Send = Callable[[Session, signal.Signals], None]


def to_process(process: Session, number: signal.Signals) -> None:
    process.send_signal(number)


def to_group(process: Session, number: signal.Signals) -> None:
    os.killpg(process.pid, number)


def to_process_twice(process: Session, number: signal.Signals) -> None:
    process.send_signal(number)
    process.send_signal(number)


def wait_for(path: Path, process: Session) -> None:
    deadline = time.monotonic() + LIMIT_S
    while not path.exists():
        assert process.is_running, "it ended before it could be interrupted"
        assert time.monotonic() < deadline, f"{path} does not appear"
        time.sleep(0.02)


@pytest.mark.parametrize(
    ("files", "number", "send", "workers", "state"),
    [
        pytest.param(CANDIDATE, signal.SIGINT, to_process, 0, "ROLLED_BACK", id="SIGINT"),
        pytest.param(
            CANDIDATE,
            signal.SIGTERM,
            to_process,
            0,
            "ROLLED_BACK",
            id="SIGTERM",
            marks=pytest.mark.full,
        ),
        pytest.param(CANDIDATE, signal.SIGTERM, to_process_twice, 0, "ROLLED_BACK", id="twice"),
        pytest.param(LIVE, signal.SIGTERM, to_process, 0, "ROLLED_BACK", id="after promotion"),
        pytest.param(READINESS, signal.SIGHUP, to_process, 0, "REFUSED", id="in readiness"),
        pytest.param(
            CANDIDATE,
            signal.SIGHUP,
            to_process,
            1,
            "ROLLED_BACK",
            id="SIGHUP-n1",
            marks=pytest.mark.full,
        ),
        pytest.param(
            CANDIDATE,
            signal.SIGINT,
            to_group,
            1,
            "ROLLED_BACK",
            id="SIGINT-group-n1",
            marks=pytest.mark.full,
        ),
        pytest.param(CANDIDATE, signal.SIGTERM, to_group, 2, "ROLLED_BACK", id="SIGTERM-group-n2"),
    ],
)
def test_signal_ends_in_the_baseline(
    project: DeploygateProject,
    before: str,
    files: dict[str, str],
    number: signal.Signals,
    send: Send,
    workers: int,
    state: str,
) -> None:
    session = project.write(files).begin("pytest", *project.deploy_options(workers=workers))
    wait_for(project.root / "running", session)
    send(session, number)
    run = project.finish(session)
    assert run.serving == before, run.output
    assert run.status == 2, run.output
    assert run.record is not None
    assert run.record.state.value == state
    assert run.record.reason_code == "interrupted"
    assert run.property("state") == state
    assert run.property("serving_revision") == before
    names = {str(case.name) for case in run.cases}
    assert {"test_honest", "test_subject"} <= names, (
        "checks that did not run are named all the same"
    )


CAUGHT = """
    import time
    from pathlib import Path


    def test_subject():
        try:
            Path("running").touch()
            while True:
                time.sleep(0.05)
        except KeyboardInterrupt:
            {then}
"""
BREAKS_THE_LOOP = """
    import pytest


    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol():
        try:
            return (yield)
        except KeyboardInterrupt:
            raise RuntimeError("release unlocked lock")
"""


@pytest.mark.parametrize(
    "files",
    [
        pytest.param({SUBJECT: CAUGHT.format(then="pass")}, id="a check goes on"),
        pytest.param(
            {SUBJECT: CAUGHT.format(then="raise OSError")}, id="a check makes another of it"
        ),
        pytest.param(CANDIDATE | {"conftest.py": BREAKS_THE_LOOP}, id="a lock breaks"),
    ],
)
def test_signal_that_others_catch_is_heard_all_the_same(
    project: DeploygateProject, before: str, files: dict[str, str]
) -> None:
    session = project.write(files).begin("pytest", *project.deploy_options())
    wait_for(project.root / "running", session)
    session.send_signal(signal.SIGTERM)
    run = project.finish(session)
    assert (run.status, run.serving) == (2, before), run.output
    assert run.record is not None
    assert run.record.reason_code == "interrupted"
    assert "signal SIGTERM" in run.output
    assert "INTERNALERROR" not in run.output


def test_sigint_is_heard_where_the_shell_had_it_ignored(
    project: DeploygateProject, before: str
) -> None:
    """As in ``pytest &`` of a shell without job control, which is what many CI wrappers do."""
    command = project.command("pytest", *project.deploy_options())
    session = project.write(CANDIDATE).popen("sh", "-c", "trap '' INT; exec \"$@\"", "sh", *command)
    wait_for(project.root / "running", session)
    session.send_signal(signal.SIGINT)
    run = project.finish(session)
    assert (run.status, run.serving) == (2, before), run.output
    assert run.property("state") == "ROLLED_BACK"


def test_signal_while_collecting_touches_nothing(project: DeploygateProject) -> None:
    project.write(
        {
            SUBJECT: """
                import time
                from pathlib import Path

                Path("running").touch()
                while True:
                    time.sleep(0.05)
            """
        }
    )
    platform = project.platform_digest()
    session = project.begin("pytest", *project.deploy_options())
    wait_for(project.root / "running", session)
    session.send_signal(signal.SIGTERM)
    run = project.finish(session)
    assert run.status == 2, run.output
    assert project.platform_digest() == platform
    assert run.property("verdict") == "REFUSE"
    assert run.property("reason_code") == "interrupted"


def test_signals_at_the_very_end_do_not_undo_the_end(
    project: DeploygateProject, before: str
) -> None:
    """Everything is decided, and the record is being written."""
    kills = (
        "import os, signal\ndef pytest_deploygate_finished():\n"
        "    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP): os.kill(os.getpid(), number)\n"
    )
    run = project.write({"conftest.py": kills}).deploy()
    assert run.status == 0, run.output
    assert run.serving != before
    assert run.property("state") == "PROMOTED"
    assert "a hook failed: it was interrupted" in run.output, "nobody waits for it"


def test_terminal_that_goes_away_does_not_keep_the_candidate(
    project: DeploygateProject, before: str
) -> None:
    """``pytest ... | head``: nobody reads any more, and every line that is printed fails."""
    project.write(
        {
            SUBJECT: """
        def test_subject():
            print("x" * 100000)
            assert False
    """
        }
    )
    options = [*project.deploy_options(), "-rA", "-s"]
    command = " ".join(f"'{part}'" for part in project.command("pytest", *options))
    pipe = f"set -o pipefail; {command} 2>&1 | grep -m1 'candidate: '"
    run = project.finish(project.popen("bash", "-c", pipe))
    assert run.serving == before, run.output
    assert run.status in (1, 3, 120, 141), run.output
    assert run.property("state") == "ROLLED_BACK"
