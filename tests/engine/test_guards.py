"""Guards of the engine that no single fault of the grid triggers, each in the situation that it is for."""

import pytest

from pytest_deploygate.core.errors import (
    BuildFailed,
    IllegalTransition,
    LeaseLost,
    OutcomeUnknown,
    PolicyRefused,
    StartFailed,
    StoreError,
    TargetRefused,
)
from pytest_deploygate.core.identifiers import Phase, RevisionName, RolloutId
from pytest_deploygate.core.own_tags import TAG_LIVE_VERIFY, TAG_PREVIOUS, TAG_PREVIOUS_VERIFY
from pytest_deploygate.core.record import EffectFailure, Lease, RestorePoint, RolloutRecord
from pytest_deploygate.core.release import RevisionInfo, Snapshot
from pytest_deploygate.core.secret_ref import SecretRef
from pytest_deploygate.core.state_machine import Event, State
from pytest_deploygate.core.traffic import LATEST, Traffic
from pytest_deploygate.core.verdict import Reason, ReasonCode
from pytest_deploygate.engine.finalize import clear_labels, finalize_best_effort
from pytest_deploygate.engine.journaled_rollout import JournaledRollout
from pytest_deploygate.engine.permits import PhasePermits
from pytest_deploygate.engine.recovery import recover_environment, supersede
from pytest_deploygate.engine.rollback_plan import plan_rollback
from pytest_deploygate.engine.rollout import Rollout
from pytest_deploygate.testing.fake_cloud import LAGGING_ANSWERS
from tests.engine.simulation import CONFIG, PROD, Scenario, Simulation
from tests.fakes import FOREIGN, FakeCloud, Fault

GOOD = Reason(code=ReasonCode.HELD, sentence="all gates held")
BAD = Reason(code=ReasonCode.GATE_FAILED, sentence="a gate failed")
FIRST = RevisionName("svc-00001")
FOUND = RestorePoint(existed=True, before=Traffic.of({}), restore_to=Traffic.of({}))


ALL = PhasePermits(*Phase)


def observed(simulation: Simulation, permits: PhasePermits | None = ALL) -> Rollout:
    """A rollout that has observed the service."""
    actor, ports = simulation.new_actor(), simulation.ports()
    snapshot = ports.target.snapshot()
    simulation.observed()
    rollout = Rollout.open(ports, actor=actor, purpose="deploy", permits=permits)
    rollout.observe(snapshot, ports.target.package(), CONFIG)
    return rollout


def test_a_move_that_cannot_be_journaled_leaves_the_rollout_where_it_was() -> None:
    """Who would believe it had gone on would take the candidate for judged, and a recovery would not."""
    simulation = Simulation(Scenario(name="second"))
    rollout = observed(simulation)
    rollout.stage()
    before = rollout.state
    simulation.faults.always("store.append", Fault.UNAVAILABLE)
    with pytest.raises(StoreError):
        rollout.promote()
    assert rollout.state is before
    assert simulation.serves_baseline()
    simulation.faults.clear()
    rollout.abort(BAD)
    simulation.check_settled()


def test_baseline_keeps_the_verification_revision_that_it_was_judged_with() -> None:
    simulation = Simulation(Scenario(name="twice", verify=True))
    first, second = simulation.deploy("v2").record, simulation.deploy("v3").record
    assert first is not None
    assert second is not None
    assert dict(simulation.cloud.peek().traffic.tags) == {
        TAG_PREVIOUS: first.candidate,
        TAG_PREVIOUS_VERIFY: first.verification,
        TAG_LIVE_VERIFY: second.verification,
    }


def test_rollout_goes_no_step_further_than_the_phases_that_were_granted() -> None:
    simulation = Simulation(Scenario(name="second"))
    permits = PhasePermits()
    rollout = observed(simulation, permits)

    def refuses(phase: str) -> None:
        state = rollout.state
        for step in (
            rollout.stage,
            rollout.promote,
            lambda: rollout.finalise(GOOD),
            lambda: rollout.keep(GOOD),
        ):
            with pytest.raises((PolicyRefused, IllegalTransition)):
                step()
        with pytest.raises(PolicyRefused, match=f"the {phase} phase was not judged to hold"):
            rollout.move(
                {"readiness": Event.READY, "candidate": Event.CANDIDATE_HELD}.get(
                    phase, Event.LIVE_HELD
                )
            )
        assert rollout.state is state

    refuses("readiness")
    permits.permit(Phase.READINESS)
    rollout.stage()
    refuses("candidate")
    permits.permit(Phase.CANDIDATE)
    rollout.promote()
    refuses("live")
    permits.permit(Phase.LIVE)
    rollout.finalise(GOOD)
    assert rollout.state is State.PROMOTED


