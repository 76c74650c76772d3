"""What every store promises; the same tests for the fake, SQLite and PostgreSQL."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from fractions import Fraction

import pytest

from pytest_deploygate.core.artifacts import Backup
from pytest_deploygate.core.duration import Duration
from pytest_deploygate.core.enforcement import Enforcement
from pytest_deploygate.core.engine_settings import TrafficStep
from pytest_deploygate.core.errors import (
    JournalDamaged,
    LeaseHeld,
    LeaseLost,
    PolicyRefused,
    StoreError,
)
from pytest_deploygate.core.evidence import CheckState, Score
from pytest_deploygate.core.identifiers import (
    Actor,
    BackupId,
    Digest,
    EnvironmentName,
    Phase,
    RevisionName,
    RolloutId,
    Severity,
    VariantName,
)
from pytest_deploygate.core.margin import Margin
from pytest_deploygate.core.measurement import Measurement
from pytest_deploygate.core.objective import Objective
from pytest_deploygate.core.policy import (
    Asking,
    Condition,
    Gate,
    Leniency,
    PhasePolicy,
    Policy,
    Trigger,
)
from pytest_deploygate.core.ratchet import RecordedPolicy
from pytest_deploygate.core.record import (
    BuildProvenance,
    EntryKind,
    JournalEntry,
    Lease,
    RecordedGate,
    RecordedStep,
    RestorePoint,
    RolloutRecord,
    StepDetails,
)
from pytest_deploygate.core.secret_ref import SecretRef
from pytest_deploygate.core.state_machine import State
from pytest_deploygate.core.step_command import CommandKind, StepCommand
from pytest_deploygate.core.traffic import LATEST, Traffic
from pytest_deploygate.core.verdict import Outcome, Reason, ReasonCode
from pytest_deploygate.ports import Store
from pytest_deploygate.store import LeaseEventKind, SqlStore
from tests.fakes import FakeClock, FakeStore

AnyStore = FakeStore | SqlStore
Opener = Callable[[], AnyStore]

PROD = EnvironmentName("production")
STAGE = EnvironmentName("staging")
ADA = Actor(user="ada", host="build-7", pid=41, boot_id="boot/1/99", ci_url="https://ci/1")
BOB = Actor(user="bob", host="laptop", pid=42)
NOON = datetime(2026, 3, 1, 12, 0, 0, 123456, tzinfo=UTC)
R1, R2, R3 = RevisionName("svc-00001"), RevisionName("svc-00002"), RevisionName("svc-00003")


def a_lease(store: Store, rollout_id: str = "one", environment: EnvironmentName = PROD) -> Lease:
    return store.acquire_lease(environment, ADA, "deploy", RolloutId(rollout_id), 60)


def a_record(
    rollout_id: str = "one",
    state: State = State.OPEN,
    *,
    environment: EnvironmentName = PROD,
    candidate: RevisionName | None = None,
    serving: RevisionName | None = None,
    digest: str = "",
) -> RolloutRecord:
    ended = NOON + timedelta(minutes=5) if state.is_final and state is not State.STRANDED else None
    return RolloutRecord(
        rollout_id=RolloutId(rollout_id),
        environment=environment,
        purpose="deploy",
        actor=ADA,
        began_at=NOON,
        state=state,
        ended_at=ended,
        candidate=candidate,
        serving=serving,
        digest=digest,
    )


def recorded(store: Store, *records: RolloutRecord) -> None:
    """Let each rollout begin, under a lease of its own."""
    for record in records:
        lease = a_lease(store, record.rollout_id, record.environment)
        store.begin(record, lease)
        store.release_lease(lease)


def an_entry(sequence: int, **facts: str) -> JournalEntry:
    return JournalEntry(
        sequence=sequence,
        at=NOON,
        kind=EntryKind.INTENT,
        name="pin",
        state=State.STAGING,
        details=StepDetails(notes=facts),
    )


# Leases


def test_lease_is_held_until_it_is_given_back(store: AnyStore) -> None:
    assert store.lease(PROD) is None
    lease = a_lease(store)
    assert store.lease(PROD) == lease
    assert (lease.actor, lease.purpose, lease.rollout_id, lease.ttl_s) == (ADA, "deploy", "one", 60)
    store.release_lease(lease)
    assert store.lease(PROD) is None


def test_second_deployer_is_told_who_holds_the_lease(opener: Opener) -> None:
    a_lease(opener())
    with pytest.raises(LeaseHeld) as caught:
        opener().acquire_lease(PROD, BOB, "rollback", RolloutId("two"), 60)
    said = str(caught.value)
    for word in (
        "production",
        "ada@build-7",
        "41",
        "https://ci/1",
        "deploy",
        "2026-03-01 12:00:00",
    ):
        assert word in said
    assert "deploygate unlock production" in caught.value.hint


def test_leases_of_two_environments_are_two(store: AnyStore) -> None:
    assert a_lease(store).environment == PROD
    assert a_lease(store, "two", STAGE).environment == STAGE


def test_token_grows_with_every_grant_also_after_unlock(opener: Opener) -> None:
    store = opener()
    tokens = []
    for _ in range(3):
        lease = a_lease(store)
        tokens.append(lease.token)
        store.release_lease(lease)
    lease = a_lease(opener())
    tokens.append(lease.token)
    store.break_lease(PROD, BOB, "stuck")
    tokens.append(a_lease(store).token)
    assert tokens == sorted(set(tokens))


def test_heartbeat_grows_and_is_seen_by_others(opener: Opener, clock: FakeClock) -> None:
    store = opener()
    first = a_lease(store)
    clock.advance(7)
    second = store.renew_lease(first)
    third = store.renew_lease(first)
    assert [first.beat, second.beat, third.beat] == [0, 1, 2]
    assert second.beat_at - first.beat_at == timedelta(seconds=7)
    assert opener().lease(PROD) == third
    assert third.token == first.token


def test_release_leaves_a_foreign_lease_alone(store: AnyStore) -> None:
    mine = a_lease(store)
    store.break_lease(PROD, BOB, "stuck")
    theirs = a_lease(store, "two")
    store.release_lease(mine)
    assert store.lease(PROD) == theirs


def test_release_leaves_other_environments_alone(store: AnyStore) -> None:
    mine, other = a_lease(store), a_lease(store, "two", STAGE)
    store.release_lease(mine)
    assert store.lease(STAGE) == other


def test_takeover_replaces_exactly_the_lease_that_was_found_dead(opener: Opener) -> None:
    stale = a_lease(opener())
    taken = opener().take_over(stale, BOB, "recover", RolloutId("two"), 30)
    assert taken.token > stale.token
    assert (taken.actor, taken.rollout_id, taken.ttl_s) == (BOB, "two", 30)
    assert opener().lease(PROD) == taken


def test_takeover_is_refused_when_the_holder_moved(store: AnyStore) -> None:
    stale = a_lease(store)
    alive = store.renew_lease(stale)
    with pytest.raises(LeaseHeld, match="ada@build-7"):
        store.take_over(stale, BOB, "recover", RolloutId("two"), 30)
    assert store.lease(PROD) == alive


def test_takeover_is_refused_when_somebody_else_was_faster(store: AnyStore) -> None:
    stale = a_lease(store)
    store.take_over(stale, BOB, "recover", RolloutId("two"), 30)
    with pytest.raises(LeaseHeld, match="bob@laptop"):
        store.take_over(stale, ADA, "recover", RolloutId("three"), 30)


def test_takeover_is_refused_when_the_lease_was_released(store: AnyStore) -> None:
    stale = a_lease(store)
    store.release_lease(stale)
    with pytest.raises(LeaseHeld, match="released"):
        store.take_over(stale, BOB, "recover", RolloutId("two"), 30)


def test_break_returns_the_lease_and_records_who_and_why(store: AnyStore) -> None:
    lease = a_lease(store)
    assert store.break_lease(PROD, BOB, "runner was destroyed") == lease
    assert store.lease(PROD) is None
    (event,) = store.lease_events(PROD, 10)
    assert (event.kind, event.actor, event.reason) == (
        LeaseEventKind.BROKEN,
        BOB,
        "runner was destroyed",
    )
    assert (event.token, event.rollout_id) == (lease.token, lease.rollout_id)


def test_break_without_a_lease_does_nothing(store: AnyStore) -> None:
    assert store.break_lease(PROD, BOB, "to be sure") is None
    assert store.lease_events(PROD, 10) == ()


def test_lease_events_are_newest_first_and_of_one_environment(store: AnyStore) -> None:
    store.take_over(a_lease(store), BOB, "recover", RolloutId("two"), 30)
    store.break_lease(PROD, ADA, "again")
    a_lease(store, "three", STAGE)
    store.break_lease(STAGE, ADA, "other")
    assert [e.reason for e in store.lease_events(PROD, 10)] == ["again", "recover"]
    assert [e.reason for e in store.lease_events(PROD, 1)] == ["again"]


# Fencing


def test_writes_stop_when_the_lease_is_lost(opener: Opener) -> None:
    zombie = opener()
    stale = a_lease(zombie)
    zombie.begin(a_record(), stale)
    zombie.append(RolloutId("one"), an_entry(1), stale)
    taken = opener().take_over(stale, BOB, "recover", RolloutId("one"), 30)
    assert taken.token > stale.token
    attempts: list[Callable[[], object]] = [
        lambda: zombie.begin(a_record("two"), stale),
        lambda: zombie.append(RolloutId("one"), an_entry(2), stale),
        lambda: zombie.save(a_record(state=State.PROMOTED), stale),
        lambda: zombie.renew_lease(stale),
    ]
    for attempt in attempts:
        with pytest.raises(LeaseLost, match="bob@laptop"):
            attempt()
    assert len(zombie.journal(RolloutId("one"))) == 1
    assert zombie.rollout(RolloutId("one")) == a_record()
    assert zombie.rollout(RolloutId("two")) is None
    opener().append(RolloutId("one"), an_entry(2), taken)


def test_writes_stop_when_the_lease_was_broken(store: AnyStore) -> None:
    lease = a_lease(store)
    store.begin(a_record(), lease)
    store.break_lease(PROD, BOB, "stuck")
    with pytest.raises(LeaseLost, match="broken"):
        store.append(RolloutId("one"), an_entry(1), lease)


def test_lease_of_another_environment_does_not_count(store: AnyStore) -> None:
    recorded(store, a_record())
    other = a_lease(store, "two", STAGE)
    attempts: list[Callable[[], object]] = [
        lambda: store.begin(a_record("three"), other),
        lambda: store.append(RolloutId("one"), an_entry(1), other),
        lambda: store.save(a_record(state=State.PROMOTED), other),
    ]
    for attempt in attempts:
        with pytest.raises(StoreError):
            attempt()
    assert store.rollout(RolloutId("one")) == a_record()


# Rollouts and journals


def test_record_comes_back_whole(opener: Opener) -> None:
    store = opener()
    lease = a_lease(store)
    record = a_record()._replace(
        state=State.SERVING,
        ended_at=NOON + timedelta(microseconds=1),
        baseline=R1,
        candidate=R2,
        verification=R3,
        variants={VariantName("slow"): R1},
        serving=R2,
        reason_code="gates",
        reason="héalth ✓ 'quoted' \"double\"\n",
        digest="ab" * 32,
        backup="backup-1",
        inventory={"health": ("a::b", "c"), "empty": ()},
        policy=RecordedPolicy(
            left_out_checks={"step": ("suites/test_step.py::test_it",)},
            policy=Policy(
                gates=(
                    Gate(
                        name="health",
                        phase=Phase.LIVE,
                        threshold=Fraction(19, 20),
                        weight=Fraction(1, 3),
                        required=False,
                        least_checks=4,
                        skips=Leniency.ALLOW,
                        flaky=Leniency.ALLOW,
                        asks=Asking.ITSELF,
                        enforce=Enforcement.WARN,
                    ),
                    Gate(name="plain", phase=Phase.CANDIDATE),
                ),
                phases={Phase.LIVE: PhasePolicy(threshold=Fraction(2, 3), budget_s=9)},
                triggers=(
                    Trigger(
                        name="t",
                        conditions=(Condition.parse("x >= 0.1"),),
                        severity=Severity.CRITICAL,
                        needed_in=(Phase.CANDIDATE, Phase.LIVE),
                        enforce=Enforcement.WARN,
                    ),
                ),
                objectives=(
                    Objective(name="errors", metric="error_rate", worse_by=Margin.parse("1pp")),
                    Objective(
                        name="slow",
                        metric="processing_time_s",
                        worse_by=Margin.parse("x1.25"),
                        quantile=Fraction(19, 20),
                        confidence=Fraction(99, 100),
                        enforce=Enforcement.WARN,
                    ),
                ),
            ),
            known_defects={"a::b": "until 2026-12-31: ticket"},
            unchecked_files=("suites/x.py",),
            steps=(
                TrafficStep(percent=5, wait=Duration(600), at_most=Duration(7200)),
                TrafficStep(percent=100, watch=Duration(60), undecided="advance"),
            ),
        ),
        steps=(
            RecordedStep(
                percent=5,
                decision="hold",
                reason="not yet decided",
                seconds=61.5,
                candidate_requests=20,
                baseline_requests=380,
                is_undecided=True,
                objectives={"errors": "not yet decided"},
                gates={"step": "gate step passed"},
                began_at=NOON,
            ),
        ),
        step_percent=5,
        detached_until=NOON + timedelta(hours=1),
        deploy_reason="Friday",
        config_digest="c",
        checks_digest="d",
        approval="ef" * 32,
        plugins={"acts": "1.0 sha256:ab"},
        overrides={"health": "known"},
        watchdog_pid=7,
        restore_point=RestorePoint(
            existed=True,
            before=Traffic.of({LATEST: 100}, {"dg-live": R3}),
            restore_to=Traffic.of({R1: 70, R2: 30}, {"dg-live": R3}),
            leaves=Traffic.of({}),
            was_public=False,
            digest="a",
            config_digest="b",
        ),
        built=R1,
        redeployed=R3,
        build=BuildProvenance(
            image="img@sha256:1",
            base_image="python312",
            updates_base_image=True,
            secrets={"KEY": SecretRef(name="key", version="3", project="other")},
            differs_in=("SHEET",),
            variants_differ_in={VariantName("slow"): ("DELAY", "SHEET")},
        ),
        scores={Phase.CANDIDATE: Fraction(1, 3), Phase.LIVE: Fraction(1)},
        gates={"health": RecordedGate(score=Score(passed=1, counted=3), outcome=Outcome.FAILED)},
        not_passed={"a::b[x]": CheckState.FLAKY},
        measurements={
            Phase.CANDIDATE: (
                Measurement.of("accuracy_score", 0.1 + 0.2, check="a::b"),
                Measurement.of("share", Fraction(1, 3), unit="s", revision=R2),
            ),
            Phase.LIVE: (),
        },
        rollback_s=0.097,
        rollback_error="nobody answers",
        rollback_cause=Reason(code=ReasonCode.GATE_FAILED, sentence="why", subject="health"),
        unfinished="the tags",
        url="https://svc.example",
        notes={"live.statistics": "none", "": ""},
    )
    store.begin(record, lease)
    assert opener().rollout(record.rollout_id) == record
    changed = record._replace(
        state=State.FINALISING, ended_at=None, verification=None, restore_point=None
    )
    store.save(changed, lease)
    assert opener().rollout(record.rollout_id) == changed


def test_unknown_rollout_is_none_to_read_and_an_error_to_write(store: AnyStore) -> None:
    lease = a_lease(store)
    assert store.rollout(RolloutId("nobody")) is None
    attempts: list[Callable[[], object]] = [
        lambda: store.save(a_record(), lease),
        lambda: store.append(RolloutId("one"), an_entry(1), lease),
        lambda: store.journal(RolloutId("one")),
    ]
    for attempt in attempts:
        with pytest.raises(StoreError):
            attempt()


def test_rollout_begins_once(store: AnyStore) -> None:
    lease = a_lease(store)
    store.begin(a_record(), lease)
    with pytest.raises(StoreError, match="recorded already"):
        store.begin(a_record(), lease)


def test_journal_comes_back_in_order(opener: Opener) -> None:
    store = opener()
    lease = a_lease(store)
    store.begin(a_record(), lease)
    assert store.journal(RolloutId("one")) == ()
    entries = tuple(an_entry(n, step=str(n)) for n in range(1, 12))
    for entry in entries:
        store.append(RolloutId("one"), entry, lease)
    assert opener().journal(RolloutId("one")) == entries


@pytest.mark.parametrize("sequence", [0, 1, 2, 4, -1])
def test_journal_refuses_what_does_not_follow(store: AnyStore, sequence: int) -> None:
    lease = a_lease(store)
    store.begin(a_record(), lease)
    for n in (1, 2):
        store.append(RolloutId("one"), an_entry(n), lease)
    with pytest.raises(JournalDamaged):
        store.append(RolloutId("one"), an_entry(sequence, other="x"), lease)
    assert len(store.journal(RolloutId("one"))) == 2


def test_last_entry_may_be_repeated_after_a_lost_answer(store: AnyStore) -> None:
    lease = a_lease(store)
    store.begin(a_record(), lease)
    for n in (1, 2, 2):
        store.append(RolloutId("one"), an_entry(n), lease)
    assert [e.sequence for e in store.journal(RolloutId("one"))] == [1, 2]


def test_save_without_lease_settles_an_unlocked_rollout(store: AnyStore) -> None:
    lease = a_lease(store)
    store.begin(a_record(), lease)
    with pytest.raises(LeaseLost):
        store.save(a_record(state=State.REFUSED), None)
    store.break_lease(PROD, BOB, "stuck")
    store.save(a_record(state=State.REFUSED), None)
    assert store.open_rollouts(PROD) == ()


def test_query_strings_and_passwords_of_urls_are_not_kept(store: AnyStore) -> None:
    lease = a_lease(store)
    signed = "put to https://storage/b/o?X-Signature=hunter2&x=1 via postgresql://u:hunter2@db/x"
    record = a_record()._replace(
        reason=signed,
        deploy_reason=signed,
        overrides={"health": signed},
        measurements={Phase.LIVE: (Measurement.of(signed, 1, unit=signed),)},
        rollback_error=signed,
        rollback_cause=Reason(code=ReasonCode.CUSTOM, sentence=signed),
        unfinished=signed,
        url=signed,
        notes={"live.statistics": signed},
        actor=ADA._replace(ci_url="https://ci/1?token=hunter2"),
    )
    store.begin(record, lease)
    store.append(RolloutId("one"), an_entry(1, url=signed), lease)
    store.break_lease(PROD, ADA, signed)
    kept = repr(
        (
            store.rollout(RolloutId("one")),
            store.journal(RolloutId("one")),
            store.lease_events(PROD, 1),
        )
    )
    assert "hunter2" not in kept
    assert "https://storage/b/o?***" in kept


# The ledger


def test_open_rollouts_are_oldest_first_and_include_stranded(store: AnyStore) -> None:
    recorded(
        store,
        a_record("a", State.STAGING),
        a_record("b", State.PROMOTED),
        a_record("c", State.STRANDED),
        a_record("d", State.OPEN, environment=STAGE),
        a_record("e", State.OPEN),
    )
    assert [r.rollout_id for r in store.open_rollouts(PROD)] == ["a", "c", "e"]
    assert [r.rollout_id for r in store.open_rollouts(STAGE)] == ["d"]


def test_history_is_newest_first_and_limited(store: AnyStore) -> None:
    recorded(store, a_record("a"), a_record("b", environment=STAGE), a_record("c"), a_record("d"))
    assert [r.rollout_id for r in store.history(PROD, 2)] == ["d", "c"]
    assert [r.rollout_id for r in store.history(None, 10)] == ["d", "c", "b", "a"]
    assert store.history(EnvironmentName("nowhere"), 10) == ()


def test_history_order_does_not_follow_the_wall_clock(store: AnyStore) -> None:
    recorded(store, a_record("a"), a_record("b")._replace(began_at=NOON - timedelta(days=1)))
    assert [r.rollout_id for r in store.history(PROD, 2)] == ["b", "a"]


def test_last_promoted_is_the_newest_with_a_candidate(store: AnyStore) -> None:
    assert store.last_promoted(PROD) is None
    recorded(
        store,
        a_record("a", State.PROMOTED, candidate=R1),
        a_record("b", State.PROMOTED, candidate=R2),
        a_record("c", State.ROLLED_BACK, candidate=R3),
        a_record("d", State.PROMOTED),
        a_record("e", State.PROMOTED, candidate=R3, environment=STAGE),
    )
    found = store.last_promoted(PROD)
    assert found is not None
    assert found.rollout_id == "b"


def test_promotion_of_a_revision_is_the_newest_that_made_it_serve(store: AnyStore) -> None:
    recorded(
        store,
        a_record("a", State.PROMOTED, candidate=R1),
        a_record("b", State.PROMOTED, candidate=R1),
        a_record("c", State.ROLLED_BACK, candidate=R1),
        a_record("d", State.PROMOTED, serving=R1),
        a_record("e", State.PROMOTED, candidate=R1, environment=STAGE),
        a_record("f", State.ROLLED_BACK, candidate=R2),
    )
    found = store.promotion_of(PROD, R1)
    assert found is not None
    assert found.rollout_id == "b"
    assert store.promotion_of(PROD, R2) is None


def test_revision_is_good_once_promoted_and_bad_once_rolled_back(store: AnyStore) -> None:
    assert not store.is_known_good(PROD, R1)
    recorded(store, a_record("a", State.PROMOTED, candidate=R1))
    assert store.is_known_good(PROD, R1)
    assert not store.is_known_good(STAGE, R1)
    recorded(store, a_record("b", State.ROLLED_BACK, candidate=R1))
    assert not store.is_known_good(PROD, R1)
    recorded(store, a_record("c", State.PROMOTED, serving=R1))
    assert store.is_known_good(PROD, R1)


@pytest.mark.parametrize("state", [State.REFUSED, State.STRANDED, State.SERVING, State.ROLLED_BACK])
def test_revision_is_not_good_because_it_served(store: AnyStore, state: State) -> None:
    recorded(store, a_record("a", state, candidate=R1, serving=R2))
    assert not store.is_known_good(PROD, R1)
    assert not store.is_known_good(PROD, R2)


def test_digest_is_bad_while_its_latest_word_is_a_rollback(store: AnyStore) -> None:
    bad = a_record("a", State.ROLLED_BACK, digest="d1")
    recorded(store, bad, a_record("b", State.ROLLED_BACK, digest=""))
    assert store.is_known_bad(PROD, "d1") == bad
    assert store.is_known_bad(PROD, "d2") is None
    assert store.is_known_bad(PROD, "") is None
    assert store.is_known_bad(STAGE, "d1") is None
    recorded(store, a_record("c", State.REFUSED, digest="d1"))
    assert store.is_known_bad(PROD, "d1") == bad
    recorded(store, a_record("d", State.PROMOTED, digest="d1"))
    assert store.is_known_bad(PROD, "d1") is None


# Backups


def a_backup(name: str, revision: RevisionName = R1) -> Backup:
    return Backup(
        identifier=BackupId(name),
        revision=revision,
        path=f"/backups/{name}.zip",
        sha256=Digest("ab" * 32),
        size_bytes=5_000_000_000,
        settings='{"env":{"U":"https://a/b?keep=this"}}',
    )


def test_backups_come_back_newest_first(opener: Opener) -> None:
    store = opener()
    for minute, name in enumerate(("one", "two", "three")):
        store.save_backup(PROD, a_backup(name), NOON + timedelta(minutes=minute))
    store.save_backup(STAGE, a_backup("four"), NOON)
    assert [(at, b.identifier) for at, b in opener().backups(PROD)] == [
        (NOON + timedelta(minutes=2), "three"),
        (NOON + timedelta(minutes=1), "two"),
        (NOON, "one"),
    ]
    assert opener().backup(BackupId("two")) == a_backup("two")
    assert store.backup(BackupId("nobody")) is None


def test_backup_saved_again_is_replaced(store: AnyStore) -> None:
    store.save_backup(PROD, a_backup("one"), NOON)
    store.save_backup(PROD, a_backup("one", R2), NOON)
    assert store.backups(PROD) == ((NOON, a_backup("one", R2)),)


# Commands at steps


def a_command(kind: CommandKind = CommandKind.HOLD, percent: int = 5) -> StepCommand:
    return StepCommand(
        rollout_id=RolloutId("one"),
        environment=PROD,
        percent=percent,
        kind=kind,
        actor=BOB,
        reason="I look",
        at=NOON,
    )


def test_commands_come_back_in_order_to_whoever_carries_the_rollout(opener: Opener) -> None:
    store = opener()
    lease = a_lease(store)
    store.begin(a_record("one", State.STEPPING)._replace(step_percent=5), lease)
    for kind in (CommandKind.HOLD, CommandKind.ABORT):
        opener().add_step_command(a_command(kind))
    assert store.step_commands(RolloutId("one")) == (
        a_command(CommandKind.HOLD),
        a_command(CommandKind.ABORT),
    )
    assert store.step_commands(RolloutId("two")) == ()


def test_command_is_refused_where_the_rollout_is_not_at_that_step(store: AnyStore) -> None:
    with pytest.raises(StoreError, match="one"):
        store.add_step_command(a_command())
    lease = a_lease(store)
    record = a_record("one", State.STEPPING)._replace(step_percent=25)
    store.begin(record, lease)
    with pytest.raises(PolicyRefused, match="not at 5 % any more"):
        store.add_step_command(a_command())
    store.save(record._replace(state=State.SERVING, step_percent=5), lease)
    with pytest.raises(PolicyRefused, match="not at 5 % any more"):
        store.add_step_command(a_command())
    assert store.step_commands(RolloutId("one")) == ()


def test_command_is_refused_where_nobody_carries_the_rollout(store: AnyStore) -> None:
    lease = a_lease(store)
    store.begin(a_record("one", State.STEPPING)._replace(step_percent=5), lease)
    store.release_lease(lease)
    with pytest.raises(PolicyRefused, match="its lease is not held"):
        store.add_step_command(a_command())
    a_lease(store, "two")
    with pytest.raises(PolicyRefused, match="its lease is not held"):
        store.add_step_command(a_command())
