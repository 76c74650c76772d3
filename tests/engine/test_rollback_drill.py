"""The rollback is tried before it is needed: what it proves, and that nothing is promoted without it.

The second half drills the rollback of what serves.
"""

from dataclasses import replace

import pytest

from pytest_deploygate.core.errors import DeployGateError, LeaseLost, TargetRefused
from pytest_deploygate.core.identifiers import Phase
from pytest_deploygate.core.own_tags import TAG_DRILL, TAG_PREVIOUS
from pytest_deploygate.core.state_machine import State
from pytest_deploygate.core.verdict import Reason, ReasonCode
from pytest_deploygate.engine.journaled_rollout import JournaledRollout
from pytest_deploygate.engine.permits import PhasePermits
from pytest_deploygate.engine.rollback_drill import drill_environment
from pytest_deploygate.engine.rollout import Rollout
from pytest_deploygate.testing.faults import KILLS, Fault, ProcessKilled
from tests.engine.simulation import CONFIG, PROD, Scenario, Simulation

DRILLED = Scenario(name="drilled", drill=True)


def staged(simulation: Simulation) -> Rollout:
    actor, ports = simulation.new_actor(), simulation.ports()
    rollout = Rollout.open(ports, actor=actor, purpose="deploy", permits=PhasePermits(*Phase))
    rollout.observe(ports.target.snapshot(), ports.target.package(), CONFIG)
    simulation.observed()
    rollout.stage()
    return rollout


def effects(simulation: Simulation, rollout: Rollout) -> list[str]:
    entries = simulation.store.journal(rollout.record.rollout_id)
    return [e.name for e in entries if e.kind.value == "observed"]


def test_the_rollback_is_drilled_before_the_first_step_and_measured() -> None:
    simulation = Simulation(DRILLED)
    rollout = staged(simulation)
    rollout.promote()
    names = effects(simulation, rollout)
    assert names.index("drill") < names.index("shift")
    assert rollout.record.drill_s is not None
    baseline = rollout.record.baseline
    assert dict(simulation.cloud.peek().traffic.tags)[TAG_PREVIOUS] == baseline
    # the image of the previous revision keeps its own tag in the registry: this rollout may still go back
    assert "dg-drill" in simulation.cloud.image_tags
    assert TAG_PREVIOUS not in simulation.cloud.image_tags


def test_without_the_setting_nothing_is_drilled() -> None:
    simulation = Simulation(replace(DRILLED, drill=False))
    rollout = staged(simulation)
    rollout.promote()
    assert "drill" not in effects(simulation, rollout)
    assert rollout.record.drill_s is None


def test_a_first_release_has_no_rollback_to_drill() -> None:
    simulation = Simulation(replace(DRILLED, has_baseline=False))
    rollout = staged(simulation)
    rollout.promote()
    assert "drill" not in effects(simulation, rollout)
    assert rollout.state is State.SERVING


@pytest.mark.parametrize(
    ("change", "cause"),
    [
        ({"is_ready": False}, "is gone or not ready"),
        ({"digest": ""}, "does not tell by digest which image"),
    ],
)
def test_a_baseline_that_could_not_serve_stops_the_promotion(
    change: dict[str, object], cause: str
) -> None:
    simulation = Simulation(DRILLED)
    rollout = staged(simulation)
    baseline = rollout.record.baseline
    assert baseline is not None
    assert simulation.cloud.service is not None
    known = simulation.cloud.service.revisions[baseline]
    simulation.cloud.service.revisions[baseline] = known._replace(**change)  # type: ignore[arg-type]
    with pytest.raises(TargetRefused, match=f"the rollback drill failed: .*{cause}"):
        rollout.promote()
    assert "shift" not in effects(simulation, rollout)


@pytest.mark.parametrize("call", ["target.shift_traffic", "target.keep_image"])
def test_a_write_that_is_refused_stops_the_promotion(call: str) -> None:
    simulation = Simulation(DRILLED)
    rollout = staged(simulation)
    baseline = rollout.record.baseline
    simulation.faults.on(call, Fault.REFUSED)
    with pytest.raises(DeployGateError) as caught:
        rollout.promote()
    rollout.abort(Reason(code=ReasonCode.PROMOTE_FAILED, sentence=str(caught.value)))
    assert rollout.state is State.ROLLED_BACK
    assert simulation.cloud.serving().sole == baseline
    assert rollout.record.drill_s is None


