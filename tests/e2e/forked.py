"""Sessions forked from a process that has loaded what every session loads: real processes, a second sooner each."""

import ctypes
import multiprocessing
import os
import sys
from collections.abc import Mapping
from pathlib import Path

PRELOADED = ["pytest", "requests", "sqlalchemy", "jsonschema", "google.cloud.functions_v2"]
PRELOADED += ["google.cloud.run_v2", "click", "rich.console", "sqlite3", "psycopg"]
"""Libraries only: pytest loads plugins itself, after it has prepared them."""
UNPRIVILEGED = "UNPRIVILEGED"
"""Variable that lets file permissions hold for the session although root runs it."""
LIMIT_S = 300
_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(PRELOADED)


class Session:
    """``pytest`` or ``deploygate``, begun in ``root`` with just these variables; it writes to ``log``."""

    def __init__(
        self,
        command: str,
        root: Path,
        arguments: list[str],
        variables: Mapping[str, str],
        log: Path,
    ) -> None:
        self._log = log
        self._process = _CONTEXT.Process(
            target=_run, args=(command, root, arguments, dict(variables), log)
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
            self.kill()
            raise AssertionError(f"it does not end:\n{self.output}")
        return self._process.exitcode


def _run(
    command: str, root: Path, arguments: list[str], environment: dict[str, str], log: Path
) -> None:
    os.chdir(root)
    os.environ.clear()
    os.environ.update(environment)
    descriptor = os.open(log, os.O_CREAT | os.O_WRONLY | os.O_TRUNC)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    if UNPRIVILEGED in environment:
        _drop_capabilities()
    sys.path.insert(0, "")
    sys.argv = [command, *arguments]
    if command == "pytest":
        import pytest

        sys.exit(int(pytest.console_main()))
    from pytest_deploygate.cli import main

    main()


def _drop_capabilities() -> None:
    """capset(2) with empty sets: a header of version 3, then twice effective, permitted, inheritable."""
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)
    none = (ctypes.c_uint32 * 6)()
    assert ctypes.CDLL(None, use_errno=True).capset(header, none) == 0
