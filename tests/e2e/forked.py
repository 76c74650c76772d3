"""Sessions forked from a process that has loaded what every session loads: real processes, a second sooner each."""

import multiprocessing
import os
import sys
from collections.abc import Mapping
from multiprocessing.context import ForkServerProcess
from pathlib import Path

PRELOADED = ["pytest", "xdist", "requests", "sqlalchemy", "jsonschema", "google.cloud.functions_v2"]
PRELOADED += ["google.cloud.run_v2", "click", "rich.console", "sqlite3"]
"""Libraries only: pytest loads plugins itself, after it has prepared them."""
_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(PRELOADED)


def start(
    command: str, root: Path, arguments: list[str], variables: Mapping[str, str], log: Path
) -> ForkServerProcess:
    """Begin ``pytest`` or ``deploygate`` with ``arguments`` in ``root``; it writes to ``log``."""
    environment = {**os.environ, **variables}
    process = _CONTEXT.Process(target=_run, args=(command, root, arguments, environment, log))
    process.start()
    return process


def run(
    command: str, root: Path, arguments: list[str], variables: Mapping[str, str], log: Path
) -> int:
    """The same to its end: exit status, negative for a signal."""
    process = start(command, root, arguments, variables, log)
    process.join(300)
    if process.exitcode is None:
        process.kill()
        process.join()
        raise AssertionError(f"{command} {arguments} does not end")
    return process.exitcode


def _run(
    command: str, root: Path, arguments: list[str], environment: dict[str, str], log: Path
) -> None:
    os.chdir(root)
    os.environ.clear()
    os.environ.update(environment)
    descriptor = os.open(log, os.O_CREAT | os.O_WRONLY | os.O_TRUNC)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    sys.path.insert(0, "")
    sys.argv = [command, *arguments]
    if command == "pytest":
        import pytest

        sys.exit(int(pytest.console_main()))
    from pytest_deploygate.cli import main

    main()
