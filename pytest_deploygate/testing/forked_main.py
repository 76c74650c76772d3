"""A script that runs ``pytest`` or ``deploygate`` in a process that has just been forked; see ``ForkedSession``.

``CALL`` is put into its globals. It names nothing of this package before the command itself does.
"""

import ctypes
import os
import sys

UNPRIVILEGED = "UNPRIVILEGED"
"""Variable that lets file permissions hold for the session although root runs it."""


def _run(
    command: str,
    root: str,
    arguments: list[str],
    environment: dict[str, str],
    log: str,
    errors: str | None,
) -> None:
    os.setsid()
    os.chdir(root)
    os.environ.clear()
    os.environ.update(environment)
    _redirect(os.devnull, 0, os.O_RDONLY)
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
        sys.orig_argv = [sys.executable, "-m", "pytest", *arguments]
        import pytest

        sys.exit(int(pytest.console_main()))
    from pytest_deploygate.cli import main

    main()


def _redirect(
    path: str, descriptor: int, flags: int = os.O_CREAT | os.O_WRONLY | os.O_TRUNC
) -> None:
    opened = os.open(path, flags, 0o600)
    os.dup2(opened, descriptor)
    os.close(opened)


def _drop_capabilities() -> None:
    """capset(2) with empty sets: a header of version 3, then twice effective, permitted, inheritable.

    prctl(2) with PR_SET_SECUREBITS first, SECBIT_NOROOT and its lock: programs that are started get none back.
    """
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)
    none = (ctypes.c_uint32 * 6)()
    libc = ctypes.CDLL(None, use_errno=True)
    assert libc.prctl(28, 0b11, 0, 0, 0) == 0
    assert libc.capset(header, none) == 0


if "CALL" in globals():
    _run(*globals()["CALL"])