def test_rollout_that_was_opened_without_grants_can_only_end() -> None:
    simulation = Simulation(Scenario(name="second"))
    rollout = observed(simulation, None)
    with pytest.raises(PolicyRefused):
        rollout.stage()
    rollout.refuse(BAD)
    assert rollout.state is State.REFUSED
    assert simulation.cloud.changes == []


def recorded(
    simulation: Simulation, state: State, point: RestorePoint | None = None
) -> tuple[RolloutRecord, Lease]:
    """A rollout that a process left in the record in this state."""
    actor = simulation.new_actor()
    simulation.living.clear()
    record = RolloutRecord(
        rollout_id=RolloutId("left"),
        environment=PROD,
        purpose="deploy",
        actor=actor,
        began_at=simulation.clock.now(),
        state=state,
        restore_point=point,
    )
    lease = simulation.store.acquire_lease(PROD, actor, "deploy", record.rollout_id, 60)
    simulation.store.begin(record, lease)
    return record, lease


def test_rollout_that_observed_nothing_is_settled_without_touching_anything() -> None:
    simulation = Simulation(Scenario(name="second"))
    recorded(simulation, State.STAGING)
    (settled,) = simulation.recover()
    assert settled.state is State.ROLLED_BACK
    assert simulation.cloud.changes == []
    simulation.check_settled()


def test_promotion_whose_record_names_no_candidate_is_closed_and_says_so() -> None:
    simulation = Simulation(Scenario(name="second"))
    record, _ = recorded(simulation, State.FINALISING, FOUND)
    (settled,) = simulation.recover()
    assert settled.state is State.PROMOTED
    assert "names no candidate" in simulation.store.peek(record.rollout_id).unfinished
    assert simulation.cloud.changes == []


def test_promotion_whose_record_does_not_say_what_was_before_is_closed_and_says_so() -> None:
    simulation = Simulation(Scenario(name="second"))
    record, lease = recorded(simulation, State.FINALISING)
    simulation.store.save(record._replace(candidate=FIRST), lease)
    (settled,) = simulation.recover()
    assert settled.state is State.PROMOTED
    assert "does not say what served before" in simulation.store.peek(record.rollout_id).unfinished
    assert simulation.cloud.changes == []


def test_labels_of_a_rollout_that_observed_nothing_are_left_alone() -> None:
    """A missing value is not an empty traffic plan, which would match a service that serves nothing."""
    simulation = Simulation(Scenario(name="second"))
    record, lease = recorded(simulation, State.REFUSED)
    rollout = JournaledRollout(simulation.ports(), record, lease)
    clear_labels(rollout, Snapshot(exists=True))
    assert simulation.cloud.changes == []
    assert simulation.store.peek_journal(record.rollout_id) == ()


@pytest.mark.parametrize(
    ("error", "failure"),
    [
        (BuildFailed("b"), EffectFailure.ENDED),
        (StartFailed("s"), EffectFailure.ENDED),
        (TargetRefused("r"), EffectFailure.NOT_APPLIED),
        (OutcomeUnknown("o"), EffectFailure.UNKNOWN),
        (KeyError("a bug"), EffectFailure.UNKNOWN),
    ],
)
def test_failure_of_an_effect_says_what_became_of_it(
    error: Exception, failure: EffectFailure
) -> None:
    simulation = Simulation(Scenario(name="second"))
    record, lease = recorded(simulation, State.STAGING)
    rollout = JournaledRollout(simulation.ports(), record, lease)

    def fail() -> None:
        raise error

    with pytest.raises(type(error)):
        rollout.act("upload", fail)
    *_, observed = simulation.store.peek_journal(record.rollout_id)
    assert observed.details.failure is failure


