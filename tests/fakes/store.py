"""The product's own store in memory, with a fault at every call; it outlives the engines that use it."""

import weakref
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar, cast

from pytest_deploygate.core.errors import StoreError
from pytest_deploygate.core.identifiers import EnvironmentName, RolloutId
from pytest_deploygate.core.record import JournalEntry, Lease, RolloutRecord
from pytest_deploygate.store.sql import SqlStore, open_memory_store
from pytest_deploygate.testing.faults import SLOW_S, FakeClock, Fault, Faults, ProcessKilled

T = TypeVar("T")
if (
    TYPE_CHECKING
):  # at run time each call is delegated, so that a store's calls of itself are no points
    _StoreBase = SqlStore
else:
    _StoreBase = object
ALL = 10_000
"""More rollouts than any test records."""


class FakeStore(_StoreBase):
    """Implements :class:`pytest_deploygate.ports.Store`: each call is a point of :class:`Faults`, then a real one."""

    def __init__(self, clock: FakeClock, faults: Faults | None = None) -> None:
        self.faults = faults or Faults()
        self._clock = clock
        self._open()
        self._peeked: dict[str, object] = {}
        """What tests looked at since the last call; they look after every change of traffic."""

    if not TYPE_CHECKING:

        def __getattribute__(self, name: str) -> object:
            if name.startswith("_") or name in _OWN:
                return object.__getattribute__(self, name)
            return self._faulty(name, getattr(self._real, name))

    def _faulty(self, name: str, call: Callable[..., object]) -> Callable[..., object]:
        def called(*args: object, **kwargs: object) -> object:
            with self._point(name):
                return call(*args, **kwargs)

        return called

    @contextmanager
    def _point(self, name: str) -> Generator[None]:
        self._peeked.clear()
        fault = self.faults.take(f"store.{name}")
        if fault is Fault.KILLED_BEFORE:
            raise ProcessKilled(name)
        if fault in (Fault.UNAVAILABLE, Fault.REFUSED, Fault.LOST_REQUEST):
            raise StoreError("the disk is full", hint="free space")
        if fault is Fault.SLOW:
            self._clock.sleep(SLOW_S)
        yield
        if fault is Fault.KILLED_AFTER:
            raise ProcessKilled(name)
        if fault is Fault.LOST_ANSWER:
            raise StoreError("the connection broke after the commit", hint="try again")

    # What tests look at, which is no point of the faults

    def close(self) -> None:
        """Keep everything: the next engine opens the same record."""

    def peek(self, rollout_id: RolloutId) -> RolloutRecord:
        """One rollout."""
        [found] = [one for one in self.peek_all() if one.rollout_id == rollout_id]
        return found

    def peek_journal(self, rollout_id: RolloutId) -> tuple[JournalEntry, ...]:
        """The journal of one rollout."""
        return self._peek(rollout_id, lambda: self._real.journal(rollout_id))

    def peek_lease(self, environment: EnvironmentName) -> Lease | None:
        """Who holds the lease."""
        return self._real.lease(environment)

    def peek_all(self) -> tuple[RolloutRecord, ...]:
        """All rollouts, oldest first."""
        return self._peek("all", lambda: self._real.history(None, ALL)[::-1])

    def _peek(self, what: str, read: Callable[[], T]) -> T:
        if what not in self._peeked:
            self._peeked[what] = read()
        return cast("T", self._peeked[what])

    def lose_everything(self) -> None:
        """The record is gone, as on a fresh machine."""
        self._peeked.clear()
        self._forget()
        self._open()

    def _open(self) -> None:
        """Open an empty record; it is closed with this object, since engines that die close nothing."""
        self._real = open_memory_store(self._clock)
        self._forget = weakref.finalize(self, self._real.close)


_OWN = {*vars(FakeStore), "faults"}
"""What is this class's own; all else is the store's."""
