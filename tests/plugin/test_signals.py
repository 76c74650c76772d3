"""Signals in the middle of a rollout: exit status 2, the baseline serves, the JUnit file says so."""

import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.plugin.plugin_project import DEADLINE_S, LIE, Project

WAITS = (
    "import time\nfrom pathlib import Path\ndef test_{name}():\n    Path('running').touch()\n"
    "    while True: time.sleep(0.05)\n"
)
CANDIDATE = {LIE: WAITS.format(name="lie")}
LIVE = {"gates/live/test_live.py": WAITS.format(name="honest")}
READINESS = {"gates/ready/test_ready.py": WAITS.format(name="honest")}
Send = Callable[[subprocess.Popen[str], signal.Signals], None]


def to_process(process: subprocess.Popen[str], number: signal.Signals) -> None:
    process.send_signal(number)


def to_group(process: subprocess.Popen[str], number: signal.Signals) -> None:
    os.killpg(process.pid, number)


def to_process_twice(process: subprocess.Popen[str], number: signal.Signals) -> None:
    process.send_signal(number)
    process.send_signal(number)


def wait_for(path: Path, process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not path.exists():
        assert process.poll() is None, "it ended before it could be interrupted"
        assert time.monotonic() < deadline, f"{path} does not appear"
        time.sleep(0.02)


@pytest.mark.parametrize(
    ("files", "number", "send", "workers", "state"),
    [
        pytest.param(CANDIDATE, signal.SIGINT, to_process, 0, "ROLLED_BACK", id="SIGINT"),
        pytest.param(CANDIDATE, signal.SIGTERM, to_process, 0, "ROLLED_BACK", id="SIGTERM"),
        pytest.param(CANDIDATE, signal.SIGTERM, to_process_twice, 0, "ROLLED_BACK", id="twice"),
        pytest.param(LIVE, signal.SIGTERM, to_process, 0, "ROLLED_BACK", id="after promotion"),
        pytest.param(READINESS, signal.SIGHUP, to_process, 0, "REFUSED", id="in readiness"),
        pytest.param(CANDIDATE, signal.SIGHUP, to_process, 2, "ROLLED_BACK", id="SIGHUP-n2"),
        pytest.param(CANDIDATE, signal.SIGINT, to_group, 2, "ROLLED_BACK", id="SIGINT-group-n2"),
        pytest.param(CANDIDATE, signal.SIGTERM, to_group, 2, "ROLLED_BACK", id="SIGTERM-group-n2"),
    ],
)
def test_signal_ends_in_the_baseline(
    project: Project,
    before: str,
    files: dict[str, str],
    number: signal.Signals,
    send: Send,
    workers: int,
    state: str,
) -> None:
    project.write(files)
    with project.started(project.command(workers=workers)) as process:
        wait_for(project.root / "running", process)
        send(process, number)
        run = project.ended(process)
    assert run.serving == before, run.output
    assert run.status == 2, run.output
    assert run.record is not None
    assert run.record.state.value == state
    assert run.record.reason_code == "interrupted"
    assert run.said("state") == state
    assert run.said("serving_revision") == before
    names = {str(case.name) for case in run.cases}
    assert {"test_honest", "test_lie"} <= names, "checks that did not run are named all the same"


CAUGHT = (
    "import time\nfrom pathlib import Path\ndef test_lie():\n    try:\n"
    "        Path('running').touch()\n        while True: time.sleep(0.05)\n"
    "    except KeyboardInterrupt: {then}\n"
)
BREAKS_THE_LOOP = (
    "import pytest\n@pytest.hookimpl(wrapper=True)\ndef pytest_runtest_protocol():\n    try: return (yield)\n"
    "    except KeyboardInterrupt: raise RuntimeError('release unlocked lock')\n"
)


@pytest.mark.parametrize(
    "files",
    [
        pytest.param({LIE: CAUGHT.format(then="pass")}, id="a check goes on"),
        pytest.param({LIE: CAUGHT.format(then="raise OSError")}, id="a check makes another of it"),
        pytest.param(CANDIDATE | {"conftest.py": BREAKS_THE_LOOP}, id="a lock breaks"),
    ],
)
def test_signal_that_others_catch_is_heard_all_the_same(
    project: Project, before: str, files: dict[str, str]
) -> None:
    project.write(files)
    with project.started(project.command()) as process:
        wait_for(project.root / "running", process)
        process.send_signal(signal.SIGTERM)
        run = project.ended(process)
    assert (run.status, run.serving) == (2, before), run.output
    assert run.record is not None
    assert run.record.reason_code == "interrupted"
    assert "signal SIGTERM" in run.output
    assert "INTERNALERROR" not in run.output


def test_sigint_is_heard_where_the_shell_had_it_ignored(project: Project, before: str) -> None:
    """As in ``pytest &`` of a shell without job control, which is what many CI wrappers do."""
    project.write(CANDIDATE)
    with project.started(project.command(), ignore_sigint=True) as process:
        wait_for(project.root / "running", process)
        process.send_signal(signal.SIGINT)
        run = project.ended(process)
    assert (run.status, run.serving) == (2, before), run.output
    assert run.said("state") == "ROLLED_BACK"


def test_signal_while_collecting_touches_nothing(project: Project) -> None:
    project.write(
        {
            LIE: "import time\nfrom pathlib import Path\nPath('running').touch()\nwhile True: time.sleep(0.05)\n"
        }
    )
    cloud = project.cloud()
    with project.started(project.command()) as process:
        wait_for(project.root / "running", process)
        process.send_signal(signal.SIGTERM)
        run = project.ended(process)
    assert run.status == 2, run.output
    assert project.cloud() == cloud
    assert run.said("verdict") == "REFUSE"
    assert run.said("reason_code") == "interrupted"


def test_signals_at_the_very_end_do_not_undo_the_end(project: Project, before: str) -> None:
    """Everything is decided, and the record is being written."""
    kills = (
        "import os, signal\ndef pytest_deploygate_finished():\n"
        "    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP): os.kill(os.getpid(), number)\n"
    )
    run = project.write({"conftest.py": kills}).deploy()
    assert run.status == 0, run.output
    assert run.serving != before
    assert run.said("state") == "PROMOTED"


def test_terminal_that_goes_away_does_not_keep_the_candidate(project: Project, before: str) -> None:
    """``pytest ... | head``: nobody reads any more, and every line that is printed fails."""
    project.write({LIE: "def test_lie():\n    print('x' * 100000)\n    assert False\n"})
    command = " ".join(f"'{part}'" for part in project.command("-rA", "-s"))
    pipe = f"set -o pipefail; {command} 2>&1 | grep -m1 'candidate: '"
    run = project.pytest(["bash", "-c", pipe])
    assert run.serving == before, run.output
    assert run.status in (1, 3, 120, 141), run.output
    assert run.said("state") == "ROLLED_BACK"