def test_tidying_up_stops_when_the_lease_is_lost() -> None:
    simulation = Simulation(Scenario(name="second"))
    record, lease = recorded(simulation, State.FINALISING, FOUND)
    simulation.store.break_lease(PROD, simulation.new_actor(), "stuck")
    with pytest.raises(LeaseLost):
        finalize_best_effort(JournaledRollout(simulation.ports(), record, lease), BAD)
    assert simulation.store.peek(record.rollout_id).state is State.FINALISING


def test_split_baseline_is_restored_to_the_same_shares() -> None:
    simulation = Simulation(Scenario(name="second"))
    service = simulation.cloud.existing()
    service.revisions[FOREIGN] = service.revisions[FIRST]._replace(name=FOREIGN)
    simulation.cloud.write(
        "before", Traffic.of({FIRST: 70, FOREIGN: 30}, {"theirs": FOREIGN}), None
    )
    before = simulation.cloud.peek().traffic
    rollout = observed(simulation)
    rollout.stage()
    rollout.promote()
    rollout.abort(BAD)
    assert rollout.state is State.ROLLED_BACK
    assert simulation.cloud.peek().traffic == before
    simulation.check_settled()


def test_baseline_without_backup_that_is_gone_strands_the_rollout() -> None:
    simulation = Simulation(Scenario(name="second"))
    rollout = observed(simulation)
    rollout.stage()
    rollout.promote()
    rollout.update(rollout.record._replace(backup=""))
    simulation.cloud.human_deletes(FIRST)
    rollout.abort(BAD)
    assert rollout.state is State.STRANDED
    assert "no backup" in rollout.record.reason
    assert rollout.record.candidate == simulation.cloud.serving().sole


def test_service_stays_pinned_while_a_build_is_under_way() -> None:
    """A service that follows LATEST again would give all traffic to the revision of that build."""
    simulation = Simulation(Scenario(name="second"))
    simulation.cloud.tells_of_operations = False
    rollout = observed(simulation)
    simulation.faults.on("target.await_release", Fault.REFUSED)
    with pytest.raises(TargetRefused):
        rollout.stage()
    rollout.abort(BAD)
    assert simulation.cloud.peek().traffic.percent(LATEST) == 0
    simulation.cloud.finish_operations()
    assert simulation.serves_baseline()


def test_service_follows_latest_again_when_nothing_was_made() -> None:
    simulation = Simulation(Scenario(name="second"))
    rollout = observed(simulation)
    simulation.faults.on("target.upload", Fault.REFUSED)
    with pytest.raises(TargetRefused):
        rollout.stage()
    rollout.abort(BAD)
    assert simulation.cloud.peek().traffic.percent(LATEST) == 100


def test_first_release_that_cannot_be_asked_about_is_waited_for() -> None:
    simulation = Simulation(Scenario(name="first", has_baseline=False))
    rollout = observed(simulation)
    for nth in (1, 2):
        simulation.faults.on("target.await_release", Fault.REFUSED, nth=nth)
    with pytest.raises(TargetRefused):
        rollout.stage()
    rollout.abort(BAD)
    assert rollout.state is State.ROLLED_BACK
    simulation.cloud.finish_operations()
    assert simulation.cloud.service is None, "the build came after the rollback"


def test_first_release_into_which_somebody_else_deployed_is_not_deleted() -> None:
    simulation = Simulation(Scenario(name="first", has_baseline=False))
    rollout = observed(simulation)
    rollout.stage()
    simulation.cloud.human_moves()
    rollout.abort(BAD)
    assert rollout.state is State.STRANDED
    assert simulation.cloud.serving().sole == FOREIGN


def test_untidy_marks_do_not_keep_the_next_rollout_out() -> None:
    simulation = Simulation(Scenario(name="second"))
    rollout = observed(simulation)
    rollout.stage()
    rollout.promote()
    simulation.faults.always("target.shift_traffic", Fault.REFUSED)
    rollout.finalise(Reason(code=ReasonCode.HELD, sentence="all gates held"))
    simulation.living.clear()
    assert rollout.state is State.PROMOTED
    assert simulation.cloud.peek().rollout_labels.rollout == rollout.record.rollout_id
    assert simulation.recover() == ()
    simulation.faults.clear()
    simulation.check_next_rollout_works()


