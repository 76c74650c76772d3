"""Who this process is, and whether another one is gone; with real processes."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from pytest_deploygate.core.identifiers import Actor
from pytest_deploygate.system import process_identity
from pytest_deploygate.system.process_identity import (
    CI_VARIABLES,
    is_gone,
    is_running,
    is_stopped,
    machine,
    start_time,
    this_process,
)


@pytest.fixture
def child() -> Iterator[subprocess.Popen[bytes]]:
    """A process that waits until it is killed."""
    process = subprocess.Popen(
        [sys.executable, "-c", "import signal; print(flush=True); signal.pause()"],
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None
    process.stdout.readline()
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


def actor_of(pid: int) -> Actor:
    return this_process()._replace(pid=pid, boot_id=f"{machine()}/{start_time(pid)}")


def test_this_process_is_not_gone() -> None:
    me = this_process()
    assert (me.pid, me.host) == (os.getpid(), socket.gethostname())
    assert me.user
    assert is_gone(me) is False


def test_process_is_gone_once_killed_even_before_it_is_reaped(
    child: subprocess.Popen[bytes],
) -> None:
    actor = actor_of(child.pid)
    assert is_gone(actor) is False
    child.send_signal(signal.SIGSTOP)
    assert is_gone(actor) is False
    child.kill()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)  # dead, and still a zombie
    assert is_gone(actor) is True
    child.wait()
    assert is_gone(actor) is True


def test_other_process_with_the_same_pid_is_told_apart(child: subprocess.Popen[bytes]) -> None:
    earlier = actor_of(child.pid)._replace(boot_id=f"{machine()}/12345")
    assert is_gone(earlier) is True


@pytest.mark.parametrize(
    "change",
    [
        {"host": "elsewhere"},
        {"boot_id": "another-boot/pid:[1]/12345"},
        {"boot_id": machine().rpartition("/")[0] + "/pid:[1]/12345"},
        {"boot_id": f"{machine()}/"},
        {"boot_id": ""},
    ],
    ids=["host", "boot", "container", "no start", "nothing"],
)
def test_what_cannot_be_seen_from_here_is_not_called_gone(change: dict[str, str]) -> None:
    actor = Actor(user="ada", host=socket.gethostname(), pid=2**22 + 1, boot_id="")
    gone = actor._replace(boot_id=f"{machine()}/12345")
    assert is_gone(gone) is True
    unseen = gone._replace(
        host=change.get("host", gone.host), boot_id=change.get("boot_id", gone.boot_id)
    )
    assert is_gone(unseen) is None


@pytest.fixture
def ps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine without /proc, as macOS is, and the program that is asked there; to be written by the test."""
    program = tmp_path / "ps"
    monkeypatch.setattr(process_identity, "PROC", tmp_path / "proc")
    monkeypatch.setattr(process_identity, "PS", str(program))
    return program


def answers(ps: Path, script: str) -> None:
    ps.write_text(f"#!/bin/sh\n{script}\n")
    ps.chmod(0o755)


def test_process_is_known_by_ps_where_there_is_no_proc(ps: Path) -> None:
    answers(ps, "echo 'S+   Mon Mar  2 07:00:00 2026'")
    actor = this_process()
    assert is_gone(actor) is False
    answers(ps, "echo 'S+   Mon Mar  2 08:00:00 2026'")
    assert is_gone(actor) is True, "the pid is used again"
    answers(ps, "echo 'Z    Mon Mar  2 07:00:00 2026'")
    assert is_gone(actor) is True
    answers(ps, "exit 1")
    assert is_gone(actor) is True


@pytest.mark.parametrize("script", ["exec sleep 60", None], ids=["hangs", "is not there"])
def test_process_is_not_called_gone_where_ps_does_not_answer(
    ps: Path, script: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers(ps, "echo 'S+   Mon Mar  2 07:00:00 2026'")
    actor = this_process()
    monkeypatch.setattr(process_identity, "PS_S", 0.05)
    if script is None:
        ps.unlink()
    else:
        answers(ps, script)
    assert is_gone(actor) is None
    unknown = this_process()
    assert unknown.pid == actor.pid
    assert is_gone(unknown) is None


def test_program_name_with_brackets_does_not_confuse(tmp_path: Path) -> None:
    place = tmp_path / "a) Z 1 (b"
    place.symlink_to(sys.executable)
    process = subprocess.Popen([place, "-c", "import signal; signal.pause()"])
    try:
        assert is_gone(actor_of(process.pid)) is False
    finally:
        process.kill()
        process.wait()


@pytest.mark.parametrize(
    ("variables", "url"),
    [
        (
            {"GITHUB_RUN_ID": "7", "GITHUB_REPOSITORY": "a/b"},
            "https://github.com/a/b/actions/runs/7",
        ),
        (
            {"GITHUB_RUN_ID": "7", "GITHUB_REPOSITORY": "a/b", "GITHUB_SERVER_URL": "https://g"},
            "https://g/a/b/actions/runs/7",
        ),
        ({"CI_JOB_URL": "https://gitlab/j/1"}, "https://gitlab/j/1"),
        ({"BUILD_URL": "https://jenkins/1"}, "https://jenkins/1"),
        ({}, ""),
    ],
)
def test_actor_names_the_ci_job(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], url: str
) -> None:
    for name in ("GITHUB_RUN_ID", "GITHUB_REPOSITORY", "GITHUB_SERVER_URL", *CI_VARIABLES):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert this_process().ci_url == url


def test_user_without_a_name_is_named_by_number(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.delenv(name, raising=False)
    script = (
        "import os, pwd\n"
        "from pytest_deploygate.system.process_identity import this_process\n"
        "os.getuid() == 0 and os.setuid(54321)\n"
        "print(this_process().user)"
    )
    said = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    ).stdout.strip()
    assert said == ("54321" if os.getuid() == 0 else this_process().user)


def test_process_runs_until_it_is_dead_even_where_nobody_reaps_it(
    child: subprocess.Popen[bytes],
) -> None:
    assert is_running(child.pid)
    child.kill()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)  # dead, and still a zombie
    assert not is_running(child.pid)
    child.wait()
    assert not is_running(child.pid)


def test_process_of_which_nothing_can_be_told_is_taken_to_run(
    child: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(process_identity, "PROC", tmp_path)
    monkeypatch.setattr(process_identity, "PS", str(tmp_path / "missing"))
    assert is_running(child.pid)


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc")
def test_process_that_a_signal_stopped_is_known(child: subprocess.Popen[bytes]) -> None:
    assert not is_stopped(child.pid)
    child.send_signal(signal.SIGSTOP)
    os.waitid(os.P_PID, child.pid, os.WSTOPPED | os.WNOWAIT)
    assert is_stopped(child.pid)
    child.kill()
    child.wait()
    assert not is_stopped(child.pid)
