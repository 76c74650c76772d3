"""Signals at any moment of a rollout, also twice, also where the shell had them ignored: a rollback, then exit 2."""

import subprocess
import sys

import pytest

from pytest_deploygate.core.state_machine import State
from tests.e2e import killing_store
from tests.e2e.checkout import REPOSITORY
from tests.e2e.disturbed_project import LOCAL, DisturbedProject, KillCase

pytestmark = pytest.mark.e2e

FIRST = KillCase(name="first release", has_baseline=False)
NEXT = KillCase(name="next release")
MOMENTS = [
    (FIRST, "append intent await_release STAGING", "SIGTERM", "ROLLED_BACK"),
    (FIRST, "append observed open PROMOTING", "SIGINT", "ROLLED_BACK"),
    (NEXT, "acquire_lease", "SIGINT", "REFUSED"),
    (NEXT, "begin", "SIGHUP", "REFUSED"),
    (NEXT, "append intent pin STAGING", killing_store.AGAIN, "ROLLED_BACK"),
    (NEXT, "append intent shift PROMOTING", "SIGHUP", "ROLLED_BACK"),
    (NEXT, "append observed shift PROMOTING", killing_store.AGAIN, "ROLLED_BACK"),
]
OF_EACH_PUSH = {"append intent shift PROMOTING"}


@pytest.mark.parametrize(
    ("case", "write", "how", "state"),
    [
        pytest.param(*one, marks=() if one[1] in OF_EACH_PUSH else pytest.mark.full)
        for one in MOMENTS
    ],
)
def test_signal_ends_with_what_served_before(
    disturbed: DisturbedProject, case: KillCase, write: str, how: str, state: str
) -> None:
    disturbed.prepare(case)
    before = disturbed.serving
    disturbed.release()
    status = disturbed.deploy(at=f"after:{write}", KILL_WITH=how)
    assert disturbed.note.exists(), "the signal was never sent"
    assert status == 2, disturbed.output
    said = disturbed.properties()
    assert said["state"] == state
    assert said["reason_code"] == "interrupted"
    assert disturbed.serving == before
    assert disturbed.is_settled()
    record = disturbed.newest()
    if record is not None and record.state is State.ROLLED_BACK:
        with disturbed.store() as store:
            names = [entry.name for entry in store.journal(record.rollout_id)]
        assert "broke" in names
        assert names[-2:] == ["shift_back" if before else "delete", "restored"]
    assert not disturbed.left_over()


def test_signal_after_the_last_word_changes_nothing(disturbed: DisturbedProject) -> None:
    disturbed.prepare(NEXT)
    before = disturbed.serving
    disturbed.release()
    status = disturbed.deploy(
        at="after:append moved live_held FINALISING", KILL_WITH=killing_store.AGAIN
    )
    assert status == 0, disturbed.output
    assert disturbed.properties()["state"] == "PROMOTED"
    assert disturbed.serving != before
    assert disturbed.is_settled()


@pytest.mark.full
def test_signal_is_heard_although_the_shell_had_it_ignored(disturbed: DisturbedProject) -> None:
    disturbed.prepare(NEXT)
    before = disturbed.serving
    disturbed.release()
    disturbed.note.unlink(missing_ok=True)
    pytest_command = [sys.executable, "-m", "pytest", f"--deploy-to={LOCAL}"]
    run = subprocess.run(
        ["sh", "-c", 'trap "" INT; exec "$@"', "sh", *pytest_command],
        cwd=disturbed.project.root,
        env=disturbed.environment(
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
    assert disturbed.serving == before
    assert disturbed.is_settled()