@pytest.mark.parametrize(
    ("is_own", "is_readable", "told"),
    [
        (True, True, "a write of rollout {rollout} was applied late: svc-00001=100 serves"),
        (True, False, "svc-00001=100 serves, expected svc-00002=100"),
        (False, True, f"{FOREIGN}=100;"),
    ],
)
def test_untidy_blames_nobody_else_for_our_own_write(
    *, is_own: bool, is_readable: bool, told: str
) -> None:
    simulation = Simulation(Scenario(name="second"))
    rollout = observed(simulation)
    rollout.stage()
    rollout.promote()
    simulation.faults.always("target.shift_traffic", Fault.REFUSED)
    rollout.finalise(Reason(code=ReasonCode.HELD, sentence="all gates held"))
    simulation.living.clear()
    simulation.faults.clear()

    def move(call: str) -> None:
        if call == "target.shift_traffic":
            simulation.faults.watchers.clear()
            if is_own:
                simulation.cloud.write("late", Traffic.of({FIRST: 100}), None)
            else:
                simulation.cloud.human_moves()
            if not is_readable:
                simulation.faults.always("target.snapshot", Fault.UNAVAILABLE)

    simulation.faults.watchers.append(move)
    said: dict[str, str] = {}
    recovered = recover_environment(
        simulation.ports(),
        actor=simulation.new_actor(),
        is_stale=simulation.is_stale,
        progress=lambda step, detail: said.update({step: detail}),
    )
    assert recovered == ()
    sentence = said["untidy"]
    assert sentence.startswith(told.format(rollout=rollout.record.rollout_id))


def test_tidying_up_is_repeated_by_the_next_recovery() -> None:
    simulation = Simulation(Scenario(name="second", verify=True))
    simulation.faults.on("target.shift_traffic", Fault.REFUSED, nth=3)
    ended = simulation.deploy()
    assert ended.record is not None
    assert ended.record.state is State.PROMOTED
    assert ended.record.unfinished
    simulation.recover()
    tags = dict(simulation.cloud.peek().traffic.tags)
    assert tags == {"dg-live": ended.record.verification, "dg-prev": FIRST}
    assert simulation.cloud.peek().rollout_labels.baseline == ended.record.candidate
    simulation.check_settled()


def vanish(cloud: FakeCloud, name: RevisionName) -> None:
    del cloud.existing().revisions[name]


def other_image(cloud: FakeCloud, name: RevisionName) -> None:
    change(cloud, name, digest="another build")


def other_variable(cloud: FakeCloud, name: RevisionName) -> None:
    change(cloud, name, variables={"SHEET": "production", "DEBUG": "1"})


def other_secret(cloud: FakeCloud, name: RevisionName) -> None:
    change(cloud, name, secrets={"KEY": SecretRef(name="key", version="8")})


def change(cloud: FakeCloud, name: RevisionName, **fields: object) -> None:
    revisions = cloud.existing().revisions
    old = revisions[name]
    revisions[name] = RevisionInfo(
        name=name,
        is_ready=True,
        digest=str(fields.get("digest", old.digest)),
        variables=dict(fields.get("variables", old.variables)),  # type: ignore[call-overload] # a mapping
        secrets=dict(fields.get("secrets", old.secrets)),  # type: ignore[call-overload] # a mapping
    )


@pytest.mark.parametrize(
    ("tamper", "why"),
    [
        (vanish, "vanished"),
        (other_image, "not of one build"),
        (other_variable, "differ in"),
        (other_secret, "given different secrets"),
    ],
)
@pytest.mark.parametrize("which", ["verification", "candidate"])
def test_candidate_that_is_not_what_was_judged_is_refused(
    which: str, tamper: object, why: str
) -> None:
    simulation = Simulation(Scenario(name="second", verify=True))
    rollout = observed(simulation)
    names = {"verification": RevisionName("svc-00003"), "candidate": RevisionName("svc-00004")}

    def hear(step: str, detail: str) -> None:
        if step == "started" and names["candidate"] in detail:
            assert callable(tamper)
            tamper(simulation.cloud, names[which])

    rollout.progress = hear
    with pytest.raises(TargetRefused, match=why):
        rollout.stage()
    rollout.abort(BAD)
    assert rollout.state is State.ROLLED_BACK
    assert simulation.serves_baseline()


