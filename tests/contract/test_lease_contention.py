"""Two deployers at once, on databases that are shared by processes: exactly one acts, each time."""

import os
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from threading import Barrier

import pytest

from pytest_deploygate.core.errors import JournalDamaged, LeaseHeld, LeaseLost
from pytest_deploygate.core.identifiers import Actor, EnvironmentName, RolloutId
from pytest_deploygate.core.record import EntryKind, JournalEntry, Lease, RolloutRecord
from pytest_deploygate.core.state_machine import State
from pytest_deploygate.store import SqlStore, open_store
from tests.fakes import FakeClock

ROOT = Path(__file__).parents[2]
PROD = EnvironmentName("production")
CLOCK = FakeClock()
ROUNDS = 10


def an_actor(number: int) -> Actor:
    return Actor(user=f"user-{number}", host="ci", pid=number)


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A database that several processes can open."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/state.db"
    postgresql: str = request.getfixturevalue("postgresql_url")
    return postgresql


def at_once(*acts: Callable[[], object]) -> list[object]:
    """Results or errors of callables that start at the same moment."""
    barrier = Barrier(len(acts))

    def run(act: Callable[[], object]) -> object:
        barrier.wait(30)
        try:
            return act()
        except (LeaseHeld, LeaseLost, JournalDamaged) as error:
            return error

    with ThreadPoolExecutor(len(acts)) as pool:
        return list(pool.map(run, acts))


def test_exactly_one_of_two_gets_the_lease(url: str) -> None:
    with open_store(url, CLOCK) as one, open_store(url, CLOCK) as other:
        for number in range(ROUNDS):
            results = at_once(
                *(
                    partial(
                        s.acquire_lease, PROD, an_actor(n), "deploy", RolloutId(f"{number}"), 60
                    )
                    for n, s in enumerate((one, other))
                )
            )
            leases = [r for r in results if isinstance(r, Lease)]
            assert len(leases) == 1
            assert len([r for r in results if isinstance(r, LeaseHeld)]) == 1
            assert one.lease(PROD) == other.lease(PROD) == leases[0]
            one.release_lease(leases[0])


def test_exactly_one_of_two_takes_a_dead_lease_over(url: str) -> None:
    with open_store(url, CLOCK) as one, open_store(url, CLOCK) as other:
        lease = one.acquire_lease(PROD, an_actor(0), "deploy", RolloutId("first"), 60)
        for number in range(ROUNDS):
            results = at_once(
                *(
                    partial(s.take_over, lease, an_actor(n), "recover", RolloutId(f"{number}"), 60)
                    for n, s in enumerate((one, other))
                )
            )
            (lease,) = [r for r in results if isinstance(r, Lease)]
            assert len([r for r in results if isinstance(r, LeaseHeld)]) == 1


def test_takeover_and_a_late_write_never_both_win(url: str) -> None:
    with open_store(url, CLOCK) as zombie, open_store(url, CLOCK) as other:
        for number in range(ROUNDS):
            rollout_id = RolloutId(str(number))
            lease = zombie.acquire_lease(PROD, an_actor(0), "deploy", rollout_id, 60)
            zombie.begin(a_record(rollout_id), lease)
            wrote, taken = at_once(
                partial(zombie.append, rollout_id, an_entry("zombie"), lease),
                partial(other.take_over, lease, an_actor(1), "recover", rollout_id, 60),
            )
            assert isinstance(taken, Lease)
            journal = other.journal(rollout_id)
            assert [e.name for e in journal] == ([] if isinstance(wrote, LeaseLost) else ["zombie"])
            with pytest.raises(LeaseLost):
                zombie.append(rollout_id, an_entry("later"), lease)
            other.release_lease(taken)


def test_two_writers_of_one_journal_never_both_win(url: str) -> None:
    with open_store(url, CLOCK) as one, open_store(url, CLOCK) as other:
        for number in range(ROUNDS):
            rollout_id = RolloutId(str(number))
            lease = one.acquire_lease(PROD, an_actor(0), "deploy", rollout_id, 60)
            one.begin(a_record(rollout_id), lease)
            results = at_once(
                partial(one.append, rollout_id, an_entry("a"), lease),
                partial(other.append, rollout_id, an_entry("b"), lease),
            )
            assert sum(isinstance(r, JournalDamaged) for r in results) == 1
            assert len(one.journal(rollout_id)) == 1
            one.release_lease(lease)


def a_record(rollout_id: RolloutId) -> RolloutRecord:
    return RolloutRecord(
        rollout_id=rollout_id,
        environment=PROD,
        purpose="deploy",
        actor=an_actor(0),
        began_at=CLOCK.now(),
        state=State.OPEN,
    )


def an_entry(name: str) -> JournalEntry:
    return JournalEntry(
        sequence=1, at=CLOCK.now(), kind=EntryKind.INTENT, name=name, state=State.OPEN
    )


def test_first_use_by_several_at_once_makes_one_record(url: str) -> None:
    stores = at_once(*[lambda: open_store(url, CLOCK)] * 4)
    lineages = set()
    for store in stores:
        assert isinstance(store, SqlStore)
        lineages.add(store.lineage)
        store.close()
    assert len(lineages) == 1


SCRIPT = """
import os, sys
from pytest_deploygate.core.errors import LeaseHeld
from pytest_deploygate.core.identifiers import EnvironmentName, RolloutId
from pytest_deploygate.store import open_store
from pytest_deploygate.system.process_identity import this_process
from tests.fakes import FakeClock
with open_store(sys.argv[1], FakeClock()) as store:
    print("ready", flush=True)
    for line in sys.stdin:
        try:
            store.acquire_lease(EnvironmentName("production"), this_process(), "deploy",
                                RolloutId(str(os.getpid())), 60)
        except LeaseHeld:
            print("held", flush=True)
        else:
            print("got it", flush=True)
"""


def test_exactly_one_of_two_processes_gets_the_lease(url: str) -> None:
    open_store(url, CLOCK).close()
    deployers = [
        subprocess.Popen(
            [sys.executable, "-c", SCRIPT, url],
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            bufsize=1,
        )
        for _ in range(2)
    ]
    try:
        for deployer in deployers:
            assert deployer.stdout is not None
            assert deployer.stdout.readline() == "ready\n"
        with open_store(url, CLOCK) as store:
            for _ in range(ROUNDS):
                for deployer in deployers:
                    assert deployer.stdin is not None
                    deployer.stdin.write("go\n")
                said = sorted(d.stdout.readline() for d in deployers if d.stdout is not None)
                assert said == ["got it\n", "held\n"]
                assert store.break_lease(PROD, an_actor(9), "next round") is not None
    finally:
        for deployer in deployers:
            deployer.communicate(timeout=30)
