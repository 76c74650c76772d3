"""Operator rollbacks: allowed and refused targets, and every fault during a rollback."""

import pytest

from pytest_deploygate.core.errors import (
    DeployGateError,
    LeaseHeld,
    PolicyRefused,
    StoreError,
    TargetRefused,
)
from pytest_deploygate.core.identifiers import Phase, RevisionName, RolloutId
from pytest_deploygate.core.state_machine import State
from pytest_deploygate.core.traffic import Traffic
from pytest_deploygate.core.verdict import Reason, ReasonCode
from pytest_deploygate.engine.adoption import adopt
from pytest_deploygate.engine.journaled_rollout import JournaledRollout
from pytest_deploygate.engine.operator_rollback import rollback_to_revision
from pytest_deploygate.engine.permits import PhasePermits
from pytest_deploygate.engine.recovery import supersede
from pytest_deploygate.engine.rollback_plan import bad_verdict_on, plan_rollback
from pytest_deploygate.engine.rollout import Rollout
from tests.engine.simulation import CONFIG, PROD, Scenario, Simulation
from tests.fakes import FOREIGN, KILLS, Fault, ProcessKilled

ASKED = Reason(code=ReasonCode.REQUESTED, sentence="customers complain")
URL = "https://svc.example"
FIRST, SECOND = RevisionName("svc-00001"), RevisionName("svc-00002")


def promoted_twice() -> Simulation:
    """A second release of ours serves, and the first one still exists."""
    simulation = Simulation(Scenario(name="rollback"))
    ended = simulation.deploy("v2")
    assert ended.record is not None
    assert ended.record.state is State.PROMOTED
    simulation.vouched.update({FIRST, ended.record.candidate or FIRST})
    simulation.observed()
    simulation.is_observed = False
    simulation.faults.calls.clear()
    simulation.cloud.changes.clear()
    return simulation


def go_back(simulation: Simulation, to: RevisionName | None = None) -> JournaledRollout:
    """Do what the command does: recover, plan, roll back."""
    actor, ports = simulation.new_actor(), simulation.ports()
    try:
        simulation.recover_first(ports, actor)
        plan = plan_rollback(ports, ports.target.snapshot(), to=to)
        simulation.is_observed = True
        return rollback_to_revision(ports, plan, actor=actor, purpose="rollback", reason=ASKED)
    finally:
        simulation.living.discard(actor.pid)


def serves(simulation: Simulation) -> RevisionName | None:
    return simulation.cloud.serving().sole


def test_rollback_returns_to_the_release_before() -> None:
    simulation = promoted_twice()
    rollout = go_back(simulation)
    assert rollout.state is State.ROLLED_BACK
    assert serves(simulation) == FIRST
    assert rollout.record.serving == FIRST
    assert rollout.record.reason == "customers complain"
    assert rollout.record.url == URL
    assert len(simulation.cloud.changes) == 1, "one write of traffic"
    simulation.check_settled()


def test_rollback_finds_the_way_behind_many_rollouts_that_promoted_nothing() -> None:
    simulation = promoted_twice()
    third = simulation.deploy("v3").record
    assert third is not None
    simulation.cloud.write(
        "before", Traffic.of({third.candidate or FIRST: 100}), None
    )  # without tags
    lease = simulation.store.acquire_lease(PROD, third.actor, "deploy", third.rollout_id, 60)
    for number in range(30):
        refused = third._replace(
            rollout_id=RolloutId(f"refused-{number}"),
            state=State.REFUSED,
            baseline=third.candidate,
            candidate=None,
        )
        simulation.store.begin(refused, lease)
    simulation.store.release_lease(lease)
    ports = simulation.ports()
    assert plan_rollback(ports, ports.target.snapshot()).to == SECOND


def test_rollback_after_a_rollback_does_not_return_to_the_bad_release() -> None:
    simulation = promoted_twice()
    go_back(simulation)
    with pytest.raises(TargetRefused):
        go_back(simulation)
    with pytest.raises(TargetRefused, match="rolled back before"):
        go_back(simulation, SECOND)
    assert serves(simulation) == FIRST
    simulation.check_settled()


@pytest.mark.parametrize(
    ("to", "why"),
    [
        (SECOND, "already serves"),
        (RevisionName("svc-00099"), "does not exist"),
        (FOREIGN, "was never verified by deploygate"),
    ],
)
def test_rollback_refuses_a_place_that_is_no_good(to: RevisionName, why: str) -> None:
    simulation = promoted_twice()
    service = simulation.cloud.existing()
    service.revisions[FOREIGN] = service.revisions[FIRST]._replace(name=FOREIGN)
    with pytest.raises(TargetRefused, match=why):
        go_back(simulation, to)
    assert serves(simulation) == SECOND
    simulation.check_settled()


def test_rollback_refuses_a_revision_that_is_not_ready() -> None:
    simulation = promoted_twice()
    service = simulation.cloud.existing()
    service.revisions[FIRST] = service.revisions[FIRST]._replace(is_ready=False)
    with pytest.raises(TargetRefused, match="not ready"):
        go_back(simulation)