def test_a_baseline_that_does_not_answer_stops_the_promotion() -> None:
    simulation = Simulation(DRILLED)
    rollout = staged(simulation)
    simulation.faults.always("target.answering_revision", Fault.UNAVAILABLE)
    with pytest.raises(DeployGateError):
        rollout.promote()
    assert "shift" not in effects(simulation, rollout)


PINNED, FOLLOWING = Scenario(name="pinned", is_pinned=True), Scenario(name="following")


def promoted(scenario: Scenario) -> Simulation:
    """A second revision serves: pinned by its name, or as the latest one."""
    simulation = Simulation(scenario)
    if not scenario.is_pinned:
        simulation.deploy("v1b", is_judged=False)
        simulation.cloud.changes.clear()
        simulation.faults.calls.clear()
    assert simulation.cloud.peek().traffic.is_pinned is scenario.is_pinned
    return simulation


def drilled(
    simulation: Simulation, *, moves_traffic: bool
) -> tuple[JournaledRollout, DeployGateError | None]:
    """A drill of the rollback to the first revision, while the second one serves."""
    ports = simulation.ports()
    before = ports.target.snapshot()
    simulation.observed()
    to = dict(before.traffic.tags)[TAG_PREVIOUS]
    simulation.vouched.add(to)
    return drill_environment(
        ports, to, before, actor=simulation.new_actor(), moves_traffic=moves_traffic
    )


@pytest.mark.parametrize("scenario", [PINNED, FOLLOWING], ids=lambda one: one.name)
@pytest.mark.parametrize("moves_traffic", [False, True])
def test_what_serves_is_drilled_at_any_time_and_stays(
    scenario: Scenario, *, moves_traffic: bool
) -> None:
    simulation = promoted(scenario)
    before = simulation.cloud.peek()
    rollout, problem = drilled(simulation, moves_traffic=moves_traffic)
    assert problem is None
    assert (rollout.state, rollout.record.serving) == (State.ROLLED_BACK, before.serving.sole)
    assert rollout.record.url == before.url
    assert rollout.record.drill_s is not None
    after = simulation.cloud.peek()
    assert (after.serving, after.traffic) == (before.serving, before.traffic)
    assert TAG_DRILL not in dict(after.traffic.tags)
    to = dict(before.traffic.tags)[TAG_PREVIOUS]
    got_traffic = [change.serving.percent(to) for change in simulation.cloud.changes]
    assert (100 in got_traffic) is moves_traffic
    simulation.check_settled()
    # neither revision is judged by it
    assert simulation.store.is_known_good(
        simulation.ports().environment, before.serving.shares[0][0]
    )


def test_a_drill_that_fails_says_why_and_what_serves_stays() -> None:
    simulation = promoted(PINNED)
    before = simulation.cloud.peek()
    simulation.faults.on("target.keep_image", Fault.REFUSED)
    rollout, problem = drilled(simulation, moves_traffic=True)
    assert problem is not None
    assert rollout.state is State.ROLLED_BACK
    assert simulation.cloud.peek().traffic == before.traffic
    assert rollout.record.reason == problem.message


@pytest.mark.parametrize("scenario", [PINNED, FOLLOWING], ids=lambda one: one.name)
@pytest.mark.parametrize("fault", KILLS)
def test_death_at_any_call_of_a_drill_ends_at_what_served(fault: Fault, scenario: Scenario) -> None:
    counted = promoted(scenario)
    drilled(counted, moves_traffic=True)
    calls = len(counted.faults.calls)
    assert calls > 20
    for number in range(1, calls + 1):
        simulation = promoted(scenario)
        before = simulation.cloud.peek()
        simulation.faults.at(number, fault)
        with pytest.raises(ProcessKilled):
            drilled(simulation, moves_traffic=True)
        simulation.living.clear()
        simulation.recover()
        after = simulation.cloud.peek()
        assert (after.serving, after.traffic) == (before.serving, before.traffic), number
        simulation.check_settled()


def test_a_drill_whose_lease_is_taken_over_stops_at_once() -> None:
    simulation = Simulation(PINNED)

    def take(call: str) -> None:
        if call == "target.keep_image":
            simulation.store.break_lease(PROD, simulation.new_actor(), "urgent")

    simulation.faults.watchers.append(take)
    with pytest.raises(LeaseLost):
        drilled(simulation, moves_traffic=True)
    assert "target.shift_traffic" not in simulation.faults.calls
