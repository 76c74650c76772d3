"""Recoveries with a lost record, several at once, and processes that wake up too late."""

import threading

import pytest

from pytest_deploygate.core.errors import LeaseHeld, LeaseLost
from pytest_deploygate.core.identifiers import Phase
from pytest_deploygate.core.state_machine import State
from pytest_deploygate.core.verdict import Reason, ReasonCode
from pytest_deploygate.engine.permits import PhasePermits
from pytest_deploygate.engine.recovery import wait_for_orphaned_deployment
from pytest_deploygate.engine.rollout import Rollout
from tests.engine.simulation import CONFIG, PROD, Scenario, World
from tests.fakes import KILLS, Fault, Killed

SCENARIOS = {
    "first": Scenario(name="first", has_baseline=False, verify=True),
    "second": Scenario(name="second", verify=True),
    "pinned": Scenario(name="pinned", is_pinned=True),
}
BAD = Reason(code=ReasonCode.GATE_FAILED, sentence="a gate failed")


def opened(world: World, source: str = "v2") -> Rollout:
    """A rollout whose deployer has observed the service."""
    actor, ports = world.new_actor(), world.ports(source)
    world.settle(ports, actor)
    snapshot = ports.target.snapshot()
    world.observed()
    rollout = Rollout.open(ports, actor=actor, purpose="deploy", grants=PhasePermits(*Phase))
    rollout.observe(snapshot, ports.target.package(), CONFIG)
    return rollout


def die(world: World, rollout: Rollout) -> None:
    world.living.discard(rollout.record.actor.pid)


@pytest.mark.parametrize("kill", KILLS)
@pytest.mark.parametrize("name", SCENARIOS)
def test_marks_on_the_service_suffice_when_the_record_is_lost(name: str, kill: Fault) -> None:
    """Until the live gates have held, labels on the service name the baseline."""
    rehearsal = World(SCENARIOS[name])
    rehearsal.deploy()
    for number in range(1, len(rehearsal.faults.calls) + 1):
        world = World(SCENARIOS[name])
        world.faults.at(number, kill)
        assert world.deploy_until_it_ends_or_dies() is None
        judged = [
            r for r in world.store.peek_all() if r.state in (State.FINALISING, State.PROMOTED)
        ]
        candidate = judged[-1].candidate if judged else None
        world.store.lose_everything()
        world.watch_traffic_only()
        world.cloud.finish_operations()
        world.recover()
        is_promoted = candidate is not None and world.cloud.serving().sole == candidate
        assert world.serves_baseline() or is_promoted, f"call {number}"
        world.check_settled()
        world.check_recovery_is_idempotent()


def test_recovery_shows_that_it_lives_however_long_it_takes() -> None:
    world = World(SCENARIOS["second"])
    die(world, opened(world))
    ports, actor = world.ports(), world.new_actor()
    beaten = threading.Event()

    def watch(call: str) -> None:
        if call == "store.renew_lease":
            beaten.set()
        elif call == "store.save":
            assert beaten.wait(30), "nobody on another machine can see that it lives"

    world.faults.watchers.append(watch)
    at_once = ports._replace(settings=ports.settings._replace(lease_ttl_s=0))
    (settled,) = world.settle(at_once, actor)
    assert settled.state is State.REFUSED


@pytest.mark.parametrize("name", SCENARIOS)
def test_recovery_leaves_a_living_deployer_alone(name: str) -> None:
    world = World(SCENARIOS[name])
    rollout = opened(world)
    rollout.stage()
    changes = len(world.cloud.changes)
    with pytest.raises(LeaseHeld, match="process"):
        world.recover()
    assert len(world.cloud.changes) == changes
    rollout.promote()


def test_second_deployer_is_refused_while_the_first_lives() -> None:
    world = World(SCENARIOS["second"])
    opened(world).stage()
    ended = world.deploy("v3")
    assert isinstance(ended.error, LeaseHeld)
    assert ended.record is None


@pytest.mark.parametrize("when", ["staged", "serving"])
def test_deployer_that_wakes_up_after_a_recovery_changes_nothing(when: str) -> None:
    world = World(SCENARIOS["second"])
    zombie = opened(world)
    zombie.stage()
    if when == "serving":
        zombie.promote()
    die(world, zombie)
    world.recover()
    seen, changes = world.cloud.peek(), len(world.cloud.changes)
    with pytest.raises(LeaseLost):
        zombie.finalise(BAD) if when == "serving" else zombie.promote()
    with pytest.raises(LeaseLost):
        zombie.abort(BAD)
    assert (world.cloud.peek(), len(world.cloud.changes)) == (seen, changes)
    assert world.serves_baseline()
    world.check_settled()


