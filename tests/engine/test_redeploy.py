"""Rollback to a revision that the platform lost: it is redeployed, and no death causes a second redeployment."""

import pytest

from pytest_deploygate.core.errors import DeployGateError
from pytest_deploygate.core.record import EffectFailure, EntryKind, JournalEntry, RolloutRecord
from pytest_deploygate.core.state_machine import State
from pytest_deploygate.core.verdict import Reason, ReasonCode
from pytest_deploygate.engine.journaled_rollout import JournaledRollout
from pytest_deploygate.engine.operator_rollback import rollback_to_revision
from pytest_deploygate.engine.recovery import wait_for_orphaned_deployment
from pytest_deploygate.engine.rollback_plan import plan_rollback
from tests.engine.simulation import CALL_STRIDE, PROD, Scenario, Simulation
from tests.engine.test_grid import can_strike
from tests.engine.test_rollback import FIRST, SECOND, promoted_twice
from tests.fakes import FOREIGN, KILLS, READS, Fault, ProcessKilled

ASKED = Reason(code=ReasonCode.REQUESTED, sentence="customers complain")


def lost() -> Simulation:
    """A second release serves; the platform has lost the first one, which has a backup."""
    simulation = promoted_twice()
    simulation.cloud.human_deletes(FIRST)
    image = backup_image(simulation)
    simulation.before_images.add(image)
    simulation.cloud.watchers.append(
        lambda _: simulation.before_images.add(image)
    )  # judged good for ever
    return simulation


def backup_image(simulation: Simulation) -> str:
    """The build of the lost release."""
    (backup,) = [b for _, b in simulation.store.backups(PROD) if b.revision == FIRST]
    return backup.settings


def go_back(simulation: Simulation) -> JournaledRollout:
    """Run ``rollback --to-backup``."""
    actor, ports = simulation.new_actor(), simulation.ports()
    try:
        simulation.recover_first(ports, actor)
        (backup,) = [b for _, b in simulation.store.backups(PROD) if b.revision == FIRST]
        plan = plan_rollback(ports, ports.target.snapshot(), backup=backup)
        simulation.is_observed = True
        return rollback_to_revision(ports, plan, actor=actor, purpose="rollback", reason=ASKED)
    finally:
        simulation.living.discard(actor.pid)


def die(simulation: Simulation, at: str, fault: Fault = Fault.KILLED_BEFORE) -> None:
    """Roll back, and be killed meanwhile."""
    simulation.faults.on(at, fault)
    with pytest.raises(ProcessKilled):
        go_back(simulation)


def newest(simulation: Simulation) -> RolloutRecord:
    return simulation.store.peek_all()[-1]


def entries(simulation: Simulation, name: str, kind: EntryKind) -> list[JournalEntry]:
    """Journal entries of one effect in the newest rollout."""
    journal = simulation.store.peek_journal(newest(simulation).rollout_id)
    return [entry for entry in journal if (entry.name, entry.kind) == (name, kind)]


def deployments(simulation: Simulation) -> int:
    """How often the backup was deployed."""
    return (
        sum(o.image == backup_image(simulation) for o in simulation.cloud.operations.values()) - 1
    )


def assert_is_back(simulation: Simulation) -> None:
    """Assert that record and service agree: the lost release serves again, as another revision."""
    record = newest(simulation)
    serves = simulation.cloud.serving().sole
    assert (record.purpose, record.state) == ("rollback", State.ROLLED_BACK)
    assert record.serving == serves
    assert serves not in (None, FIRST, SECOND)
    assert simulation.cloud.images_serving() == {backup_image(simulation)}
    simulation.check_settled()
    simulation.check_recovery_is_idempotent()


def test_operation_is_in_the_journal_before_it_is_awaited() -> None:
    simulation = lost()
    known: list[str] = []

    def watch(call: str) -> None:
        if call == "target.await_release":
            (begun,) = entries(simulation, "begin_backup", EntryKind.OBSERVED)
            known.append(begun.details.operation)

    simulation.faults.watchers.append(watch)
    go_back(simulation)
    assert len(known) == 1
    assert known[0] in simulation.cloud.operations
    assert_is_back(simulation)


