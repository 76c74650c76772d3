"""The heartbeat thread: what it does when a heartbeat fails, and when the lease is lost."""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from pytest_deploygate.core.identifiers import Actor, EnvironmentName, RolloutId
from pytest_deploygate.core.record import Lease
from pytest_deploygate.engine.heartbeat import LeaseHeartbeat
from tests.fakes import FakeClock, FakeStore, Fault, Faults

PROD = EnvironmentName("production")
ADA, BOB = Actor(user="ada", host="ci", pid=1), Actor(user="bob", host="laptop", pid=2)
LIMIT_S = 30


@dataclass(slots=True)
class Kept:
    """A lease with an immediate heartbeat, and the messages of its thread."""

    faults: Faults = field(default_factory=Faults)
    said: list[str] = field(default_factory=list)
    has_said: threading.Event = field(default_factory=threading.Event)
    store: FakeStore = field(init=False)
    keeper: LeaseHeartbeat = field(init=False)

    def __post_init__(self) -> None:
        self.store = FakeStore(FakeClock(), self.faults)
        lease: Lease = self.store.acquire_lease(PROD, ADA, "deploy", RolloutId("one"), 0)
        self.keeper = LeaseHeartbeat(self.store, lease, self._hear)

    def _hear(self, message: str) -> None:
        self.said.append(message)
        self.has_said.set()

    def at_beat(self, number: int, then: Callable[[], object]) -> None:
        """Call ``then`` just before a heartbeat."""

        def watch(call: str) -> None:
            if call == "store.renew_lease" and self.faults.calls.count(call) == number:
                then()

        self.faults.watchers.append(watch)


def test_lost_lease_is_told_once() -> None:
    kept = Kept()
    kept.at_beat(3, lambda: kept.store.break_lease(PROD, BOB, "stuck"))
    with kept.keeper:
        assert kept.has_said.wait(LIMIT_S)
    assert len(kept.said) == 1
    assert "was broken" in kept.said[0]
    assert kept.faults.calls.count("store.renew_lease") == 3


def test_heartbeat_that_cannot_be_written_is_tried_again() -> None:
    kept, third = Kept(), threading.Event()
    kept.faults.on("store.renew_lease", Fault.UNAVAILABLE)
    kept.at_beat(3, third.set)
    with kept.keeper:
        assert third.wait(LIMIT_S)
    assert kept.said == []
    lease = kept.store.lease(PROD)
    assert lease is not None
    assert lease.beat >= 1


def test_lease_that_its_holder_gives_back_is_not_lost() -> None:
    kept = Kept()
    end = threading.Thread(target=kept.keeper.stop)

    def give_back() -> None:
        lease = kept.store.peek_lease(PROD)
        assert lease is not None
        end.start()
        assert kept.keeper._stop.wait(LIMIT_S)
        kept.store.release_lease(lease)

    kept.at_beat(2, give_back)
    kept.keeper.start()
    kept.keeper._thread.join(LIMIT_S)
    end.join(LIMIT_S)
    assert not kept.keeper._thread.is_alive()
    assert kept.said == []