def test_rollback_refuses_where_nothing_is_deployed() -> None:
    simulation = Simulation(Scenario(name="nothing", has_baseline=False))
    with pytest.raises(TargetRefused, match="nothing is deployed"):
        go_back(simulation)


def test_rollback_refuses_where_nothing_was_judged() -> None:
    simulation = Simulation(Scenario(name="by-hand", by_hand=True))
    with pytest.raises(TargetRefused, match="known to be good"):
        go_back(simulation)


def test_rollback_leaves_a_split_of_traffic() -> None:
    simulation = promoted_twice()
    simulation.cloud.write("before", Traffic.of({FIRST: 30, SECOND: 70}), None)
    rollout = go_back(simulation, FIRST)
    assert rollout.state is State.ROLLED_BACK
    assert serves(simulation) == FIRST


def test_rollback_in_an_emergency_trusts_the_person_who_names_a_revision() -> None:
    simulation = promoted_twice()
    service = simulation.cloud.existing()
    service.revisions[FOREIGN] = service.revisions[FIRST]._replace(name=FOREIGN)
    ports = simulation.ports()
    plan = plan_rollback(ports, ports.target.snapshot(), to=FOREIGN, is_emergency=True)
    assert plan.to == FOREIGN


def test_rollback_to_a_backup_redeploys_a_revision_that_is_gone() -> None:
    simulation = promoted_twice()
    image = simulation.cloud.existing().revisions[FIRST].digest
    (backup,) = [b for _, b in simulation.store.backups(PROD) if b.revision == FIRST]
    simulation.cloud.human_deletes(FIRST)
    simulation.before_images = {image}
    actor, ports = simulation.new_actor(), simulation.ports()
    plan = plan_rollback(ports, ports.target.snapshot(), backup=backup)
    rollout = rollback_to_revision(ports, plan, actor=actor, purpose="rollback", reason=ASKED)
    assert rollout.state is State.ROLLED_BACK
    assert simulation.cloud.images_serving() == {image}


def test_rollback_waits_for_nobody_who_lives() -> None:
    simulation = promoted_twice()
    other = simulation.new_actor()
    simulation.ports().store.acquire_lease(
        PROD, other, "deploy", simulation.store.peek_all()[0].rollout_id, 60
    )
    with pytest.raises(LeaseHeld):
        go_back(simulation)
    assert serves(simulation) == SECOND


@pytest.mark.parametrize("fault", Fault)
@pytest.mark.slow
def test_every_fault_at_every_call_of_a_rollback_ends_well(fault: Fault) -> None:
    rehearsal = promoted_twice()
    go_back(rehearsal)
    for number, name in enumerate(rehearsal.faults.calls, start=1):
        simulation = promoted_twice()
        simulation.faults.at(number, fault)
        rollout: JournaledRollout | None = None
        try:
            rollout = go_back(simulation)
        except ProcessKilled:
            assert fault in KILLS
        except DeployGateError:
            pass
        try:
            check_after(simulation, rollout)
        except AssertionError as error:
            error.add_note(f"{fault.value} at call {number}, {name}")
            raise


def check_after(simulation: Simulation, rollout: JournaledRollout | None) -> None:
    """Assert that the record is right, now and after a recovery."""
    if rollout is not None and rollout.state is State.ROLLED_BACK:
        assert serves(simulation) == FIRST or simulation.is_drifted
    simulation.faults.clear()
    simulation.recover()
    last = simulation.store.peek_all()[-1]
    if not simulation.is_drifted:
        assert serves(simulation) in (FIRST, SECOND, FOREIGN)
        if last.purpose == "rollback" and last.state is State.ROLLED_BACK:
            assert serves(simulation) == FIRST
    simulation.check_settled()
    simulation.check_recovery_is_idempotent()


# Adoption


def test_adopted_revision_is_a_place_to_go_back_to() -> None:
    simulation = Simulation(Scenario(name="by-hand", by_hand=True))
    actor, ports = simulation.new_actor(), simulation.ports()
    adopted = adopt(ports, FIRST, actor=actor, reason="it has served for a year")
    assert adopted.record.url == URL
    assert adopted.state is State.PROMOTED
    assert simulation.store.is_known_good(PROD, FIRST)
    assert simulation.cloud.peek().rollout_labels.baseline == FIRST
    assert simulation.cloud.changes[-1].serving.sole == FIRST
    simulation.check_settled()


def test_revision_that_does_not_serve_is_adopted_in_the_record_alone() -> None:
    simulation = Simulation(Scenario(name="by-hand", by_hand=True))
    service = simulation.cloud.existing()
    service.revisions[FOREIGN] = service.revisions[FIRST]._replace(name=FOREIGN)
    adopt(simulation.ports(), FOREIGN, actor=simulation.new_actor(), reason="known from elsewhere")
    assert simulation.store.is_known_good(PROD, FOREIGN)
    assert simulation.cloud.changes == []


