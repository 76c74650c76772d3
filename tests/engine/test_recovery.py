"""Recoveries with a lost record, several at once, and processes that wake up too late."""

import threading

import pytest

from pytest_deploygate.core.errors import LeaseHeld, LeaseLost
from pytest_deploygate.core.identifiers import Phase
from pytest_deploygate.core.state_machine import State
from pytest_deploygate.core.verdict import Reason, ReasonCode
from pytest_deploygate.engine.permits import PhasePermits
from pytest_deploygate.engine.recovery import (
    FOREIGN_S,
    settled_snapshot,
    wait_for_orphaned_deployment,
)
from pytest_deploygate.engine.rollout import Rollout
from tests.engine.simulation import CONFIG, PROD, Scenario, Simulation
from tests.fakes import KILLS, Fault, ProcessKilled

SCENARIOS = {
    "first": Scenario(name="first", has_baseline=False, verify=True),
    "second": Scenario(name="second", verify=True),
    "pinned": Scenario(name="pinned", is_pinned=True),
    "fresh": Scenario(name="fresh", steps=(5, 50, 100), waiting=(5, 50), fresh=True),
}
BAD = Reason(code=ReasonCode.GATE_FAILED, sentence="a gate failed")
OF_EACH_PUSH = ("first", "second")
"""Scenarios whose every death is tried in CI."""


def opened(simulation: Simulation, source: str = "v2") -> Rollout:
    """A rollout whose deployer has observed the service."""
    actor, ports = simulation.new_actor(), simulation.ports(source)
    simulation.recover_first(ports, actor)
    snapshot = ports.target.snapshot()
    simulation.observed()
    rollout = Rollout.open(ports, actor=actor, purpose="deploy", permits=PhasePermits(*Phase))
    rollout.observe(snapshot, ports.target.package(), CONFIG)
    return rollout


def die(simulation: Simulation, rollout: Rollout) -> None:
    simulation.living.discard(rollout.record.actor.pid)


@pytest.mark.parametrize("kill", KILLS)
@pytest.mark.parametrize(
    "name",
    [pytest.param(n, marks=() if n in OF_EACH_PUSH else pytest.mark.full) for n in SCENARIOS],
)
@pytest.mark.slow
def test_marks_on_the_service_suffice_when_the_record_is_lost(name: str, kill: Fault) -> None:
    """Until the live gates have held, labels on the service name the baseline."""
    rehearsal = Simulation(SCENARIOS[name])
    rehearsal.deploy()
    for number in range(1, len(rehearsal.faults.calls) + 1):
        simulation = Simulation(SCENARIOS[name])
        simulation.faults.at(number, kill)
        assert simulation.deploy_until_it_ends_or_dies() is None
        judged = [
            r for r in simulation.store.peek_all() if r.state in (State.FINALISING, State.PROMOTED)
        ]
        candidate = judged[-1].candidate if judged else None
        simulation.store.lose_everything()
        simulation.watch_traffic_only()
        simulation.cloud.finish_operations()
        simulation.recover()
        is_promoted = candidate is not None and simulation.cloud.serving().sole == candidate
        assert simulation.serves_baseline() or is_promoted, f"call {number}"
        simulation.check_settled()
        simulation.check_recovery_is_idempotent()


@pytest.mark.parametrize("loses_record", [False, True])
def test_recovered_rollout_says_where_the_baseline_answers(*, loses_record: bool) -> None:
    simulation = Simulation(SCENARIOS["second"])
    rollout = opened(simulation)
    rollout.stage()
    die(simulation, rollout)
    if loses_record:
        simulation.store.lose_everything()
    simulation.recover()
    (record,) = [one for one in simulation.store.peek_all() if one.candidate is not None][-1:]
    assert (record.state, record.url) == (State.ROLLED_BACK, "https://svc.example")


