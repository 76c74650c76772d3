"""The watchdog with real processes that end in every way there is."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from pytest_deploygate.watchdog import process, registry
from tests.processes import is_running

ROOT = Path(__file__).parents[2]
DEADLINE_S = 30
BEFORE = """
import ctypes, os, signal, subprocess, sys, threading, time
from pathlib import Path
from pytest_deploygate.watchdog import process as watchdog
root = Path(sys.argv[1])
dog = watchdog.start(root=root, environment="production", rollout_id="one", state_dir=root,
                     prepare="tests.watchdog.recovery_stubs:" + sys.argv[2])
while not dog.is_watching():
    assert dog.is_alive(), (root / watchdog.LOG).read_text()
    time.sleep(0.01)
(root / "watching").write_text(str(dog.pid))
"""
WAIT = "signal.pause()\n"


def until(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline, f"waited in vain until {what}"
        time.sleep(0.01)


@dataclass(frozen=True, slots=True, kw_only=True)
class Guarded:
    """A process that is watched."""

    process: subprocess.Popen[bytes]
    dog_pid: int
    root: Path

    def wait_for_dog(self) -> None:
        until(lambda: not is_running(self.dog_pid), "the watchdog ended")

    @property
    def recovered(self) -> list[str]:
        file = self.root / "recovered"
        return file.read_text().splitlines() if file.exists() else []

    @property
    def events(self) -> list[str]:
        log = (self.root / process.LOG).read_text()
        return [json.loads(line)["event"] for line in log.splitlines()]


Starter = Callable[..., Guarded]


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[Starter]:
    """Starts processes that run a script under a watchdog."""
    started: list[Guarded] = []

    def start(script: str, recovery: str = "write_file") -> Guarded:
        process = subprocess.Popen(
            [sys.executable, "-c", BEFORE + script, str(tmp_path), recovery],
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            start_new_session=True,
        )
        until((tmp_path / "watching").exists, "the watchdog watches")
        until(lambda: bool((tmp_path / "watching").read_text()), "the watchdog's pid is known")
        dog_pid = int((tmp_path / "watching").read_text())
        started.append(Guarded(process=process, dog_pid=dog_pid, root=tmp_path))
        return started[-1]

    yield start
    for each in started:
        each.process.kill()
        each.process.wait()
        if is_running(each.dog_pid):
            os.kill(each.dog_pid, signal.SIGKILL)


DEATHS = {
    "normal end": "",
    "exit": "os._exit(0)",
    "exception": "sys.stderr = open(os.devnull, 'w'); raise SystemExit(3)",
    "killed": "os.kill(os.getpid(), signal.SIGKILL)",
    "terminated": "os.kill(os.getpid(), signal.SIGTERM)",
    "group killed": "os.killpg(0, signal.SIGKILL)",
    "group interrupted": "signal.signal(signal.SIGINT, signal.SIG_DFL); os.killpg(0, signal.SIGINT)",
    "group hung up": "os.killpg(0, signal.SIGHUP)",
    "segmentation fault": "ctypes.string_at(0)",
    "exit from a thread": "threading.Thread(target=os._exit, args=(1,)).start(); signal.pause()",
}


@pytest.mark.parametrize("death", DEATHS)
def test_watchdog_recovers_however_its_parent_dies(guarded: Starter, death: str) -> None:
    watched = guarded(DEATHS[death])
    watched.process.wait(DEADLINE_S)
    watched.wait_for_dog()
    assert len(watched.recovered) == 1
    assert watched.recovered[0].startswith("production one")
    assert watched.events == ["watchdog.watching", "watchdog.parent_died", "watchdog.recovered"]


@pytest.mark.parametrize("is_there", [False, True], ids=["new", "written by an earlier version"])
def test_log_is_for_its_owner_alone(guarded: Starter, tmp_path: Path, is_there: bool) -> None:
    log = tmp_path / process.LOG
    if is_there:
        log.touch()
        log.chmod(0o644)
    watched = guarded("os._exit(0)")
    watched.wait_for_dog()
    assert log.stat().st_mode & 0o777 == 0o600
    assert "watchdog.recovered" in watched.events


def test_watchdog_recovers_although_a_forked_child_lives(guarded: Starter) -> None:
    watched = guarded(
        "pid = os.fork()\n"
        "if pid == 0:\n    signal.pause()\n"
        "(root / 'child').write_text(str(pid))\n"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    watched.process.wait(DEADLINE_S)
    watched.wait_for_dog()
    child = int((watched.root / "child").read_text())
    try:
        assert is_running(child)
        assert len(watched.recovered) == 1
    finally:
        os.kill(child, signal.SIGKILL)


def test_watchdog_recovers_although_nobody_reaps_the_parent(guarded: Starter) -> None:
    watched = guarded(WAIT)
    watched.process.send_signal(signal.SIGKILL)
    watched.wait_for_dog()
    assert psutil.Process(watched.process.pid).status() == psutil.STATUS_ZOMBIE
    assert len(watched.recovered) == 1


def test_watchdog_does_nothing_after_it_was_told_to_stand_down(guarded: Starter) -> None:
    watched = guarded("dog.stand_down(); dog.wait_for_end(); assert not dog.is_alive()")
    assert watched.process.wait(DEADLINE_S) == 0
    assert not is_running(watched.dog_pid)
    assert watched.recovered == []
    assert watched.events == ["watchdog.watching", "watchdog.stood_down"]


def test_watchdog_stands_down_although_the_parent_is_killed_right_after(guarded: Starter) -> None:
    watched = guarded("dog.stand_down(); os.kill(os.getpid(), signal.SIGKILL)")
    watched.wait_for_dog()
    assert watched.recovered == []


def test_stand_down_of_a_killed_watchdog_is_harmless(guarded: Starter) -> None:
    watched = guarded(
        "os.kill(dog.pid, signal.SIGKILL); dog.stand_down(); dog.wait_for_end(); assert not dog.is_alive()"
    )
    assert watched.process.wait(DEADLINE_S) == 0
    assert registry.find(watched.root) == ()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_watchdog_ignores_signals_while_its_parent_lives(
    guarded: Starter, number: signal.Signals
) -> None:
    watched = guarded(WAIT)
    os.kill(watched.dog_pid, number)
    assert [note.pid for note in registry.find(watched.root)] == [watched.dog_pid]
    watched.process.kill()
    watched.wait_for_dog()
    assert len(watched.recovered) == 1


def test_watchdog_goes_on_watching_when_its_message_pipe_closes(guarded: Starter) -> None:
    watched = guarded("dog._process.stdin.close()\n(root / 'closed').touch()\n" + WAIT)
    until((watched.root / "closed").exists, "the pipe is closed")
    assert is_running(watched.dog_pid)
    watched.process.kill()
    watched.wait_for_dog()
    assert len(watched.recovered) == 1


def test_watchdog_has_loaded_the_recovery_before_it_is_needed(guarded: Starter) -> None:
    watched = guarded(WAIT)
    until((watched.root / "prepared").exists, "the recovery is prepared")
    assert watched.recovered == []


def test_watchdog_repeats_what_did_not_reach_the_target(guarded: Starter) -> None:
    watched = guarded("os._exit(1)", "fail_at_first")
    watched.wait_for_dog()
    assert len(watched.recovered) == 1
    assert watched.events.count("watchdog.retry") == 2


def test_watchdog_prepares_again_what_could_not_be_prepared(guarded: Starter) -> None:
    watched = guarded("os._exit(1)", "cannot_prepare")
    watched.wait_for_dog()
    assert len(watched.recovered) == 1
    assert "watchdog.prepare_failed" in watched.events


def test_watchdog_leaves_a_lease_that_somebody_else_has_taken(guarded: Starter) -> None:
    watched = guarded("os._exit(1)", "is_held")
    watched.wait_for_dog()
    assert (watched.root / "attempts").read_text() == "x"
    assert watched.events[-1] == "watchdog.not_recovered"


def test_watchdog_says_which_recovery_is_missing(guarded: Starter) -> None:
    watched = guarded("os._exit(1)", "no_such_name")
    watched.wait_for_dog()
    assert watched.events[-1] == "watchdog.failed"
    assert "no_such_name" in (watched.root / process.LOG).read_text()


def test_watchdog_holds_no_pipe_that_a_ci_job_waits_for(tmp_path: Path) -> None:
    script = BEFORE + "os._exit(0)"
    command = [sys.executable, "-c", script, str(tmp_path), "is_held_until_asked"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    # communicate() ends only when nobody holds the other ends of the pipes.
    found = subprocess.run(
        command, env=environment, capture_output=True, timeout=DEADLINE_S, check=True
    )
    dog_pid = int((tmp_path / "watching").read_text())
    assert found.stdout == b""
    assert is_running(dog_pid)
    (tmp_path / "end").touch()
    until(lambda: not is_running(dog_pid), "the watchdog ended")


def test_status_finds_a_watchdog_while_it_lives(guarded: Starter) -> None:
    watched = guarded(WAIT)
    (note,) = registry.find(watched.root)
    assert (note.pid, note.watched_pid) == (watched.dog_pid, watched.process.pid)
    assert (note.environment, note.rollout_id) == ("production", "one")
    os.kill(watched.dog_pid, signal.SIGKILL)
    watched.wait_for_dog()
    until(lambda: registry.find(watched.root) == (), "the dead watchdog is no longer found")
    assert list((watched.root / registry.FOLDER).iterdir()) == []


def test_status_finds_nothing_where_no_watchdog_ever_was(tmp_path: Path) -> None:
    assert registry.find(tmp_path) == ()
