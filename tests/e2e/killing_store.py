"""A record that strikes its own process at a chosen write: ``DEPLOYGATE_STATE=tests.e2e.killing_store:make``.

Every write is noted in the file that ``WRITES`` names, one a line, as it begins. ``KILL_AT=before:7`` strikes just
before the seventh write of this process, ``after:7`` just after it is durable; words instead of the number mean the
first write that is told so. It happens once: the file that ``KILLED`` names is written first, with the time and the
write. ``KILL_WITH`` is how: ``SIGKILL`` (the default) or another signal, ``AGAIN`` for SIGTERM now and at every later
write, ``FULL`` for a disk that takes nothing more; ``session``, ``watchdog`` or ``judge,session,watchdog`` for SIGKILL
of these processes of the session that writes, the one that decides last.
"""

import contextlib
import os
import resource
import signal
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import psutil

from pytest_deploygate.core.record import JournalEntry
from pytest_deploygate.ports import Clock, Store
from pytest_deploygate.store.sql import open_store

WRITES = ("acquire_lease", "begin", "append", "save", "save_backup", "release_lease")
JOURNAL = "append"
AGAIN = "AGAIN"
FULL = "FULL"


class _Killing:
    """Counts writes; delegates everything."""

    def __init__(self, store: Store, record: Path) -> None:
        self._store = store
        self._record = record
        self._when, _, self._which = os.environ.get("KILL_AT", "").partition(":")
        self._with = os.environ.get("KILL_WITH", "") or "SIGKILL"
        self._count = 0
        self._has_struck = False

    def __getattr__(self, name: str) -> object:
        value = getattr(self._store, name)
        return self._counted(name, value) if name in WRITES else value

    def _counted(self, name: str, write: Callable[..., object]) -> Callable[..., object]:
        def counted(*arguments: object) -> object:
            self._count += 1
            told = " ".join([name, *(_told(a) for a in arguments if isinstance(a, JournalEntry))])
            _add("WRITES", f"{told}\n")
            if self._has_struck and self._with == AGAIN:
                os.kill(os.getpid(), signal.SIGTERM)
            is_it = self._which in {str(self._count), told}
            is_it = is_it and not Path(os.environ["KILLED"]).exists()
            if is_it and self._when == "before":
                self._strike(told)
            result = write(*arguments)
            if is_it and self._when == "after":
                self._strike(told)
            return result

        return counted

    def _strike(self, told: str) -> None:
        self._has_struck = True
        _add("KILLED", f"{time.time()} {os.environ['KILL_AT']} {told}\n")
        if self._with == FULL:
            limit = Path(f"{self._record}-wal").stat().st_size
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
        elif self._with[0].islower():
            kill_processes(psutil.Process(), self._with.split(","))
        else:
            os.kill(
                os.getpid(), signal.SIGTERM if self._with == AGAIN else signal.Signals[self._with]
            )


def processes_of(judge: psutil.Process) -> dict[str, list[psutil.Process]]:
    """The processes of a session by what they are: ``session``, ``watchdog``, ``worker``, ``judge``."""
    found: dict[str, list[psutil.Process]] = {"session": [], "watchdog": [], "worker": []}
    for child in judge.children():
        words = " ".join(child.cmdline())
        if "-m pytest " in words:
            found["session"].append(child)
            found["worker"] += child.children()
        elif "watchdog" in words:
            found["watchdog"].append(child)
    return found | {"judge": [judge]}


def kill_processes(judge: psutil.Process, names: Sequence[str]) -> None:
    """Kill them, the one that decides last."""
    found = processes_of(judge)
    for name in sorted(names, key="judge".__eq__):
        for one in found[name]:
            with contextlib.suppress(psutil.NoSuchProcess):
                one.kill()


def _told(entry: JournalEntry) -> str:
    return f"{entry.kind.value} {entry.name} {entry.state.value}"


def _add(variable: str, text: str) -> None:
    if place := os.environ.get(variable):
        with Path(place).open("a", encoding="utf-8") as file:
            file.write(text)


def make(url: str, clock: Clock) -> Store:
    """The record of the project in the current directory, that kills."""
    del url
    record = Path.cwd() / ".deploygate" / "state.db"
    store = open_store(f"sqlite:///{record}", clock)
    return _Killing(store, record)  # type: ignore[return-value]  # delegates
