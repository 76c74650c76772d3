"""A record that kills its own process at a chosen entry of a journal: ``DEPLOYGATE_STATE=tests.e2e.killing:make``.

``KILL_AT=before:7`` kills with SIGKILL just before the seventh entry that this process would write, ``after:7``
just after it is durable. It happens once: the file that ``KILLED`` names is written first.
"""

import os
import signal
from pathlib import Path

from pytest_deploygate.core.record import JournalEntry, Lease
from pytest_deploygate.core.values import RolloutId
from pytest_deploygate.ports import Clock, Store
from pytest_deploygate.store.sql import open_store


class _Killing:
    """Counts journal entries; delegates everything else."""

    def __init__(self, store: Store, at: str, note: Path) -> None:
        self._store = store
        self._when, _, number = at.partition(":")
        self._number = int(number or 0)
        self._note = note
        self._count = 0

    def __getattr__(self, name: str) -> object:
        return getattr(self._store, name)

    def append(self, rollout_id: RolloutId, entry: JournalEntry, lease: Lease) -> None:
        self._count += 1
        is_it = self._count == self._number and not self._note.exists()
        if is_it and self._when == "before":
            self._die(entry)
        self._store.append(rollout_id, entry, lease)
        if is_it:
            self._die(entry)

    def _die(self, entry: JournalEntry) -> None:
        self._note.write_text(f"{self._when} {entry.kind.value} {entry.name} {entry.state.value}\n")
        os.kill(os.getpid(), signal.SIGKILL)


def make(url: str, clock: Clock) -> Store:
    """The record of the project in the current directory, that kills."""
    del url
    store = open_store(f"sqlite:///{Path.cwd() / '.deploygate' / 'state.db'}", clock)
    note = Path(os.environ["KILLED"])
    return _Killing(store, os.environ.get("KILL_AT", ""), note)  # type: ignore[return-value]  # delegates