@pytest.mark.parametrize("kill", KILLS)
def test_recovery_that_dies_everywhere_is_finished_by_the_next(kill: Fault) -> None:
    """Each recovery dies, one call later than the one before."""
    world = World(SCENARIOS["second"])
    rollout = opened(world)
    rollout.stage()
    rollout.promote()
    die(world, rollout)
    for number in range(1, 60):
        world.faults.at(len(world.faults.calls) + number, kill)
        try:
            world.recover()
        except Killed:
            continue
        break
    world.faults.clear()
    world.recover()
    assert world.store.peek(rollout.record.rollout_id).state is State.ROLLED_BACK
    assert world.serves_baseline()
    world.check_settled()
    world.check_next_rollout_works()


def test_recovery_after_an_unlock_settles_what_was_open() -> None:
    world = World(SCENARIOS["second"])
    rollout = opened(world)
    rollout.stage()
    rollout.promote()
    world.store.break_lease(PROD, world.new_actor(), "the runner was destroyed")
    (settled,) = world.recover()
    assert settled.state is State.ROLLED_BACK
    assert world.serves_baseline()
    world.check_settled()


def test_stranded_rollout_is_settled_once_its_reason_is_gone() -> None:
    world = World(SCENARIOS["second"])
    rollout = opened(world)
    rollout.stage()
    rollout.promote()
    world.faults.always("target.shift_traffic", Fault.REFUSED)
    rollout.abort(BAD)
    die(world, rollout)
    assert rollout.state is State.STRANDED
    assert world.store.peek_lease(PROD) is not None
    assert world.deploy("v3").record is None
    world.faults.clear()
    (settled,) = world.recover()
    assert (settled.found, settled.state) == (State.STRANDED, State.ROLLED_BACK)
    assert world.serves_baseline()
    world.check_settled()
    world.check_next_rollout_works()


def test_rollback_goes_on_without_the_record() -> None:
    world = World(SCENARIOS["second"])
    rollout = opened(world)
    rollout.stage()
    rollout.promote()
    for name in ("append", "save", "journal", "release_lease", "backup"):
        world.faults.always(f"store.{name}", Fault.UNAVAILABLE)
    rollout.abort(BAD)
    assert rollout.state is State.ROLLED_BACK
    assert world.serves_baseline()
    die(world, rollout)
    world.faults.clear()
    world.recover()
    assert world.store.peek(rollout.record.rollout_id).state is State.ROLLED_BACK
    world.check_settled()


# -- operations that still run on the platform -----------------------------------------------------


@pytest.mark.parametrize("kill", KILLS)
@pytest.mark.parametrize("name", SCENARIOS)
def test_next_rollout_waits_for_the_build_that_a_dead_one_had_begun(name: str, kill: Fault) -> None:
    world = World(SCENARIOS[name])
    world.faults.on("target.await_release", kill)
    assert world.deploy_until_it_ends_or_dies() is None
    world.recover()
    ended = world.deploy("v3")
    assert ended.error is None
    assert ended.record is not None
    assert ended.record.state is State.PROMOTED
    world.check_settled()


def test_build_that_ends_badly_keeps_nobody_waiting() -> None:
    world = World(SCENARIOS["second"])
    world.faults.on("target.begin_release", Fault.START_FAILS)
    world.faults.on("target.await_release", Fault.KILLED_BEFORE)
    assert world.deploy_until_it_ends_or_dies() is None
    world.recover()
    ended = world.deploy("v3")
    assert ended.error is None
    assert ended.record is not None
    assert ended.record.state is State.PROMOTED


def test_build_that_somebody_else_began_is_not_waited_for() -> None:
    world = World(SCENARIOS["second"])
    assert world.deploy().error is None
    world.cloud.begin(image="theirs", variables={})
    assert not wait_for_orphaned_deployment(world.ports())


def test_build_of_which_no_record_is_left_is_not_waited_for() -> None:
    world = World(SCENARIOS["second"])
    world.cloud.begin(image="theirs", variables={})
    assert not wait_for_orphaned_deployment(world.ports())