def test_nothing_is_written_to_the_target_before_the_intent_is_in_the_journal() -> None:
    simulation = lost()
    written: list[str] = []

    def watch(call: str) -> None:
        kind, _, method = call.partition(".")
        if kind == "target" and method not in READS:
            entry = simulation.store.peek_journal(newest(simulation).rollout_id)[-1]
            assert entry.kind is EntryKind.INTENT, f"{call} follows {entry}"
            written.append(method)

    simulation.faults.watchers.append(watch)
    go_back(simulation)
    assert written == ["pin", "begin_restore", "await_release", "shift_traffic"]


def test_traffic_stays_where_it_is_until_the_redeployment_is_ready() -> None:
    simulation = lost()
    go_back(simulation)
    served = [change.serving.sole for change in simulation.cloud.changes]
    back = simulation.cloud.serving().sole
    assert served == [SECOND] * (len(served) - 1) + [back]


def die_once_it_was_seen_ready(simulation: Simulation) -> None:
    """Die when the journal names the new revision and the record still names the lost one."""

    def watch(call: str) -> None:
        if call == "store.save" and entries(simulation, "await_backup", EntryKind.OBSERVED):
            simulation.faults.watchers.remove(watch)
            raise ProcessKilled(call)

    simulation.faults.watchers.append(watch)
    with pytest.raises(ProcessKilled):
        go_back(simulation)


@pytest.mark.parametrize("kill", KILLS)
def test_recovery_attends_to_the_redeployment_that_a_dead_process_began(kill: Fault) -> None:
    simulation = lost()
    die(simulation, "target.await_release", kill)
    simulation.recover()
    assert_is_back(simulation)
    assert deployments(simulation) == 1


def test_recovery_attends_to_the_redeployment_that_ended_meanwhile() -> None:
    simulation = lost()
    die(simulation, "target.await_release")
    simulation.cloud.finish_operations()
    simulation.recover()
    assert_is_back(simulation)
    assert deployments(simulation) == 1


def test_recovery_goes_on_with_the_revision_that_was_seen_to_be_ready() -> None:
    simulation = lost()
    die_once_it_was_seen_ready(simulation)
    point = newest(simulation).restore_point
    assert point is not None
    assert point.restore_to.sole == FIRST
    simulation.recover()
    assert_is_back(simulation)
    assert deployments(simulation) == 1


@pytest.mark.parametrize("is_under_way", [True, False])
def test_operation_whose_name_nobody_learned_is_waited_for_and_not_trusted(
    is_under_way: bool,
) -> None:
    simulation = lost()
    die(simulation, "target.begin_restore", Fault.KILLED_AFTER)
    if not is_under_way:
        simulation.cloud.finish_operations()
    simulation.recover()
    assert_is_back(simulation)
    assert deployments(simulation) == 2, "it may have been anybody's"


def test_redeployment_that_was_made_and_then_deleted_is_made_again() -> None:
    simulation = lost()
    die_once_it_was_seen_ready(simulation)
    (made,) = entries(simulation, "await_backup", EntryKind.OBSERVED)
    simulation.cloud.human_deletes(made.details.revision)
    simulation.recover()
    assert_is_back(simulation)
    assert deployments(simulation) == 2


@pytest.mark.parametrize("fault", [Fault.BUILD_FAILS, Fault.START_FAILS])
def test_redeployment_that_fails_by_itself_is_stranded_and_begun_again_when_a_person_asks(
    fault: Fault,
) -> None:
    simulation = lost()
    simulation.faults.on("target.begin_restore", fault)
    rollout = go_back(simulation)
    assert rollout.state is State.STRANDED
    assert "rolling back because customers complain" in rollout.record.reason
    assert simulation.cloud.serving().sole == SECOND
    (settled,) = simulation.recover()
    assert settled.state is State.ROLLED_BACK
    assert_is_back(simulation)
    assert deployments(simulation) == 2


