"""Two deployers at once: exactly one acts, the other one is told who does and what to do."""

import getpass
import socket
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from pytest_deploygate.core.identifiers import Actor, EnvironmentName, RolloutId
from pytest_deploygate.core.record import Lease, RolloutRecord
from pytest_deploygate.core.state_machine import State
from pytest_deploygate.store.sql import open_store
from pytest_deploygate.system.clock import SystemClock
from pytest_deploygate.testing.sessions import ForkedSession
from pytest_deploygate.wiring import STATE_VARIABLE, is_stale
from tests.e2e.checkout import until
from tests.e2e.disturbed_project import LOCAL, DisturbedProject
from tests.fakes import FakeClock

pytestmark = pytest.mark.e2e

ROUNDS = 10


@pytest.fixture(
    params=["sqlite", pytest.param("postgresql", marks=pytest.mark.full)], scope="module"
)
def shared(
    disturbed: DisturbedProject, request: pytest.FixtureRequest
) -> Iterator[DisturbedProject]:
    """A disturbed project whose record is in a file, or on a server."""
    url = f"sqlite:///{disturbed.record}"
    if request.param == "postgresql":
        server: str = request.getfixturevalue("postgresql_server")
        url = server.replace("postgresql:", "postgresql+psycopg:")
    disturbed.variables[STATE_VARIABLE] = url
    if disturbed.serving is None:
        assert disturbed.deploy() == 0, disturbed.output
    yield disturbed
    disturbed.variables.clear()


@pytest.mark.full
def test_one_of_two_acts_ten_times_over(shared: DisturbedProject) -> None:
    for turn in range(ROUNDS):
        shared.release()
        before, known = shared.serving, len(_history(shared))
        shared.forget_word()
        both = [shared.begin(HOLD="source", log=name) for name in ("one", "other")]
        refused, acting = _in_order_of_end(*both)
        assert refused.end() == 10, refused.output
        said = refused.output
        assert f"local is held by {getpass.getuser()}@{socket.gethostname()}" in said
        assert f"process {acting.pid}" in said
        assert "--deploy-wait=SECONDS" in said
        assert "deploygate unlock local --reason TEXT" in said
        assert "Traceback" not in said
        is_last = turn == ROUNDS - 1
        shared.say("go on" if is_last else "break")  # nothing is staged where readiness breaks
        assert acting.end() == (0 if is_last else 1), acting.output
        assert len(_history(shared)) == known + 1
        assert (shared.serving != before) is is_last
        assert shared.is_settled()


@pytest.mark.full
def test_second_one_waits_when_asked_to(shared: DisturbedProject) -> None:
    shared.release()
    first = shared.hold("source", log="one")
    second = shared.begin("--deploy-wait=200", log="other")
    until(lambda: "waiting: " in second.output, seconds=120, what="it says that it waits")
    assert second.is_running
    shared.say("break")
    assert first.end() == 1, first.output
    assert second.end() == 0, second.output
    assert [r.state for r in _history(shared)[:2]] == [State.PROMOTED, State.REFUSED]


@pytest.mark.parametrize(
    ("gate", "status"), [pytest.param("greeting", 10, marks=pytest.mark.full), ("alive", 11)]
)
def test_unlock_stops_the_holder_and_is_recorded(
    shared: DisturbedProject, gate: str, status: int
) -> None:
    shared.release()
    before = shared.serving
    session = shared.hold(gate, log="one")
    assert shared.command("unlock", LOCAL) == 4
    assert "--reason" in shared.output
    assert shared.command("unlock", LOCAL, "--reason", "it hangs") == 4
    assert "add --yes" in shared.output
    assert shared.command("unlock", LOCAL, "--reason", "it hangs", "--yes") == 0, shared.output
    shared.say("go on")
    assert session.end() == status, session.output
    assert "was broken" in session.output
    assert "deploygate recover local" in session.output
    assert (shared.serving == before) is (status == 10)
    with shared.store() as store:
        newest = store.lease_events(EnvironmentName(LOCAL), 1)[0]
    assert (newest.kind.value, newest.reason) == ("broken", "it hangs")
    shared.recover()
    assert shared.serving == before
    assert shared.is_settled()
    assert shared.deploy() == 0, shared.output
    assert shared.serving != before


class _Jumping(FakeClock):
    """Each sleep lasts as asked by the monotonic clock, and a year by the wall; meanwhile the holder lives or not."""

    def __init__(self, path: Path, lease: Lease, *, lives: bool) -> None:
        super().__init__()
        self._path, self._lease, self._lives = path, lease, lives

    def now(self) -> datetime:
        return super().now() + timedelta(days=365)

    def sleep(self, seconds: float) -> None:
        super().sleep(seconds)
        if self._lives:
            with open_store(f"sqlite:///{self._path}", SystemClock()) as store:
                store.renew_lease(self._lease)


@pytest.mark.parametrize("lives", [True, False])
def test_clock_that_jumps_steals_no_lease_from_the_living(tmp_path: Path, lives: bool) -> None:
    path = tmp_path / "state.db"
    elsewhere = Actor(user="ada", host="another machine", pid=1, boot_id="unknown")
    with open_store(f"sqlite:///{path}", SystemClock()) as store:
        lease = store.acquire_lease(
            EnvironmentName(LOCAL), elsewhere, "deploy", RolloutId("one"), 60
        )
        assert is_stale(lease, store, _Jumping(path, lease, lives=lives)) is not lives


def _in_order_of_end(
    one: ForkedSession, other: ForkedSession
) -> tuple[ForkedSession, ForkedSession]:
    until(lambda: not (one.is_running and other.is_running), seconds=120, what="one has ended")
    return (other, one) if one.is_running else (one, other)


def _history(disturbed: DisturbedProject) -> list[RolloutRecord]:
    with disturbed.store() as store:
        return list(store.history(EnvironmentName(LOCAL), 1000))
