"""Sessions in processes of their own, forked from one that has loaded what every session loads: a second sooner each.

Runs in the process of the tests; what it starts is an ordinary ``pytest`` or ``deploygate``, seen from outside only.
"""

import multiprocessing
import os
import runpy
import signal
import subprocess
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

PRELOADED = ["pytest", "requests", "jsonschema", "click", "rich.console", "sqlite3"]
"""Libraries only: pytest loads plugins itself, after it has prepared them."""
SCRIPT = Path(__file__).with_name("forked_main.py")
"""What a forked process runs."""
LIMIT_S = 300
"""Longest that a session may take, on a machine that is busy with others, too."""
_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(PRELOADED)


def preload(*more: str) -> None:
    """Have the process load these libraries, too; nothing may have been forked from it yet."""
    _CONTEXT.set_forkserver_preload([*PRELOADED, *more])


class ForkedSession:
    """``pytest`` or ``deploygate``, begun in ``root`` with just these variables, in a process group of its own.

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
        self._log, self._errors = log, errors
        self.began_at = datetime.now(UTC)
        # a script, not a function of this module: what it names would load the package before pytest does
        call = (command, str(root), arguments, dict(variables), str(log), errors and str(errors))
        self._process = _CONTEXT.Process(
            target=runpy.run_path, args=(str(SCRIPT),), kwargs={"init_globals": {"CALL": call}}
        )
        self._process.start()

    @property
    def pid(self) -> int:
        """The process, and its group."""
        assert self._process.pid is not None
        return self._process.pid

    @property
    def is_running(self) -> bool:
        """Whether it has not ended."""
        return self._process.is_alive()

    @property
    def output(self) -> str:
        """What it printed up to now."""
        return _text_of(self._log)

    @property
    def errors(self) -> str:
        """What it printed up to now as errors, where they go to a file of their own."""
        return _text_of(self._errors) if self._errors is not None else ""

    def send_signal(self, number: signal.Signals) -> None:
        """Send a signal to the process alone."""
        os.kill(self.pid, number)

    def kill(self) -> None:
        """End it with SIGKILL."""
        self._process.kill()
        self._process.join()

    close = kill

    def end(self) -> int:
        """Wait for it: exit status, negative for a signal.

        Raises:
            TimeoutError: it does not end, and was killed.
        """
        self._process.join(LIMIT_S)
        if self._process.exitcode is None:
            os.killpg(self.pid, signal.SIGKILL)
            raise TimeoutError(f"the session does not end:\n{self.output}")
        return self._process.exitcode


class PipedProcess(subprocess.Popen[str]):
    """Any command line as a new process in a process group of its own, its output in pipes."""

    def __init__(self, command: Sequence[str], root: Path, variables: Mapping[str, str]) -> None:
        self.began_at = datetime.now(UTC)
        super().__init__(
            command,
            cwd=root,
            env=variables,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    @property
    def is_running(self) -> bool:
        """Whether it has not ended."""
        return self.poll() is None

    def kill(self) -> None:
        """End it with SIGKILL, and everything that it started in its group."""
        if self.is_running:
            os.killpg(self.pid, signal.SIGKILL)

    def close(self) -> None:
        """Kill it where it still runs, and close its pipes."""
        self.kill()
        self.wait()
        for stream in (self.stdout, self.stderr):
            if stream is not None:
                stream.close()


def _text_of(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""