def test_redeployment_that_failed_after_a_death_is_not_begun_again_unasked() -> None:
    simulation = lost()
    simulation.faults.on("target.begin_restore", Fault.BUILD_FAILS)
    die(simulation, "target.await_release")
    (settled,) = simulation.recover()
    assert settled.state is State.STRANDED
    assert "the build failed" in settled.sentence
    assert deployments(simulation) == 1


@pytest.mark.parametrize("fault", [Fault.REFUSED, Fault.LOST_REQUEST])
def test_redeployment_that_the_platform_forgot_is_begun_again(fault: Fault) -> None:
    simulation = lost()
    die(simulation, "target.await_release")
    simulation.cloud.finish_operations()
    simulation.faults.on("target.await_release", fault)
    simulation.recover()
    assert_is_back(simulation)
    assert deployments(simulation) == 2


def test_redeployment_that_goes_on_and_cannot_be_asked_about_is_not_begun_again() -> None:
    simulation = lost()
    die(simulation, "target.await_release")
    simulation.faults.on("target.await_release", Fault.REFUSED)
    (settled,) = simulation.recover()
    assert settled.state is State.STRANDED
    assert deployments(simulation) == 1
    (settled,) = simulation.recover()
    assert settled.state is State.ROLLED_BACK
    assert_is_back(simulation)
    assert deployments(simulation) == 1


def test_what_somebody_else_deploys_is_waited_for_first() -> None:
    simulation = lost()
    serving = simulation.cloud.serving()
    simulation.cloud.write(
        "before", serving, None
    )  # pinned, so that the other revision gets no traffic
    simulation.cloud.begin(
        image="theirs", variables={}, rollout_labels=simulation.cloud.existing().rollout_labels
    )
    go_back(simulation)
    assert_is_back(simulation)
    assert deployments(simulation) == 1


def test_redeployment_waits_for_a_journal_that_can_be_read_again() -> None:
    simulation = lost()

    def watch(call: str) -> None:
        if call == "store.backup":
            simulation.faults.watchers.remove(watch)
            simulation.faults.on("store.journal", Fault.UNAVAILABLE)

    simulation.faults.watchers.append(watch)
    rollout = go_back(simulation)
    assert ("store.journal", Fault.UNAVAILABLE) in [fired[1:] for fired in simulation.faults.fired]
    assert rollout.state is State.ROLLED_BACK
    assert_is_back(simulation)
    assert deployments(simulation) == 1


def test_next_rollout_waits_for_a_redeployment_that_still_goes_on() -> None:
    simulation = lost()
    die(simulation, "target.await_release")
    simulation.store.break_lease(PROD, simulation.new_actor(), "a person looked")
    assert wait_for_orphaned_deployment(simulation.ports())
    assert simulation.cloud.pending_operation() is None


def test_redeployment_whose_beginning_could_not_be_recorded_is_known_by_its_end() -> None:
    simulation = lost()

    def watch(call: str) -> None:
        if call == "store.backup":
            simulation.faults.always("store.append", Fault.UNAVAILABLE)
        if call == "target.await_release":
            simulation.faults.clear()

    simulation.faults.watchers.append(watch)
    simulation.faults.on("target.answering_revision", Fault.KILLED_BEFORE)
    rollout = go_back(simulation)
    assert rollout.state is State.ROLLED_BACK
    assert_is_back(simulation)
    assert not wait_for_orphaned_deployment(simulation.ports())


def points(fault: Fault) -> list[int]:
    """Numbers of the calls at which ``fault`` is tried."""
    simulation = lost()
    go_back(simulation)
    calls = enumerate(simulation.faults.calls, start=1)
    renamed = [
        (n, c.replace("begin_restore", "begin_release")) for n, c in calls
    ]  # fails in the same ways
    return [number for number, name in renamed if can_strike(fault, name)]


@pytest.mark.parametrize("fault", Fault)
def test_every_fault_at_every_call_ends_where_the_record_says(fault: Fault) -> None:
    for number in points(fault)[::CALL_STRIDE]:
        simulation = lost()
        simulation.faults.at(number, fault)
        try:
            go_back(simulation)
        except ProcessKilled:
            assert fault in KILLS
        except DeployGateError:
            pass
        try:
            check_after(simulation)
        except (AssertionError, Exception) as error:
            error.add_note(f"{fault.value} at call {number}: {simulation.faults.fired}")
            raise


