"""One store in several threads: the heartbeat has its own, and each write is its own transaction."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pytest_deploygate.core.identifiers import Actor, EnvironmentName, RolloutId
from pytest_deploygate.store import SqlStore, open_store
from pytest_deploygate.store.sql import open_memory_store
from tests.fakes import FakeClock

ADA = Actor(user="ada", host="build-7", pid=41)


@pytest.fixture(params=["file", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[SqlStore]:
    clock = FakeClock()
    is_file = request.param == "file"
    with (
        open_store(f"sqlite:///{tmp_path}/state.db", clock) if is_file else open_memory_store(clock)
    ) as store:
        yield store


def test_writes_of_several_threads_do_not_meet(store: SqlStore) -> None:
    def act(number: int) -> int:
        environment = EnvironmentName(f"e{number}")
        lease = store.acquire_lease(environment, ADA, "deploy", RolloutId(f"r{number}"), 60)
        for _ in range(10):
            lease = store.renew_lease(lease)
        found = store.lease(environment)
        return found.beat if found is not None else -1

    # four at a time: SQLite lets whoever asks first write, and on a slow disk one of many may wait too long
    with ThreadPoolExecutor(4) as threads:
        assert list(threads.map(act, range(4))) == [10] * 4