def test_recovery_shows_that_it_lives_however_long_it_takes() -> None:
    simulation = Simulation(SCENARIOS["second"])
    die(simulation, opened(simulation))
    ports, actor = simulation.ports(), simulation.new_actor()
    beaten = threading.Event()

    def watch(call: str) -> None:
        if call == "store.renew_lease":
            beaten.set()
        elif call == "store.save":
            assert beaten.wait(30), "nobody on another machine can see that it lives"

    simulation.faults.watchers.append(watch)
    at_once = ports._replace(settings=ports.settings._replace(lease_ttl_s=0))
    (recovered,) = simulation.recover_first(at_once, actor)
    assert recovered.state is State.REFUSED


@pytest.mark.parametrize("name", SCENARIOS)
def test_recovery_leaves_a_living_deployer_alone(name: str) -> None:
    simulation = Simulation(SCENARIOS[name])
    rollout = opened(simulation)
    rollout.stage()
    changes = len(simulation.cloud.changes)
    with pytest.raises(LeaseHeld, match="process"):
        simulation.recover()
    assert len(simulation.cloud.changes) == changes
    rollout.promote()


def test_second_deployer_is_refused_while_the_first_lives() -> None:
    simulation = Simulation(SCENARIOS["second"])
    opened(simulation).stage()
    ended = simulation.deploy("v3")
    assert isinstance(ended.error, LeaseHeld)
    assert ended.record is None


@pytest.mark.parametrize("when", ["staged", "serving"])
def test_deployer_that_wakes_up_after_a_recovery_changes_nothing(when: str) -> None:
    simulation = Simulation(SCENARIOS["second"])
    zombie = opened(simulation)
    zombie.stage()
    if when == "serving":
        zombie.promote()
    die(simulation, zombie)
    simulation.recover()
    seen, changes = simulation.cloud.peek(), len(simulation.cloud.changes)
    with pytest.raises(LeaseLost):
        zombie.finalise(BAD) if when == "serving" else zombie.promote()
    with pytest.raises(LeaseLost):
        zombie.abort(BAD)
    assert (simulation.cloud.peek(), len(simulation.cloud.changes)) == (seen, changes)
    assert simulation.serves_baseline()
    simulation.check_settled()


@pytest.mark.parametrize("kill", KILLS)
def test_recovery_that_dies_everywhere_is_finished_by_the_next(kill: Fault) -> None:
    """Each recovery dies, one call later than the one before."""
    simulation = Simulation(SCENARIOS["second"])
    rollout = opened(simulation)
    rollout.stage()
    rollout.promote()
    die(simulation, rollout)
    for number in range(1, 60):
        simulation.faults.at(len(simulation.faults.calls) + number, kill)
        try:
            simulation.recover()
        except ProcessKilled:
            continue
        break
    simulation.faults.clear()
    simulation.recover()
    assert simulation.store.peek(rollout.record.rollout_id).state is State.ROLLED_BACK
    assert simulation.serves_baseline()
    simulation.check_settled()
    simulation.check_next_rollout_works()


def test_recovery_after_an_unlock_settles_what_was_open() -> None:
    simulation = Simulation(SCENARIOS["second"])
    rollout = opened(simulation)
    rollout.stage()
    rollout.promote()
    simulation.store.break_lease(PROD, simulation.new_actor(), "the runner was destroyed")
    (recovered,) = simulation.recover()
    assert recovered.state is State.ROLLED_BACK
    assert simulation.serves_baseline()
    simulation.check_settled()


def test_stranded_rollout_is_settled_once_its_reason_is_gone() -> None:
    simulation = Simulation(SCENARIOS["second"])
    rollout = opened(simulation)
    rollout.stage()
    rollout.promote()
    simulation.faults.always("target.shift_traffic", Fault.REFUSED)
    rollout.abort(BAD)
    die(simulation, rollout)
    assert rollout.state is State.STRANDED
    assert simulation.store.peek_lease(PROD) is not None
    assert simulation.deploy("v3").record is None
    simulation.faults.clear()
    (recovered,) = simulation.recover()
    assert (recovered.found, recovered.state) == (State.STRANDED, State.ROLLED_BACK)
    assert simulation.serves_baseline()
    simulation.check_settled()
    simulation.check_next_rollout_works()


