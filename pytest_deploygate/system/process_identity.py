"""Identifies this process, and tells whether another process on this machine is gone (ADR 20).

A pid alone is no identity: it is reused after the process ends, after a reboot and in every container. So an actor's
``boot_id`` has the boot id of the kernel, the pid namespace and the start time of the process.
"""

import contextlib
import getpass
import os
import socket
import subprocess
from pathlib import Path

from pytest_deploygate.core.identifiers import Actor

CI_VARIABLES = ("CI_JOB_URL", "BUILD_URL", "CIRCLE_BUILD_URL", "BUILDKITE_BUILD_URL")
"""Variables with the URL of the job: GitLab, Jenkins, CircleCI, Buildkite (from the vendors' documentation)."""

PROC = Path("/proc")
PS = "/bin/ps"
"""Used if there is no /proc."""
PS_S = 5.0
"""Timeout of ps: a hanging ps must not block a process that needs the lease."""
_DEAD = frozenset("ZXx")
"""States of a process that no longer runs: zombie, dead (proc(5), /proc/pid/stat field 3)."""
_STOPPED = frozenset("Tt")
"""States of a process that a signal or a debugger stopped."""


def this_process() -> Actor:
    """The actor for this process."""
    pid = os.getpid()
    try:
        started = start_time(pid) or ""
    except OSError:
        started = ""  # unknown: no other process can tell that this one is gone, so none takes its lease over
    return Actor(
        user=_user(),
        host=socket.gethostname(),
        pid=pid,
        boot_id=f"{machine()}/{started}",
        ci_url=_ci_url(),
    )


def is_gone(actor: Actor) -> bool | None:
    """Whether the process of ``actor`` no longer runs; None if this process cannot tell.

    It cannot tell for another host or container, or after a reboot: another machine may have the same name.
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
    """Whether a process of another user exists although /proc hides it (mount option hidepid)."""
    try:
        os.kill(pid, 0)
    except PermissionError:
        return not (PROC / str(pid)).exists()
    except (ProcessLookupError, OverflowError):
        pass
    return False


def machine() -> str:
    """Boot id and pid namespace, within which pid and start time identify one process."""
    try:
        boot = (PROC / "sys/kernel/random/boot_id").read_text().strip()
        return f"{boot}/{(PROC / 'self/ns/pid').readlink()}"
    except OSError:
        return "no-proc"


def start_time(pid: int) -> str | None:
    """Start time of the process as opaque text; None if it does not run (a zombie does not).

    Raises:
        OSError: it cannot be read.
    """
    try:
        fields = _stat_fields(pid)
    except FileNotFoundError:
        return None if (PROC / "self/stat").exists() else _start_time_by_ps(pid)
    except ProcessLookupError:
        return None
    return None if fields[0] in _DEAD else fields[19]


def is_running(pid: int) -> bool:
    """Whether a process with this ``pid`` runs now; a zombie, as in a container without an init, does not.

    Only the start time tells which process it is: :func:`start_time`.
    """
    try:
        return start_time(pid) is not None or _is_hidden(pid)
    except OSError:
        return True  # unknown; a caller that waits for the end has its own timeout


def is_stopped(pid: int) -> bool:
    """Whether a signal (SIGSTOP, Ctrl-Z) stopped the process ``pid``; False if that is unknown."""
    with contextlib.suppress(OSError):
        return _stat_fields(pid)[0] in _STOPPED
    return False


def _stat_fields(pid: int) -> list[str]:
    """Fields of ``/proc/pid/stat`` from the third one on, which is the state."""
    text = (PROC / str(pid) / "stat").read_text()
    return text.rpartition(")")[
        2
    ].split()  # the program's name, in brackets, may contain spaces and brackets


def _start_time_by_ps(pid: int) -> str | None:
    """Like :func:`start_time`, for systems without /proc (macOS)."""
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