def check_after(simulation: Simulation) -> None:
    """Assert that what serves is known, now and after a recovery, which starts no unnecessary second build."""
    simulation.faults.clear()
    simulation.recover()
    record = newest(simulation)
    if simulation.cloud.serving().percent(FOREIGN):
        assert record.state is not State.ROLLED_BACK
        return
    if record.state is State.ROLLED_BACK and record.purpose == "rollback":
        assert_is_back(simulation)
    else:
        assert record.state in (State.PROMOTED, State.REFUSED)
        assert simulation.cloud.serving().sole == SECOND
        simulation.check_settled()
        simulation.check_recovery_is_idempotent()


@pytest.mark.parametrize("kill", KILLS)
def test_recoveries_that_die_one_after_the_other_deploy_it_once(kill: Fault) -> None:
    simulation = lost()
    die(simulation, "target.await_release", kill)
    for number in range(1, 60):
        simulation.faults.at(len(simulation.faults.calls) + number, kill)
        try:
            simulation.recover()
        except ProcessKilled:
            continue
        break
    simulation.faults.clear()
    simulation.recover()
    assert_is_back(simulation)
    assert deployments(simulation) == 1


def test_backup_that_is_refused_is_stranded_and_nothing_moves() -> None:
    simulation = lost()
    simulation.faults.always("target.begin_restore", Fault.REFUSED)
    rollout = go_back(simulation)
    assert rollout.state is State.STRANDED
    assert simulation.cloud.serving().sole == SECOND
    (failed,) = entries(simulation, "begin_backup", EntryKind.OBSERVED)
    assert failed.details.failure is EffectFailure.NOT_APPLIED


def test_baseline_whose_image_is_gone_is_deployed_from_its_backup() -> None:
    simulation = promoted_twice()
    simulation.before_images.add(backup_image(simulation))
    simulation.cloud.watchers.append(
        lambda _: simulation.before_images.add(backup_image(simulation))
    )
    simulation.cloud.missing_images.add(FIRST)
    rollout = go_back_to_first(simulation)
    assert rollout.state is State.ROLLED_BACK
    assert_is_back(simulation)
    assert deployments(simulation) == 1
    assert entries(simulation, "keep", EntryKind.OBSERVED)


def go_back_to_first(simulation: Simulation) -> JournaledRollout:
    """What ``rollback --to REVISION`` does."""
    actor, ports = simulation.new_actor(), simulation.ports()
    try:
        plan = plan_rollback(ports, ports.target.snapshot(), to=FIRST)
        simulation.is_observed = True
        return rollback_to_revision(ports, plan, actor=actor, purpose="rollback", reason=ASKED)
    finally:
        simulation.living.discard(actor.pid)


def test_baseline_whose_image_is_gone_without_a_backup_is_stranded_and_says_so() -> None:
    simulation = promoted_twice()
    simulation.cloud.missing_images.add(FIRST)
    actor, ports = simulation.new_actor(), simulation.ports()
    plan = plan_rollback(ports, ports.target.snapshot(), to=FIRST)._replace(backup="")
    rollout = rollback_to_revision(ports, plan, actor=actor, purpose="rollback", reason=ASKED)
    assert rollout.state is State.STRANDED
    assert "no such image; there is no backup of it" in rollout.record.reason
    assert simulation.cloud.serving().sole == SECOND


def test_baseline_that_serves_already_is_not_left_although_its_image_is_gone() -> None:
    simulation = Simulation(Scenario(name="rollback", candidate_holds=False))
    simulation.cloud.missing_images.add(FIRST)
    ended = simulation.deploy("v2")
    assert ended.record is not None
    assert ended.record.state is State.STRANDED
    assert "its source is in the backup backup-svc-00001" in ended.record.reason
    assert simulation.cloud.serving().sole == FIRST
