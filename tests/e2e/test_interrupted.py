"""Signals at any moment of a rollout, also twice, also where the shell had them ignored: the way back, then exit 2."""

import subprocess
import sys

import pytest

from pytest_deploygate.core.state_machine import State
from tests.e2e import killing_store
from tests.e2e.checkout import REPOSITORY
from tests.e2e.disturbed_project import LOCAL, Plot, Stage

pytestmark = pytest.mark.e2e

FIRST = Plot(name="first release", has_baseline=False)
NEXT = Plot(name="next release")
MOMENTS = [
    (FIRST, "append intent await_verify STAGING", "SIGTERM", "ROLLED_BACK"),
    (FIRST, "append observed open PROMOTING", "SIGINT", "ROLLED_BACK"),
    (NEXT, "acquire_lease", "SIGINT", "REFUSED"),
    (NEXT, "begin", "SIGHUP", "REFUSED"),
    (NEXT, "append intent pin STAGING", killing_store.AGAIN, "ROLLED_BACK"),
    (NEXT, "append intent shift PROMOTING", "SIGHUP", "ROLLED_BACK"),
    (NEXT, "append observed shift PROMOTING", killing_store.AGAIN, "ROLLED_BACK"),
]


@pytest.mark.parametrize(("plot", "write", "how", "state"), MOMENTS)
def test_signal_ends_with_what_served_before(
    stage: Stage, plot: Plot, write: str, how: str, state: str
) -> None:
    stage.prepare(plot)
    before = stage.serving
    stage.release()
    status = stage.deploy(at=f"after:{write}", KILL_WITH=how)
    assert stage.note.exists(), "the signal was never sent"
    assert status == 2, stage.output
    said = stage.properties()
    assert said["deploygate.state"] == state
    assert said["deploygate.reason_code"] == "interrupted"
    assert stage.serving == before
    assert stage.is_settled()
    record = stage.newest()
    if record is not None and record.state is State.ROLLED_BACK:
        with stage.store() as store:
            names = [entry.name for entry in store.journal(record.rollout_id)]
        assert "broke" in names
        assert names[-2:] == ["shift_back" if before else "delete", "restored"]
    assert not stage.left_over()


def test_signal_after_the_last_word_changes_nothing(stage: Stage) -> None:
    stage.prepare(NEXT)
    before = stage.serving
    stage.release()
    status = stage.deploy(
        at="after:append moved live_held FINALISING", KILL_WITH=killing_store.AGAIN
    )
    assert status == 0, stage.output
    assert stage.properties()["deploygate.state"] == "PROMOTED"
    assert stage.serving != before
    assert stage.is_settled()


def test_signal_is_heard_although_the_shell_had_it_ignored(stage: Stage) -> None:
    stage.prepare(NEXT)
    before = stage.serving
    stage.release()
    stage.note.unlink(missing_ok=True)
    pytest_command = [sys.executable, "-m", "pytest", f"--deploy-to={LOCAL}"]
    run = subprocess.run(
        ["sh", "-c", 'trap "" INT; exec "$@"', "sh", *pytest_command],
        cwd=stage.project.root,
        env=stage.environment(
            at="after:append moved shifted SERVING",
            KILL_WITH="SIGINT",
            PYTHONPATH=str(REPOSITORY),
        ),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=300,
        check=False,
    )
    assert run.returncode == 2, run.stdout
    assert stage.serving == before
    assert stage.is_settled()
