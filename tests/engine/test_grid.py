"""Every fault at every call of every kind of rollout, and every death followed by every fault of the recovery.

The calls are counted in a run without faults, so a new step of the engine is covered by itself.
"""

import contextlib
import os
from collections.abc import Iterator

import pytest

from pytest_deploygate.core.errors import DeployGateError
from pytest_deploygate.core.rollout import State
from tests.engine.world import Ended, Scenario, World
from tests.fakes import KILLS, Fault, Killed

SCENARIOS = (
    Scenario(name="first", has_baseline=False),
    Scenario(name="first-private", has_baseline=False, public=False),
    Scenario(name="first-verify", has_baseline=False, verify=True),
    Scenario(name="first-bad", has_baseline=False, verify=True, candidate_holds=False),
    Scenario(name="first-live-bad", has_baseline=False, live_holds=False),
    Scenario(name="second"),
    Scenario(name="second-verify", verify=True, steps=(10, 50, 100)),
    Scenario(name="second-pinned", is_pinned=True, verify=True),
    Scenario(name="second-by-hand", by_hand=True),
    Scenario(name="second-bad", verify=True, candidate_holds=False),
    Scenario(name="second-live-bad", steps=(50, 100), live_holds=False),
    Scenario(name="pinned-live-bad", is_pinned=True, live_holds=False),
)
BY_NAME = {scenario.name: scenario for scenario in SCENARIOS}
STRIDE = 1 if os.environ.get("DEPLOYGATE_GRID") == "full" else 23
"""Of the deaths followed by faults every so manieth is tried; all of them with DEPLOYGATE_GRID=full (15 minutes)."""
STORE_FAULTS = (Fault.UNAVAILABLE, Fault.LOST_ANSWER, Fault.SLOW, *KILLS)


def points(scenario: Scenario, fault: Fault) -> Iterator[int]:
    """Numbers of the calls at which ``fault`` means something."""
    world = World(scenario)
    world.deploy()
    for number, name in enumerate(world.faults.calls, start=1):
        if name.startswith("target.") or fault in STORE_FAULTS:
            yield number


def settle_after(world: World, ended: Ended | None) -> None:
    """What must hold once the fault is over, and after what the next command settles."""
    told = ended is not None and ended.record is not None and ended.record.state.is_final
    if told and ended is not None and ended.record is not None:
        world.check_told_truth(ended.record)
    world.faults.clear()
    world.recover()
    for record in world.store.peek_all()[-1:]:
        world.check_told_truth(record)
    world.check_settled()
    world.check_recovery_is_idempotent()
    world.check_next_rollout_works()


@pytest.mark.parametrize("name", BY_NAME)
def test_rollout_ends_as_its_gates_say_when_nothing_goes_wrong(name: str) -> None:
    scenario = BY_NAME[name]
    world = World(scenario)
    ended = world.deploy()
    assert ended.error is None
    assert ended.record is not None
    assert ended.record.state is (State.PROMOTED if scenario.holds else State.ROLLED_BACK)
    settle_after(world, ended)


@pytest.mark.parametrize("fault", Fault)
@pytest.mark.parametrize("name", BY_NAME)
def test_every_fault_at_every_call_ends_well(name: str, fault: Fault) -> None:
    for number in points(BY_NAME[name], fault):
        world = World(BY_NAME[name])
        world.faults.at(number, fault)
        try:
            settle_after(world, world.deploy_until_it_ends_or_dies())
        except (AssertionError, Exception) as error:
            error.add_note(f"{name}: {fault.value} at call {number}: {world.faults.fired}")
            raise


@pytest.mark.parametrize("kill", KILLS)
@pytest.mark.parametrize("name", ["first-verify", "second-verify", "second-live-bad"])
@pytest.mark.parametrize("fault", Fault)
def test_every_fault_of_a_recovery_after_every_death_ends_well(
    name: str, kill: Fault, fault: Fault
) -> None:
    for number in points(BY_NAME[name], kill):
        for further in range(1 + number % STRIDE, 40, STRIDE):
            world = World(BY_NAME[name])
            world.faults.at(number, kill)
            assert world.deploy_until_it_ends_or_dies() is None
            world.faults.at(number + further, fault)
            try:
                has_fired = recover_with_faults(world)
                settle_after(world, None)
            except (AssertionError, Exception) as error:
                error.add_note(f"{name}: {world.faults.fired}")
                raise
            if not has_fired:
                break


def recover_with_faults(world: World) -> bool:
    """Whether the fault that was set has struck."""
    before = len(world.faults.fired)
    with contextlib.suppress(Killed, DeployGateError):
        world.recover()
    return len(world.faults.fired) > before