def test_rollback_goes_on_without_the_record() -> None:
    simulation = Simulation(SCENARIOS["second"])
    rollout = opened(simulation)
    rollout.stage()
    rollout.promote()
    for name in ("append", "save", "journal", "release_lease", "backup"):
        simulation.faults.always(f"store.{name}", Fault.UNAVAILABLE)
    rollout.abort(BAD)
    assert rollout.state is State.ROLLED_BACK
    assert simulation.serves_baseline()
    die(simulation, rollout)
    simulation.faults.clear()
    simulation.recover()
    assert simulation.store.peek(rollout.record.rollout_id).state is State.ROLLED_BACK
    simulation.check_settled()


# -- operations that still run on the platform -----------------------------------------------------


@pytest.mark.parametrize("kill", KILLS)
@pytest.mark.parametrize("name", SCENARIOS)
def test_next_rollout_waits_for_the_build_that_a_dead_one_had_begun(name: str, kill: Fault) -> None:
    simulation = Simulation(SCENARIOS[name])
    simulation.faults.on("target.await_release", kill)
    assert simulation.deploy_until_it_ends_or_dies() is None
    simulation.recover()
    ended = simulation.deploy("v3")
    assert ended.error is None
    assert ended.record is not None
    assert ended.record.state is State.PROMOTED
    simulation.check_settled()


def test_build_that_ends_badly_keeps_nobody_waiting() -> None:
    simulation = Simulation(SCENARIOS["second"])
    simulation.faults.on("target.begin_release", Fault.START_FAILS)
    simulation.faults.on("target.await_release", Fault.KILLED_BEFORE)
    assert simulation.deploy_until_it_ends_or_dies() is None
    simulation.recover()
    ended = simulation.deploy("v3")
    assert ended.error is None
    assert ended.record is not None
    assert ended.record.state is State.PROMOTED


def test_build_that_somebody_else_began_is_not_waited_for() -> None:
    simulation = Simulation(SCENARIOS["second"])
    assert simulation.deploy().error is None
    simulation.cloud.begin(image="theirs", variables={})
    assert not wait_for_orphaned_deployment(simulation.ports())


def deployed_by_others() -> Simulation:
    """Traffic is pinned, and somebody else deploys."""
    simulation = Simulation(SCENARIOS["second"])
    simulation.cloud.write("before", simulation.cloud.serving(), None)
    simulation.cloud.begin(image="theirs", variables={"SHEET": "production"})
    assert not simulation.cloud.peek().is_settled
    return simulation


@pytest.mark.parametrize("fails", [False, True])
def test_deployment_of_somebody_else_has_ended_before_the_service_is_observed(
    *, fails: bool
) -> None:
    simulation, said = deployed_by_others(), list[str]()
    if fails:
        simulation.faults.on("target.await_release", Fault.BUILD_FAILS)
    found = settled_snapshot(simulation.ports(), lambda step, _: said.append(step))
    assert found.is_settled
    assert simulation.cloud.pending_operation() is None
    assert said[0] == "waiting"
    assert settled_snapshot(simulation.ports()) == found


def test_deployment_of_somebody_else_that_does_not_end_is_given_up() -> None:
    simulation = deployed_by_others()
    operation = simulation.cloud.pending_operation()
    assert operation is not None
    operation.ready_at += 1000
    before = simulation.clock.monotonic()
    assert not settled_snapshot(simulation.ports()).is_settled
    assert simulation.clock.monotonic() - before == FOREIGN_S


def test_build_of_which_no_record_is_left_is_not_waited_for() -> None:
    simulation = Simulation(SCENARIOS["second"])
    simulation.cloud.begin(image="theirs", variables={})
    assert not wait_for_orphaned_deployment(simulation.ports())