@pytest.mark.parametrize("is_there", [True, False])
def test_revision_that_cannot_serve_is_not_adopted(is_there: bool) -> None:
    simulation = Simulation(Scenario(name="by-hand", by_hand=True))
    service = simulation.cloud.existing()
    if is_there:
        service.revisions[FOREIGN] = service.revisions[FIRST]._replace(name=FOREIGN, is_ready=False)
    with pytest.raises(TargetRefused, match="not ready" if is_there else "does not exist"):
        adopt(simulation.ports(), FOREIGN, actor=simulation.new_actor(), reason="so be it")
    assert simulation.store.peek_all() == ()


def test_adoption_that_cannot_mark_the_service_adopts_nothing() -> None:
    simulation = Simulation(Scenario(name="by-hand", by_hand=True))
    simulation.faults.on("target.shift_traffic", Fault.REFUSED)
    with pytest.raises(TargetRefused):
        adopt(simulation.ports(), FIRST, actor=simulation.new_actor(), reason="so be it")
    assert not simulation.store.is_known_good(PROD, FIRST)
    simulation.check_settled()


# An operator decides


@pytest.mark.parametrize("number", range(1, 70))
def test_person_who_unlocks_can_close_what_was_open_without_touching_anything(number: int) -> None:
    simulation = Simulation(Scenario(name="second", verify=True))
    simulation.faults.at(number, Fault.KILLED_AFTER)
    simulation.deploy_until_it_ends_or_dies()
    simulation.faults.clear()
    simulation.store.break_lease(PROD, simulation.new_actor(), "a person looked")
    was_open = [r.rollout_id for r in simulation.store.peek_all() if r.is_open]
    seen = simulation.cloud.peek()
    closed = supersede(
        simulation.ports(), actor=simulation.new_actor(), sentence="a person decided"
    )
    assert list(closed) == was_open
    assert simulation.cloud.peek() == seen
    assert [r for r in simulation.store.peek_all() if r.is_open] == []
    assert simulation.store.peek_lease(PROD) is None


def test_stranded_rollout_is_closed_by_a_person() -> None:
    simulation = Simulation(Scenario(name="second"))
    simulation.faults.on("target.set_public", Fault.REFUSED)
    simulation.faults.on("target.shift_traffic", Fault.DRIFT, nth=2)
    ended = simulation.deploy()
    assert ended.record is not None
    assert ended.record.state is State.STRANDED
    simulation.store.break_lease(PROD, simulation.new_actor(), "a person looked")
    supersede(simulation.ports(), actor=simulation.new_actor(), sentence="theirs shall serve")
    record = simulation.store.peek(ended.record.rollout_id)
    assert not record.is_open
    assert record.serving == FOREIGN
    assert simulation.cloud.serving().sole == FOREIGN


def test_baseline_that_is_gone_waits_for_a_record_that_can_be_read_again() -> None:
    simulation = Simulation(Scenario(name="second", live_holds=False))
    simulation.faults.on("store.backup", Fault.UNAVAILABLE)
    simulation.faults.on("target.answering_revision", Fault.BASELINE_GONE)
    ended = simulation.deploy()
    assert not isinstance(ended.error, StoreError)
    assert ended.record is not None
    assert ended.record.state is State.ROLLED_BACK
    assert simulation.serves_baseline()


def test_verdict_on_a_revision_is_not_that_on_another() -> None:
    simulation = promoted_twice()
    back = go_back(simulation)
    assert back.record.candidate is not None
    assert bad_verdict_on(simulation.ports(), RevisionName("svc-unknown")) is None


def test_function_deleted_by_hand_strands_the_rollout() -> None:
    simulation = Simulation(Scenario(name="second"))
    simulation.cloud.watchers.clear()
    actor, ports = simulation.new_actor(), simulation.ports()
    snapshot = ports.target.snapshot()
    rollout = Rollout.open(ports, actor=actor, purpose="deploy", permits=PhasePermits(*Phase))
    rollout.observe(snapshot, ports.target.package(), CONFIG)
    rollout.stage()
    simulation.cloud.service = None
    rollout.abort(ASKED)
    assert rollout.state is State.STRANDED
    assert "no longer exists" in rollout.record.reason


def test_revision_that_a_rollout_judged_bad_is_adopted_only_by_naming_that_rollout() -> None:
    simulation = promoted_twice()
    back = go_back(simulation)
    ports, actor, rollout_id = simulation.ports(), simulation.new_actor(), back.record.rollout_id
    with pytest.raises(PolicyRefused, match=f"was judged bad by rollout {rollout_id}") as caught:
        adopt(ports, SECOND, actor=actor, reason="it was the sheet")
    assert f"--even-though {rollout_id}" in caught.value.hint
    assert not ports.store.is_known_good(PROD, SECOND)
    adopt(ports, SECOND, actor=actor, reason="it was the sheet", even_though=rollout_id)
    assert ports.store.is_known_good(PROD, SECOND)
    adopt(ports, SECOND, actor=actor, reason="again")  # the latest verdict is good
