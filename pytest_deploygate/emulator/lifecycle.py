"""Starts, finds and stops the emulator of a home directory; what the wiring and the command line use.

Needs nothing but the standard library and requests, so that it can say what is not installed. All calls wait for what
they ask for. Two callers at once start one emulator: a file lock in the home directory decides.
"""

import contextlib
import hashlib
import json
import os
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_deploygate import __version__
from pytest_deploygate.core.errors import ConfigError
from pytest_deploygate.ports import Clock
from pytest_deploygate.system.clock import SystemClock
from pytest_deploygate.system.file_lock import FileLockHeld, hold_lock
from pytest_deploygate.system.own_program import own_program
from pytest_deploygate.system.private_folder import make_private_folder
from pytest_deploygate.system.process_identity import is_running, is_stopped
from pytest_deploygate.system.retry import Backoff, attempts

if TYPE_CHECKING:
    import requests

RUN_FILE = "emulator.json"
"""Written by the emulator when it is ready: process, port, version, identity of its code."""
ERROR_FILE = "start-error.json"
"""Written by an emulator that could not start: message and hint."""
LOG_FILE = "emulator.log"
_LOCK_FILE = "emulator.lock"
_NEEDED = ("aiohttp", "functions_framework", "psutil")
_POLL = Backoff(first_s=0.02, factor=1)
_CLOCK = SystemClock()
_STOP_TIMEOUT_S = 30.0
_FOLLOW_S = 0.3
"""How often a log that is followed is looked at."""
_HINT_OLD = "restart it: deploygate emulator down; its functions and sheets are kept"
LOCK_TIMEOUT_S = 120.0
"""How long others may start or stop the emulator before we give up: twice as long as a start may take."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunningEmulator:
    """An emulator that runs: ``endpoint`` is the URL of its admin API."""

    endpoint: str
    pid: int
    version: str
    code: str
    """Identity of the code that it runs; empty for one from before there was any."""
    home: Path


def ensure_running(
    home: Path, *, port: int = 0, timeout_s: float = 60, lock_timeout_s: float = LOCK_TIMEOUT_S
) -> RunningEmulator:
    """The emulator of ``home``, started if none runs; it goes on after the caller has ended.

    Args:
        home: directory that keeps functions, traffic and sheets; made if missing.
        port: of the admin API on 127.0.0.1; 0 takes the one it had before, or any.
        timeout_s: how long a start may take.
        lock_timeout_s: how long to wait for others that start or stop it.

    Raises:
        ConfigError: the port is taken, another version, other code or another port runs under this home, the home
            cannot be written, the extra ``local`` is not installed, it did not become ready in time, or somebody else
            holds the lock of the home.
    """
    _check_installed()
    home = home.absolute()
    with _hold_lock(home, lock_timeout_s):
        found = find(home) or _start(home, port, timeout_s)
    _check_usable(found, port)
    return found


def check_startable(home: Path, port: int = 0) -> None:
    """Raise ConfigError where :func:`ensure_running` would refuse what is installed or runs; nothing is started."""
    _check_installed()
    found = find(home)
    if found is not None:
        _check_usable(found, port)


def _check_installed() -> None:
    missing = [name for name in _NEEDED if find_spec(name) is None]
    if missing:
        raise ConfigError(
            f"the emulator needs {', '.join(missing)}",
            hint="pip install pytest-deploygate[local]",
        )


def _check_usable(found: RunningEmulator, port: int) -> None:
    home = found.home
    if port and not found.endpoint.endswith(f":{port}"):
        raise ConfigError(
            f"the emulator under {home} listens at {found.endpoint}, not at port {port}",
            hint="stop it with `deploygate emulator down`, or ask for the port it has",
        )
    if found.version != __version__:
        raise ConfigError(
            f"an emulator of version {found.version} runs under {home} (process {found.pid}), this is {__version__}",
            hint=_HINT_OLD,
        )
    if found.code != code_identity():
        raise ConfigError(
            f"the emulator under {home} (process {found.pid}) is from a different build of version {__version__}",
            hint=_HINT_OLD,
        )


@cache
def code_identity() -> str:
    """Digest of the code that the emulator consists of, as it was when this process first asked.

    The cloud asks when it starts. Of the package it runs this folder, and ``system`` as this folder uses it, so a
    change elsewhere needs no restart.
    """
    digest = hashlib.sha256()
    folder = Path(__file__).parent
    for path in sorted((*folder.rglob("*.py"), *folder.with_name("system").glob("*.py"))):
        name = str(path.relative_to(folder.parent))
        digest.update(b"%s\0%s\0" % (name.encode(), path.read_bytes()))
    return digest.hexdigest()[:16]


def find(home: Path) -> RunningEmulator | None:
    """The emulator that runs under ``home`` and answers, or None; a file that a dead one left is not enough."""
    home = home.absolute()
    try:
        run = json.loads((home / RUN_FILE).read_text(encoding="utf-8"))
        endpoint = f"http://127.0.0.1:{int(run['port'])}"
        answer = _get(f"{endpoint}/_local/health")
        health = answer.json()
        is_ours = answer.ok and health["pid"] == run["pid"] and _is_same(Path(health["home"]), home)
        version, code = str(health["version"]), str(health.get("code", ""))
    except (OSError, ValueError, KeyError, TypeError):  # what requests raises is an OSError
        return None
    return (
        RunningEmulator(
            endpoint=endpoint, pid=int(run["pid"]), version=version, code=code, home=home
        )
        if is_ours
        else None
    )


def stop(home: Path, *, lock_timeout_s: float = LOCK_TIMEOUT_S) -> bool:
    """Stop the emulator of ``home`` with all function processes and wait for that; False if none ran.

    Raises:
        ConfigError: it does not stop, or somebody else holds the lock of the home.
    """
    home = home.absolute()
    if not home.is_dir():
        return False
    with _hold_lock(home, lock_timeout_s):
        found = find(home)
        if found is None:
            return False
        os.kill(found.pid, signal.SIGTERM)
        for _ in attempts(_CLOCK, _POLL, deadline=_CLOCK.monotonic() + _STOP_TIMEOUT_S):
            if not is_running(found.pid):
                return True
    raise ConfigError(
        f"the emulator (process {found.pid}) does not stop", hint=f"see {home / LOG_FILE}"
    )


def logs(home: Path, revision: str | None = None, tail: int = 100) -> str:
    """The last ``tail`` lines of the log of the emulator, or of what a revision wrote; empty if there is none.

    Raises:
        ConfigError: ``revision`` is not the name of one that has a log.
    """
    path = _log_file(home, revision)
    if not path.exists():
        return ""
    text = path.read_text(encoding="utf-8", errors="replace")
    return "\n".join(_shown_lines(text, revision)[-tail:])


def follow_log(home: Path, revision: str | None, tail: int, clock: Clock) -> Iterator[str]:
    """The last ``tail`` lines, then each line as soon as it is written; ends when whoever reads goes away.

    Raises:
        ConfigError: ``revision`` is not the name of one that has a log.
    """
    path = _log_file(home, revision)
    path.touch()  # the emulator may not have written anything yet
    with path.open(encoding="utf-8", errors="replace") as file:
        yield from _shown_lines(file.read(), revision)[-tail:]
        begun = ""
        while True:
            begun += file.readline()
            if begun.endswith("\n"):
                yield from _shown_lines(begun, revision)
                begun = ""
            else:
                clock.sleep(_FOLLOW_S)


def _shown_lines(text: str, revision: str | None) -> list[str]:
    """Lines of a log; those that a function writes as JSON (a structured log) as their message, line by line.

    Source: Cloud Logging, "Structured logging": ``message`` and ``severity`` are special fields, and so is what begins
    with ``logging.googleapis.com/``.
    """
    lines = text.splitlines()
    return lines if revision is None else [part for line in lines for part in _parts_of(line)]


def _parts_of(line: str) -> list[str]:
    try:
        entry = json.loads(line) if line.startswith("{") else None
    except ValueError:
        return [line]
    if not isinstance(entry, dict) or not isinstance(message := entry.pop("message", None), str):
        return [line]
    severity = entry.pop("severity", "")
    fields = {k: v for k, v in entry.items() if not k.startswith("logging.googleapis.com/")}
    shown = f"{severity}: {message}" if severity else message
    return [*(shown.splitlines() or [""]), *([f"  {json.dumps(fields)}"] if fields else [])]


def _log_file(home: Path, revision: str | None) -> Path:
    if revision is None:
        return home.absolute() / LOG_FILE
    known = {
        found.stem: found
        for found in (home.absolute() / "logs").glob("*.log")
        if not found.name.startswith("build-")
    }
    if revision not in known:
        names = ", ".join(sorted(known)) or "none"
        raise ConfigError(f"there is no log of a revision {revision!r}", hint=f"known: {names}")
    return known[revision]


def _start(home: Path, port: int, timeout_s: float) -> RunningEmulator:
    with contextlib.suppress(FileNotFoundError):
        (home / ERROR_FILE).unlink()
    command = [
        *own_program("pytest_deploygate.emulator"),
        "--detach",
        "--home",
        str(home),
        "--port",
        str(port),
    ]
    deadline = _CLOCK.monotonic() + timeout_s
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
            stdin=subprocess.DEVNULL,
        )
    except subprocess.TimeoutExpired as error:
        raise ConfigError(
            f"the emulator did not start within {timeout_s:g} s",
            hint=f"is this machine busy? Try again, and see {home / LOG_FILE}",
        ) from error
    if done.returncode != 0:
        raise ConfigError(
            f"the emulator did not start: {done.stderr.strip()}", hint=f"see {home / LOG_FILE}"
        )
    pid = int(done.stdout)
    for _ in attempts(_CLOCK, _POLL, deadline=deadline):
        is_alive = is_running(pid)  # asked first: what it wrote before it ended is then there
        if (home / ERROR_FILE).exists():
            _raise_start_error(home)
        if (home / RUN_FILE).exists() and (found := find(home)) is not None:
            return found
        if not is_alive:
            break
    raise ConfigError(
        f"the emulator was not ready within {timeout_s:g} s, or died",
        hint=f"see {home / LOG_FILE}: {logs(home, tail=3)}",
    )


def _raise_start_error(home: Path) -> None:
    """Raise what the emulator wrote; returns if it is still writing."""
    with contextlib.suppress(ValueError):
        error = json.loads((home / ERROR_FILE).read_text(encoding="utf-8"))
        raise ConfigError(error["message"], hint=error["hint"])


@contextlib.contextmanager
def _hold_lock(home: Path, timeout_s: float) -> Iterator[None]:
    """Hold the lock of ``home``; released by the system when this process dies.

    Raises:
        ConfigError: the home cannot be written, or another process does not give the lock back in time.
    """
    path = home / _LOCK_FILE
    waits = attempts(_CLOCK, _POLL, deadline=_CLOCK.monotonic() + timeout_s)
    with contextlib.ExitStack() as stack:
        try:
            make_private_folder(home)
            stack.enter_context(hold_lock(path, waits))
        except FileLockHeld as error:
            raise _lock_held_error(path, error.holder, timeout_s) from error
        except OSError as error:
            raise ConfigError(
                f"{home} cannot be written: {error}", hint="choose another home for the emulator"
            ) from error
        yield


def _lock_held_error(path: Path, holder: int | None, timeout_s: float) -> ConfigError:
    """The error that says who holds the lock, as far as it wrote that down."""
    who, look = "another process", f"fuser {path}"
    if holder is not None:
        who = f"process {holder}{', which is stopped,' if is_stopped(holder) else ''}"
        look = f"ps -f -p {holder}"
    return ConfigError(
        f"{who} starts or stops the emulator under {path.parent}, and has not ended that for {timeout_s:g} s",
        hint=f"look at it: {look}; let it go on (kill -CONT) or end it, then try again",
    )


def _get(url: str) -> "requests.Response":
    import requests  # loading it takes as long as a look at the past does

    with requests.Session() as session:
        session.trust_env = False  # a proxy of the environment is not for loopback
        return session.get(url, timeout=(1, 15))


def _is_same(one: Path, other: Path) -> bool:
    return one == other or one.resolve() == other.resolve()
