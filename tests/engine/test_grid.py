"""Every fault at every call of every kind of rollout, and every fault of the recovery after every death.

A run without faults counts the calls, so a new step of the engine is covered automatically.
:data:`tests.engine.simulation.GRID` sets how many are tried.
"""

import contextlib
from functools import cache

import pytest

from pytest_deploygate.core.errors import DeployGateError
from pytest_deploygate.core.record import EntryKind
from pytest_deploygate.core.state_machine import State
from tests.engine.simulation import CALL_STRIDE, GRID, Ended, Scenario, Simulation
from tests.fakes import KILLS, READS, Fault, ProcessKilled

SCENARIOS = (
    Scenario(name="first", has_baseline=False),
    Scenario(name="first-private", has_baseline=False, public=False),
    Scenario(name="first-verify", has_baseline=False, verify=True),
    Scenario(name="first-bad", has_baseline=False, verify=True, candidate_holds=False),
    Scenario(name="first-live-bad", has_baseline=False, live_holds=False),
    Scenario(name="second"),
    Scenario(name="second-verify", verify=True, steps=(10, 50, 100)),
    Scenario(name="second-pinned", is_pinned=True, verify=True),
    Scenario(name="second-variants", verify=True, variants=("unwritable", "slow")),
    Scenario(name="first-variants", has_baseline=False, verify=True, variants=("slow",)),
    Scenario(name="second-by-hand", by_hand=True),
    Scenario(name="second-bad", verify=True, candidate_holds=False),
    Scenario(name="second-drilled", verify=True, drill=True),
    Scenario(name="second-judged-steps", verify=True, steps=(5, 25, 100), waiting=(5, 25)),
    Scenario(
        name="second-judged-step-bad", steps=(5, 10, 25, 100), waiting=(5, 25), failing_step=25
    ),
    Scenario(name="second-detached", steps=(5, 25, 100), waiting=(5, 25), detaches=True),
    Scenario(
        name="second-detached-bad",
        verify=True,
        steps=(5, 25, 100),
        waiting=(5, 25),
        failing_step=25,
        detaches=True,
    ),
    Scenario(name="second-fresh", verify=True, steps=(5, 25, 100), waiting=(5, 25), fresh=True),
    Scenario(
        name="second-fresh-bad",
        steps=(5, 60, 100),
        waiting=(5, 60),
        fresh=True,
        failing_step=60,
        drill=True,
    ),
    Scenario(
        name="second-fresh-detached",
        is_pinned=True,
        variants=("slow",),
        verify=True,
        steps=(5, 25, 100),
        waiting=(5,),
        fresh=True,
        detaches=True,
    ),
    Scenario(name="first-fresh", has_baseline=False, steps=(5, 100), waiting=(5,), fresh=True),
    Scenario(name="second-live-bad", steps=(50, 100), live_holds=False),
    Scenario(name="pinned-live-bad", is_pinned=True, live_holds=False),
)
BY_NAME = {scenario.name: scenario for scenario in SCENARIOS}
RECOVERY_STRIDE = {"full": 1, "few": 97}.get(GRID, 41)
"""After a death, a fault is tried at every n-th call of the recovery."""
STORE_FAULTS = (Fault.UNAVAILABLE, Fault.LOST_ANSWER, Fault.SLOW, *KILLS)
"""The faults of a store; the others equal UNAVAILABLE, or cannot happen to a store."""
AT = {
    Fault.LAG: {"target.shift_traffic"},
    Fault.BUILD_FAILS: {"target.begin_release", "target.await_release"},
    Fault.START_FAILS: {"target.begin_release", "target.await_release"},
}
"""The only calls that these faults affect."""
UNREAD = (Fault.LOST_REQUEST, Fault.LOST_ANSWER, Fault.HALF_APPLIED)
"""For a read, all three equal UNAVAILABLE."""


def can_strike(fault: Fault, name: str) -> bool:
    """Whether ``fault`` at that call has an effect of its own."""
    if not name.startswith("target."):
        return fault in STORE_FAULTS
    if fault in UNREAD and name.removeprefix("target.") in READS:
        return False
    return name in AT.get(fault, {name})


def points(scenario: Scenario, fault: Fault) -> list[int]:
    """Numbers of the calls of a rollout at which ``fault`` is tried; each fault has another sample."""
    calls = enumerate(calls_of(scenario.name), start=1)
    found = [number for number, name in calls if can_strike(fault, name)]
    first = list(Fault).index(fault) % min(CALL_STRIDE, len(found))
    return found[first::CALL_STRIDE]


