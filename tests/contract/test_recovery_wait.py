"""A command that follows a death at once meets the watchdog, and waits for it; for a deployer it waits when told."""

from collections.abc import Callable

import pytest

from pytest_deploygate.core.errors import LeaseHeld
from pytest_deploygate.core.identifiers import EnvironmentName, RolloutId
from pytest_deploygate.engine.engine_context import Ports
from pytest_deploygate.engine.recovery import RECOVERY
from pytest_deploygate.system.process_identity import this_process
from pytest_deploygate.wiring import RECOVERY_WAIT_S, recover
from tests.fakes import FakeClock, FakeCloud, FakeStore, FakeTarget, Faults, a_spec

PROD = EnvironmentName("production")


class _Clock(FakeClock):
    """Calls something whenever somebody has slept."""

    def __init__(self) -> None:
        super().__init__()
        self.then: Callable[[], object] = lambda: None

    def sleep(self, seconds: float) -> None:
        super().sleep(seconds)
        self.then()


def held(purpose: str, *, for_s: float | None) -> tuple[Ports, _Clock]:
    """An environment whose lease a living process holds, for ever or for so many seconds."""
    clock, faults = _Clock(), Faults()
    store, cloud = FakeStore(clock, faults), FakeCloud(clock)
    cloud.deploy_by_others("v1")
    lease = store.acquire_lease(PROD, this_process(), purpose, RolloutId("one"), 60)
    if for_s is not None:
        end = clock.monotonic() + for_s
        clock.then = lambda: store.release_lease(lease) if clock.monotonic() >= end else None
    target = FakeTarget(cloud, faults, a_spec())
    return Ports(environment=PROD, target=target, store=store, clock=clock), clock


def test_who_settles_is_waited_for_unasked() -> None:
    ports, clock = held(RECOVERY, for_s=5)
    said: list[str] = []
    assert recover(ports, progress=lambda step, _: said.append(step)) == ()
    assert 5 <= sum(clock.slept) < 6
    assert said == ["waiting"]


def test_who_settles_for_ever_is_not_waited_for_that_long() -> None:
    ports, clock = held(RECOVERY, for_s=None)
    with pytest.raises(LeaseHeld, match="for recover"):
        recover(ports)
    assert sum(clock.slept) == pytest.approx(RECOVERY_WAIT_S, abs=1)


def test_who_deploys_is_not_waited_for_unasked() -> None:
    ports, clock = held("deploy", for_s=5)
    with pytest.raises(LeaseHeld, match="for deploy"):
        recover(ports)
    assert clock.slept == []


@pytest.mark.parametrize(("wait_s", "is_enough"), [(4.0, False), (6.0, True)])
def test_who_deploys_is_waited_for_as_long_as_asked(wait_s: float, is_enough: bool) -> None:
    ports, clock = held("deploy", for_s=5)
    if is_enough:
        assert recover(ports, wait_s=wait_s) == ()
    else:
        with pytest.raises(LeaseHeld, match="for deploy"):
            recover(ports, wait_s=wait_s)
    assert sum(clock.slept) <= wait_s
