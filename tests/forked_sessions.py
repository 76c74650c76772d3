"""Sessions forked from a process that has loaded what every session loads: real processes, a second sooner each."""

import ctypes
import multiprocessing
import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path

PRELOADED = ["pytest", "requests", "jsonschema", "click", "rich.console", "sqlite3"]
"""Libraries only: pytest loads plugins itself, after it has prepared them."""
UNPRIVILEGED = "UNPRIVILEGED"
"""Variable that lets file permissions hold for the session although root runs it."""
LIMIT_S = 300
_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(PRELOADED)


def preload(*more: str) -> None:
    """Have the process load these libraries, too; nothing may have been forked from it yet."""
    _CONTEXT.set_forkserver_preload([*PRELOADED, *more])


class Session:
    """``pytest`` or ``deploygate``, begun in ``root`` with just these variables.

    It writes to ``log``, its errors to ``errors`` where that is given.
    """

    def __init__(
        self,
        command: str,
        root: Path,
        arguments: list[str],
        variables: Mapping[str, str],
        log: Path,
        errors: Path | None = None,
    ) -> None:
        self._log = log
        self._process = _CONTEXT.Process(
            target=_run, args=(command, root, arguments, dict(variables), log, errors)
        )
        self._process.start()

    @property
    def pid(self) -> int:
        """The process."""
        assert self._process.pid is not None
        return self._process.pid

    @property
    def is_running(self) -> bool:
        """Whether it has not ended."""
        return self._process.is_alive()

    @property
    def output(self) -> str:
        """What it printed up to now."""
        return self._log.read_text(encoding="utf-8") if self._log.exists() else ""

    def kill(self) -> None:
        """End it with SIGKILL."""
        self._process.kill()
        self._process.join()

    def end(self) -> int:
        """Wait for it: exit status, negative for a signal."""
        self._process.join(LIMIT_S)
        if self._process.exitcode is None:
            os.killpg(self.pid, signal.SIGKILL)
            raise AssertionError(f"it does not end:\n{self.output}")
        return self._process.exitcode


def _run(
    command: str,
    root: Path,
    arguments: list[str],
    environment: dict[str, str],
    log: Path,
    errors: Path | None,
) -> None:
    os.setsid()
    os.chdir(root)
    os.environ.clear()
    os.environ.update(environment)
    _redirect(Path(os.devnull), 0, os.O_RDONLY)
    _redirect(log, 1)
    if errors is not None:
        _redirect(errors, 2)
    else:
        os.dup2(1, 2)
    if UNPRIVILEGED in environment:
        _drop_capabilities()
    sys.path[:0] = ["", *environment.get("PYTHONPATH", "").split(os.pathsep)]
    sys.argv = [command, *arguments]
    if command == "pytest":
        import pytest

        sys.exit(int(pytest.console_main()))
    from pytest_deploygate.cli import main

    main()


def _redirect(
    path: Path, descriptor: int, flags: int = os.O_CREAT | os.O_WRONLY | os.O_TRUNC
) -> None:
    opened = os.open(path, flags)
    os.dup2(opened, descriptor)
    os.close(opened)


def _drop_capabilities() -> None:
    """capset(2) with empty sets: a header of version 3, then twice effective, permitted, inheritable."""
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)
    none = (ctypes.c_uint32 * 6)()
    assert ctypes.CDLL(None, use_errno=True).capset(header, none) == 0