@cache
def calls_of(name: str) -> tuple[str, ...]:
    """The calls of a rollout without faults."""
    simulation = Simulation(BY_NAME[name])
    simulation.deploy()
    return tuple(simulation.faults.calls)


@cache
def recovery_of(name: str, kill: Fault, number: int) -> tuple[str, ...]:
    """The calls of the recovery after a death at a call."""
    simulation = dead_simulation(name, kill, number)
    before = len(simulation.faults.calls)
    simulation.recover()
    return tuple(simulation.faults.calls[before:])


def dead_simulation(name: str, kill: Fault, number: int) -> Simulation:
    """A simulation in which a deployer has just died at a call."""
    simulation = Simulation(BY_NAME[name])
    simulation.faults.at(number, kill)
    assert simulation.deploy_until_it_ends_or_dies() is None
    return simulation


def recover_after(simulation: Simulation, ended: Ended | None) -> None:
    """Check what must hold after the fault, and after the recovery by the next command."""
    told = ended is not None and ended.record is not None and ended.record.state.is_final
    if told and ended is not None and ended.record is not None:
        simulation.check_told_truth(ended.record)
    simulation.faults.clear()
    simulation.recover()
    for record in simulation.store.peek_all()[-1:]:
        simulation.check_told_truth(record)
    simulation.check_settled()
    simulation.check_recovery_is_idempotent()
    simulation.check_next_rollout_works()


@pytest.mark.parametrize("name", BY_NAME)
def test_rollout_ends_as_its_gates_say_when_nothing_goes_wrong(name: str) -> None:
    scenario = BY_NAME[name]
    simulation = Simulation(scenario)
    ended = simulation.deploy()
    assert ended.error is None
    assert ended.record is not None
    assert ended.record.state is (State.PROMOTED if scenario.holds else State.ROLLED_BACK)
    recover_after(simulation, ended)


@pytest.mark.parametrize("name", BY_NAME)
def test_nothing_is_written_to_the_target_before_the_intent_is_in_the_journal(name: str) -> None:
    simulation = Simulation(BY_NAME[name])
    written: list[str] = []

    def watch(call: str) -> None:
        kind, _, method = call.partition(".")
        if kind == "target" and method not in READS:
            record = simulation.store.peek_all()[-1]
            entry = simulation.store.peek_journal(record.rollout_id)[-1]
            assert entry.kind is EntryKind.INTENT, f"{call} follows {entry}"
            written.append(method)

    simulation.faults.watchers.append(watch)
    assert simulation.deploy().error is None
    assert {"begin_release", "await_release", "shift_traffic"} <= set(written)


@pytest.mark.parametrize("fault", Fault)
@pytest.mark.parametrize("name", BY_NAME)
def test_every_fault_at_every_call_ends_well(name: str, fault: Fault) -> None:
    for number in points(BY_NAME[name], fault):
        simulation = Simulation(BY_NAME[name])
        simulation.faults.at(number, fault)
        try:
            recover_after(simulation, simulation.deploy_until_it_ends_or_dies())
        except (AssertionError, Exception) as error:
            error.add_note(f"{name}: {fault.value} at call {number}: {simulation.faults.fired}")
            raise


@pytest.mark.parametrize("kill", KILLS)
@pytest.mark.parametrize(
    "name",
    ["first-verify", "second-verify", "second-variants", "second-fresh-bad", "second-live-bad"],
)
@pytest.mark.parametrize("fault", Fault)
def test_every_fault_of_a_recovery_after_every_death_ends_well(
    name: str, kill: Fault, fault: Fault
) -> None:
    for number in points(BY_NAME[name], kill):
        calls = recovery_of(name, kill, number)
        for at in range(number % RECOVERY_STRIDE, len(calls), RECOVERY_STRIDE):
            if not can_strike(fault, calls[at]):
                continue
            simulation = dead_simulation(name, kill, number)
            simulation.faults.at(len(simulation.faults.calls) + 1 + at, fault)
            try:
                with contextlib.suppress(ProcessKilled, DeployGateError):
                    simulation.recover()
                assert simulation.faults.fired[1:], "the recovery did not come to that call"
                recover_after(simulation, None)
            except (AssertionError, Exception) as error:
                error.add_note(f"{name}: {simulation.faults.fired}")
                raise
