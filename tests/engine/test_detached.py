"""A rollout that waits at a step without a process: whom it waits for, and how long."""

import pytest

from pytest_deploygate.core.engine_settings import EngineSettings, TrafficStep
from pytest_deploygate.core.errors import ConfigError, Drifted, LeaseHeld, StoreError
from pytest_deploygate.core.identifiers import Phase
from pytest_deploygate.core.state_machine import Judged, State
from pytest_deploygate.core.verdict import Reason, ReasonCode
from pytest_deploygate.engine.detached import (
    GRACE_S,
    abort_detached,
    check_nothing_is_detached,
    detach,
    find_detached,
    resume,
)
from pytest_deploygate.engine.permits import PhasePermits
from pytest_deploygate.engine.recovery import Recovery, recover_environment
from pytest_deploygate.engine.rollout import Rollout
from pytest_deploygate.engine.staging import staged_of
from pytest_deploygate.testing.faults import Fault
from tests.engine.simulation import CONFIG, PROD, Scenario, Simulation

SCENARIO = Scenario(name="detached", verify=True, variants=("slow",), steps=(5, 100), waiting=(5,))
ALL = PhasePermits(*Phase, *Judged)


def left(simulation: Simulation) -> Rollout:
    """A rollout that was left at its first step, by a process that has ended."""
    actor, ports = simulation.new_actor(), simulation.ports()
    rollout = Rollout.open(ports, actor=actor, purpose="deploy", permits=ALL)
    rollout.observe(ports.target.snapshot(), ports.target.package(), CONFIG)
    simulation.observed()
    staged = rollout.stage()
    rollout.promote()
    detach(rollout, 60)
    simulation.living.discard(actor.pid)
    assert staged_of(rollout.record, ports.target.snapshot()) == staged
    return rollout


def recovered(simulation: Simulation) -> tuple[Recovery, ...]:
    """What a process does that only recovers, and carries nothing on."""
    actor, ports = simulation.new_actor(), simulation.ports()
    return recover_environment(ports, actor=actor, is_stale=simulation.is_stale)


def resumed(simulation: Simulation, rollout: Rollout) -> Rollout | None:
    ports = simulation.ports()
    package, actor = ports.target.package(), simulation.new_actor()
    return resume(ports, rollout.record, actor=actor, package=package, permits=ALL)


def test_it_waits_until_an_hour_after_its_step_and_then_returns() -> None:
    simulation = Simulation(SCENARIO)
    rollout = left(simulation)
    assert recovered(simulation) == ()
    with pytest.raises(LeaseHeld, match="is at 5 % in production and goes on until"):
        check_nothing_is_detached(simulation.ports())
    step = rollout.step
    assert step is not None
    simulation.clock.advance(step.longest_s - 60 + GRACE_S - 1)
    assert recovered(simulation) == ()
    simulation.clock.advance(1)
    check_nothing_is_detached(simulation.ports())
    [found] = recovered(simulation)
    assert (found.found, found.state) == (State.STEPPING, State.ROLLED_BACK)
    assert found.sentence == "nobody carried the rollout on from 5 % in time"
    assert simulation.serves_baseline()
    simulation.check_settled()


def test_whoever_has_seen_an_earlier_step_leaves_it_alone() -> None:
    simulation = Simulation(SCENARIO)
    rollout = left(simulation)
    first = resumed(simulation, rollout)
    assert first is not None
    first.advance_step()
    first.finalise(Reason(code=ReasonCode.HELD, sentence="all held"))
    with pytest.raises(Drifted):
        resumed(simulation, rollout)
    assert find_detached(simulation.ports()) is None
    simulation.check_settled()


def test_the_second_of_two_runners_finds_the_lease_held_and_then_nothing_to_do() -> None:
    simulation = Simulation(SCENARIO)
    rollout = left(simulation)
    first = resumed(simulation, rollout)
    assert first is not None
    with pytest.raises(LeaseHeld):
        resumed(simulation, rollout)
    simulation.store.save(first.record._replace(step_percent=50), first.lease)
    simulation.store.release_lease(first.lease)
    assert resumed(simulation, rollout) is None
    assert simulation.store.peek_lease(PROD) is None


def test_a_record_that_cannot_be_read_gives_the_lease_back() -> None:
    simulation = Simulation(SCENARIO)
    rollout = left(simulation)
    simulation.faults.on("store.rollout", Fault.UNAVAILABLE)
    with pytest.raises(StoreError):
        resumed(simulation, rollout)
    assert simulation.store.peek_lease(PROD) is None
    assert find_detached(simulation.ports()) is not None


def test_settings_without_its_step_cannot_carry_it_on() -> None:
    simulation = Simulation(SCENARIO)
    rollout = left(simulation)
    ports = simulation.ports()._replace(settings=EngineSettings(steps=(TrafficStep(percent=100),)))
    with pytest.raises(ConfigError, match="is at 5 %, and the settings of production have no such"):
        resume(
            ports,
            rollout.record,
            actor=simulation.new_actor(),
            package=ports.target.package(),
            permits=ALL,
        )


def test_an_operator_ends_it_without_a_session() -> None:
    simulation = Simulation(SCENARIO)
    rollout = left(simulation)
    reason = Reason(code=ReasonCode.REQUESTED, sentence="aborted by ada")
    ended = abort_detached(
        simulation.ports(), rollout.record, actor=simulation.new_actor(), reason=reason
    )
    assert ended is not None
    assert (ended.state, ended.record.reason) == (State.ROLLED_BACK, "aborted by ada")
    simulation.check_settled()


def test_an_operator_does_not_end_what_somebody_has_carried_on_meanwhile() -> None:
    simulation = Simulation(SCENARIO)
    seen = left(simulation)
    first = resumed(simulation, seen)
    assert first is not None
    first.advance_step()
    first.finalise(Reason(code=ReasonCode.HELD, sentence="all held"))
    simulation.store.release_lease(first.lease)
    reason = Reason(code=ReasonCode.REQUESTED, sentence="aborted by ada")
    ports, actor = simulation.ports(), simulation.new_actor()
    assert abort_detached(ports, seen.record, actor=actor, reason=reason) is None
    assert simulation.cloud.serving().sole == seen.record.candidate
    assert simulation.store.peek_lease(PROD) is None