@pytest.mark.parametrize("has_verification", [True, False])
def test_build_and_versions_of_secrets_are_recorded(has_verification: bool) -> None:
    simulation = Simulation(Scenario(name="second", verify=has_verification))
    rollout = observed(simulation)

    def hear(step: str, detail: str) -> None:
        del detail
        if step == "started":
            for name in simulation.cloud.existing().revisions:
                other_secret(simulation.cloud, name)

    rollout.progress = hear
    rollout.stage()
    build = rollout.record.build
    assert build is not None
    assert build.secrets == {"KEY": SecretRef(name="key", version="8")}
    assert build.image.startswith("image")
    assert build.differs_in == (("SHEET",) if has_verification else None)


def test_rollback_that_does_not_get_through_within_its_budget_strands_the_rollout() -> None:
    simulation = Simulation(Scenario(name="second"))
    rollout = observed(simulation)
    rollout.stage()
    rollout.promote()
    simulation.faults.always("target.shift_traffic", Fault.UNAVAILABLE)
    began = simulation.clock.monotonic()
    said: list[str] = []
    rollout.progress = lambda step, detail: said.append(f"{step}: {detail}")
    rollout.abort(BAD)
    assert rollout.state is State.STRANDED
    budget = rollout.ports.settings.rollback_budget_s
    waits = [line for line in said if line.startswith("retrying: ")]
    assert waits[0].endswith(f"; gives up in {budget:.0f} s")
    assert waits[-1] != waits[0]
    assert simulation.clock.monotonic() - began <= budget
    assert simulation.store.peek_lease(PROD) is not None
    assert rollout.record.reason_code == ReasonCode.ROLLBACK_UNVERIFIED.value


def test_rollout_that_has_nothing_to_deploy_keeps_what_serves() -> None:
    simulation = Simulation(Scenario(name="second"))
    simulation.deploy("v2")
    simulation.cloud.changes.clear()
    ended = simulation.deploy("v2")
    assert ended.record is not None
    assert ended.record.state is State.PROMOTED
    assert simulation.cloud.changes == []
    simulation.check_settled()


def test_readiness_that_does_not_hold_ends_as_refused() -> None:
    simulation = Simulation(Scenario(name="second"))
    rollout = observed(simulation)
    rollout.refuse(BAD)
    assert simulation.store.peek(rollout.record.rollout_id).state is State.REFUSED
    assert simulation.cloud.changes == []
    simulation.check_settled()


def test_failure_is_told_although_it_cannot_be_written_down() -> None:
    simulation = Simulation(Scenario(name="second"))
    rollout = observed(simulation)
    calls = len(simulation.faults.calls)
    simulation.faults.on("target.upload", Fault.REFUSED)
    rehearsal = Simulation(Scenario(name="second"))
    observed(rehearsal).stage()
    upload = rehearsal.faults.calls.index("target.upload") + 1
    assert calls < upload
    simulation.faults.at(upload + 1, Fault.UNAVAILABLE)
    with pytest.raises(TargetRefused, match="upload was refused"):
        rollout.stage()
    assert [name for _, name, _ in simulation.faults.fired] == ["target.upload", "store.append"]


def test_rollback_without_tags_finds_the_release_before_in_the_record() -> None:
    simulation = Simulation(Scenario(name="second"))
    for source in ("v2", "v3"):
        simulation.deploy(source)
    service = simulation.cloud.existing()
    simulation.cloud.write("before", Traffic.of(dict(service.traffic.shares)), None)
    ports = simulation.ports()
    plan = plan_rollback(ports, ports.target.snapshot())
    assert plan.to == RevisionName("svc-00002")


# -- the URLs of tags ------------------------------------------------------------------------------


def test_nothing_is_judged_while_a_tag_still_leads_to_what_serves() -> None:
    simulation = Simulation(Scenario(name="second", verify=True))
    rollout = observed(simulation)
    simulation.faults.on("target.shift_traffic", Fault.LAG)  # the call that sets the tags
    staged = rollout.stage()
    assert simulation.cloud.answer(staged.candidate_url) == staged.candidate
    assert simulation.cloud.answer(staged.verification_url) == staged.verification
    assert simulation.faults.calls.count("target.answering_revision") > LAGGING_ANSWERS


def test_rollout_is_given_up_when_a_tag_never_leads_to_its_revision() -> None:
    simulation = Simulation(Scenario(name="second"))
    simulation.cloud.are_tags_stuck = True
    ended = simulation.deploy()
    assert isinstance(ended.error, OutcomeUnknown)
    assert "the URL of the tag dg-cand still answers from svc-00001" in ended.error.message
    assert ended.record is not None
    assert ended.record.state is State.ROLLED_BACK
    assert simulation.serves_baseline()
    simulation.check_settled()


