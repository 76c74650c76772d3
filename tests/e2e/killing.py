"""A record that kills its own process at a chosen write: ``DEPLOYGATE_STATE=tests.e2e.killing:make``.

Every write is noted in the file that ``WRITES`` names, one a line, as it begins. ``KILL_AT=before:7`` kills with
SIGKILL just before the seventh write of this process, ``after:7`` just after it is durable. It happens once: the file
that ``KILLED`` names is written first, with the time and the write.
"""

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

from pytest_deploygate.core.record import JournalEntry
from pytest_deploygate.ports import Clock, Store
from pytest_deploygate.store.sql import open_store

WRITES = ("acquire_lease", "begin", "append", "save", "save_backup", "release_lease")
JOURNAL = "append"


class _Killing:
    """Counts writes; delegates everything."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._when, _, number = os.environ.get("KILL_AT", "").partition(":")
        self._number = int(number or 0)
        self._count = 0

    def __getattr__(self, name: str) -> object:
        value = getattr(self._store, name)
        return self._counted(name, value) if name in WRITES else value

    def _counted(self, name: str, write: Callable[..., object]) -> Callable[..., object]:
        def counted(*arguments: object) -> object:
            self._count += 1
            told = " ".join([name, *(_told(a) for a in arguments if isinstance(a, JournalEntry))])
            _add("WRITES", f"{told}\n")
            is_it = self._count == self._number and not Path(os.environ["KILLED"]).exists()
            if is_it and self._when == "before":
                _die(told)
            result = write(*arguments)
            if is_it:
                _die(told)
            return result

        return counted


def _told(entry: JournalEntry) -> str:
    return f"{entry.kind.value} {entry.name} {entry.state.value}"


def _add(variable: str, text: str) -> None:
    if place := os.environ.get(variable):
        with Path(place).open("a", encoding="utf-8") as file:
            file.write(text)


def _die(told: str) -> None:
    _add("KILLED", f"{time.time()} {os.environ['KILL_AT']} {told}\n")
    os.kill(os.getpid(), signal.SIGKILL)


def make(url: str, clock: Clock) -> Store:
    """The record of the project in the current directory, that kills."""
    del url
    place = f"sqlite:///{Path.cwd() / '.deploygate' / 'state.db'}"
    return _Killing(open_store(place, clock))  # type: ignore[return-value]  # delegates
