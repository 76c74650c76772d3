"""Who we are as a process, and whether another process on this machine is gone.

A pid alone says little: it is used again after the process, after a reboot and in every container. So an actor's
``boot_id`` names the boot of the kernel, the pid namespace and the start time of the process.
"""

import contextlib
import getpass
import os
import socket
import subprocess
from pathlib import Path

from pytest_deploygate.core.identifiers import Actor

CI_VARIABLES = ("CI_JOB_URL", "BUILD_URL", "CIRCLE_BUILD_URL", "BUILDKITE_BUILD_URL")
"""What holds the address of the job: GitLab, Jenkins, CircleCI, Buildkite (the vendors' lists of variables)."""

PROC = Path("/proc")
PS = "/bin/ps"
"""What is asked where there is no /proc."""
PS_S = 5.0
"""How long it may take: a machine on which it hangs must not hang whoever asks for a lease."""
_DEAD = frozenset("ZXx")
"""States of a process that no longer runs: zombie, dead (proc(5), /proc/pid/stat field 3)."""
_STOPPED = frozenset("Tt")
"""States of a process that a signal or a debugger stopped."""


def this_process() -> Actor:
    """The actor that this process is."""
    pid = os.getpid()
    try:
        started = start_time(pid) or ""
    except OSError:
        started = ""  # nobody will be able to tell that we are gone, so nothing is taken from us
    return Actor(
        user=_user(),
        host=socket.gethostname(),
        pid=pid,
        boot_id=f"{machine()}/{started}",
        ci_url=_ci_url(),
    )


def is_gone(actor: Actor) -> bool | None:
    """Whether the process of ``actor`` no longer runs; None when that cannot be told from here.

    It cannot be told from another host, from another container, or after a reboot: a machine with the same name may
    be another machine.
    """
    where, _, started = actor.boot_id.rpartition("/")
    if actor.host != socket.gethostname() or where != machine() or not started:
        return None
    try:
        now = start_time(actor.pid)
    except OSError:
        return None
    if now is None and _is_hidden(actor.pid):
        return None
    return now != started


def _is_hidden(pid: int) -> bool:
    """Whether a process of another user is there although /proc does not show it (mount option hidepid)."""
    try:
        os.kill(pid, 0)
    except PermissionError:
        return not (PROC / str(pid)).exists()
    except (ProcessLookupError, OverflowError):
        pass
    return False


def machine() -> str:
    """Boot of the kernel and pid namespace: within one of them a pid and a start time name one process."""
    try:
        boot = (PROC / "sys/kernel/random/boot_id").read_text().strip()
        return f"{boot}/{(PROC / 'self/ns/pid').readlink()}"
    except OSError:
        return "no-proc"


def start_time(pid: int) -> str | None:
    """When the process began, as opaque text, or None if it does not run (a zombie does not).

    Raises:
        OSError: it cannot be told.
    """
    try:
        fields = _stat_fields(pid)
    except FileNotFoundError:
        return None if (PROC / "self/stat").exists() else _start_time_by_ps(pid)
    except ProcessLookupError:
        return None
    return None if fields[0] in _DEAD else fields[19]


def is_running(pid: int) -> bool:
    """Whether a process has this ``pid`` now; a zombie that nobody reaps, as in a container without an init, is none.

    Which process that is, only its start time tells: :func:`start_time`.
    """
    try:
        return start_time(pid) is not None or _is_hidden(pid)
    except OSError:
        return True  # it cannot be told, and who waits for its end has a limit of its own


def is_stopped(pid: int) -> bool:
    """Whether the process ``pid`` was stopped by a signal (SIGSTOP, Ctrl-Z); False where that cannot be told."""
    with contextlib.suppress(OSError):
        return _stat_fields(pid)[0] in _STOPPED
    return False


def _stat_fields(pid: int) -> list[str]:
    """What ``/proc/pid/stat`` says from its third field on: the state, and what follows."""
    text = (PROC / str(pid) / "stat").read_text()
    return text.rpartition(")")[
        2
    ].split()  # the program's name, in brackets, may hold spaces and brackets


def _start_time_by_ps(pid: int) -> str | None:
    """As :func:`start_time` where there is no /proc (macOS)."""
    try:
        found = subprocess.run(
            [PS, "-o", "stat=,lstart=", "-p", str(pid)],
            capture_output=True,
            text=True,
            check=False,
            timeout=PS_S,
        )
    except subprocess.TimeoutExpired as error:
        raise TimeoutError(f"{PS} does not answer") from error
    state, _, started = found.stdout.strip().partition(" ")
    return started.strip() if state and state[0] not in _DEAD else None


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # no entry in the password database, as in many containers
        return str(os.getuid())


def _ci_url() -> str:
    environment = os.environ
    if "GITHUB_RUN_ID" in environment:
        server = environment.get("GITHUB_SERVER_URL", "https://github.com")
        repository = environment.get("GITHUB_REPOSITORY", "")
        return f"{server}/{repository}/actions/runs/{environment['GITHUB_RUN_ID']}"
    return next((environment[name] for name in CI_VARIABLES if environment.get(name)), "")