def test_candidate_that_does_not_answer_is_left_to_the_gates() -> None:
    simulation = Simulation(Scenario(name="second"))
    rollout = observed(simulation)
    simulation.faults.always("target.answering_revision", Fault.UNAVAILABLE)
    assert rollout.stage().candidate
    assert rollout.state is State.STAGED


def test_confirmed_is_said_only_of_answers_that_named_the_revision() -> None:
    simulation = Simulation(Scenario(name="second"))
    rollout = observed(simulation)
    said: list[tuple[str, str]] = []
    rollout.progress = lambda step, detail: said.append((step, detail))
    rollout.stage()
    rollout.promote()
    assert ("confirmed", f"3 answers in a row from {rollout.record.candidate}") in said
    said.clear()
    simulation.cloud.are_answers_anonymous = True
    rollout.abort(BAD)
    assert rollout.state is State.ROLLED_BACK
    assert "confirmed" not in dict(said)
    assert "the traffic status, read again, gives 100 % to svc-00001" in dict(said)["serving"]


def test_anonymous_answers_do_not_hide_that_traffic_went_elsewhere() -> None:
    simulation = Simulation(Scenario(name="second"))
    rollout = observed(simulation)
    rollout.stage()
    simulation.cloud.are_answers_anonymous = True
    simulation.faults.on("target.answering_revision", Fault.DRIFT)
    with pytest.raises(OutcomeUnknown, match="read again, gives svc-foreign=100"):
        rollout.promote()


# -- aborting --------------------------------------------------------------------------------------


def test_rollout_that_touched_nothing_breaks_off_as_refused() -> None:
    simulation = Simulation(Scenario(name="second"))
    rollout = observed(simulation)
    rollout.abort(BAD)
    assert rollout.state is State.REFUSED
    assert simulation.cloud.changes == []
    simulation.check_settled()


def test_image_of_the_release_before_is_tagged_and_without_permission_that_is_noted() -> None:
    simulation = Simulation(Scenario(name="second", verify=True))
    first = simulation.cloud.existing().revisions[FIRST].digest
    ended = simulation.deploy("v2")
    assert ended.record is not None
    assert simulation.cloud.image_tags == {"dg-prev": first}
    assert "previous image" not in ended.record.notes

    simulation = Simulation(Scenario(name="second", verify=True))
    simulation.faults.always("target.keep_image", Fault.REFUSED)
    ended = simulation.deploy("v2")
    assert ended.record is not None
    assert ended.record.state is State.PROMOTED
    assert ended.record.unfinished == ""
    assert "keep_image was refused" in ended.record.notes["previous image"]


def test_rollout_that_was_judged_to_the_end_breaks_off_as_promoted() -> None:
    simulation = Simulation(Scenario(name="second"))
    rollout = observed(simulation)
    rollout.stage()
    rollout.promote()
    rollout.move(Event.LIVE_HELD)
    rollout.abort(BAD)
    assert rollout.state is State.PROMOTED
    assert simulation.serves_candidate(rollout.record)


def test_first_release_that_never_came_to_be_is_not_deleted() -> None:
    simulation = Simulation(Scenario(name="first", has_baseline=False))
    simulation.faults.on("target.begin_release", Fault.KILLED_BEFORE)
    assert simulation.deploy_until_it_ends_or_dies() is None
    (settled,) = simulation.recover()
    assert settled.state is State.ROLLED_BACK
    assert "target.delete_function" not in simulation.faults.calls


def test_baseline_is_not_given_up_while_its_backup_cannot_be_looked_up() -> None:
    simulation = Simulation(Scenario(name="second"))
    rollout = observed(simulation)
    rollout.stage()
    rollout.promote()
    simulation.cloud.human_deletes(FIRST)
    simulation.faults.on("store.backup", Fault.UNAVAILABLE)
    rollout.abort(BAD)
    assert rollout.state is State.ROLLED_BACK
    assert simulation.faults.calls.count("store.backup") == 2
    assert simulation.cloud.images_serving() == simulation.before_images


# -- what comes afterwards -------------------------------------------------------------------------


def test_marks_of_a_dead_rollout_stay_where_somebody_else_decided_what_serves() -> None:
    simulation = Simulation(Scenario(name="second"))
    simulation.faults.on("target.await_release", Fault.KILLED_BEFORE)
    assert simulation.deploy_until_it_ends_or_dies() is None
    simulation.recover()
    simulation.cloud.human_moves()
    simulation.cloud.finish_operations()  # the build ends, and writes the labels of its rollout again
    assert simulation.cloud.peek().rollout_labels.rollout is not None
    changes = len(simulation.cloud.changes)
    assert simulation.recover() == ()
    assert len(simulation.cloud.changes) == changes
    assert simulation.cloud.serving().percent(FOREIGN) == 100


def test_rollout_that_had_ended_and_was_not_closed_is_closed_as_it_ended() -> None:
    simulation = Simulation(Scenario(name="second"))
    recorded(simulation, State.PROMOTED)
    lease = simulation.store.peek_lease(PROD)
    assert lease is not None
    simulation.store.release_lease(lease)
    assert (
        len(
            supersede(
                simulation.ports(), actor=simulation.new_actor(), sentence="theirs shall serve"
            )
        )
        == 1
    )
    (record,) = simulation.store.peek_all()
    assert (record.state, record.is_open) == (State.PROMOTED, False)


def test_tidying_up_after_a_promotion_is_done_by_the_next_recovery() -> None:
    simulation = Simulation(Scenario(name="second"))
    simulation.faults.on("target.shift_traffic", Fault.REFUSED, nth=3)  # tags, promotion, clean-up
    ended = simulation.deploy()
    assert ended.record is not None
    assert ended.record.state is State.PROMOTED
    assert simulation.cloud.peek().rollout_labels.rollout is not None
    assert simulation.recover() == ()
    assert simulation.cloud.peek().rollout_labels.rollout is None
    assert simulation.serves_candidate(ended.record)


@pytest.mark.parametrize("is_recorded", [True, False])
def test_test_variables_do_not_stay_in_the_template_when_the_candidate_was_never_added(
    is_recorded: bool,
) -> None:
    simulation = Simulation(Scenario(name="second", verify=True))
    simulation.faults.on("target.add_revision", Fault.KILLED_AFTER)
    assert simulation.deploy_until_it_ends_or_dies() is None
    newest = simulation.cloud.existing().latest_created
    assert newest is not None
    assert simulation.cloud.existing().revisions[newest].variables["SHEET"] == "test"
    if not is_recorded:
        simulation.store.lose_everything()
        simulation.watch_traffic_only()
    simulation.recover()
    after = simulation.cloud.existing().latest_created
    assert after is not None
    assert simulation.cloud.existing().revisions[after].variables["SHEET"] == "production"
    assert simulation.serves_baseline()


def test_a_template_that_cannot_be_put_back_is_noted_and_no_reason_to_strand() -> None:
    simulation = Simulation(Scenario(name="second", verify=True))
    simulation.faults.on("target.add_revision", Fault.KILLED_AFTER)
    assert simulation.deploy_until_it_ends_or_dies() is None
    simulation.faults.on("target.add_revision", Fault.REFUSED)
    (settled,) = simulation.recover()
    assert settled.state is State.ROLLED_BACK
    assert "template" in simulation.store.peek_all()[-1].unfinished


def test_a_rollout_with_two_revisions_builds_once() -> None:
    simulation = Simulation(Scenario(name="second", verify=True))
    assert simulation.deploy().error is None
    assert simulation.faults.calls.count("target.begin_release") == 1
    assert simulation.faults.calls.count("target.add_revision") == 2
    service = simulation.cloud.existing()
    assert service.latest_created == simulation.cloud.serving().sole


def test_remarks_on_a_rollout_that_has_ended_are_kept_and_take_no_lease() -> None:
    simulation = Simulation(Scenario(name="second"))
    rollout = observed(simulation)
    rollout.stage()
    rollout.promote()
    rollout.finalise(GOOD)
    other = simulation.store.acquire_lease(
        PROD, simulation.new_actor(), "deploy", RolloutId("other"), 60
    )
    rollout.update(rollout.record._replace(url="https://svc.example"))
    assert simulation.store.peek(rollout.record.rollout_id).url == "https://svc.example"
    assert simulation.store.peek_lease(PROD) == other
