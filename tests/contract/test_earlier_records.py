"""A record that real sessions of an earlier version wrote is read, settled, and gone back from, in every database.

``records/format-1.sql.gz`` is a dump of what the version wrote that kept everything in texts. Environment ``fake``: two
promotions, a rollback by a gate, one with an override, a refusal, a rollback by hand, an adoption, and a session that
was killed in its live phase. Environment ``staging``: two promotions, and a rollback by hand that ended stranded.
"""

import gzip
import json
import re
import sqlite3
from collections.abc import Iterator, Mapping
from fractions import Fraction
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest

from pytest_deploygate.core.errors import StoreError
from pytest_deploygate.core.evidence import CheckState, Score
from pytest_deploygate.core.identifiers import (
    Actor,
    EnvironmentName,
    Phase,
    RevisionName,
    RolloutId,
)
from pytest_deploygate.core.measurement import Measurement
from pytest_deploygate.core.record import BuildProvenance, EntryKind, RecordedGate, RestorePoint
from pytest_deploygate.core.release import RevisionInfo, RolloutLabels
from pytest_deploygate.core.state_machine import State
from pytest_deploygate.core.traffic import LATEST, Traffic
from pytest_deploygate.core.verdict import Outcome, Reason, ReasonCode
from pytest_deploygate.engine.engine_context import Ports
from pytest_deploygate.engine.operator_rollback import rollback_to_revision
from pytest_deploygate.engine.recovery import recover_environment
from pytest_deploygate.engine.rollback_plan import plan_rollback
from pytest_deploygate.store import SqlStore, open_store, serialization
from pytest_deploygate.testing.fake_cloud import Service
from tests.fakes import FakeClock, FakeCloud, FakeTarget

DUMP = Path(__file__).parent / "records" / "format-1.sql.gz"
FAKE, STAGING = EnvironmentName("fake"), EnvironmentName("staging")
SECOND, KILLED = RolloutId("20261128-052957-f9a35b"), RolloutId("20261128-053108-ddbba7")
FAILED, STRANDED = RolloutId("20261128-053006-ee6428"), RolloutId("20261128-053129-410d70")
ADA = Actor(user="ada", host="ci", pid=7)
CONFIG = "ed39aef89d64e27d3ae373670c6acd5461626c6e36a584dbffd55d8b70e0821d"
V1 = "3bfc269594ef649228e9a74bab00f042efc91d5acc6fbee31a382e80d42388f"
V2 = "fb04dcb6970e4c3d1873de51fd5a50d7bb46b3383113602665c350ec40b5f99"


def revision(number: int) -> RevisionName:
    return RevisionName(f"svc-{number:05d}")


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A database as the earlier version left it."""
    dump = gzip.decompress(DUMP.read_bytes()).decode()
    if request.param == "sqlite":
        with sqlite3.connect(tmp_path / "state.db") as connection:
            connection.executescript(dump)
        connection.close()
        return f"sqlite:///{tmp_path}/state.db"
    place: str = request.getfixturevalue("postgresql_url")
    open_store(place, FakeClock()).close()  # the tables are the same
    inserts = [line for line in dump.splitlines() if line.startswith("INSERT INTO")]
    # rollouts before the journals that refer to them
    inserts.sort(key=lambda line: "deploygate_journal" in line)
    with psycopg.connect(urlsplit(place)._replace(scheme="postgresql").geturl()) as server:
        server.execute("DELETE FROM deploygate_meta")
        for line in inserts:
            server.execute(line)
        for table in ("rollouts", "lease_events", "backups"):
            server.execute(
                f"SELECT setval(pg_get_serial_sequence('deploygate_{table}', 'number'), 100)"
            )
    return place


@pytest.fixture
def store(url: str, clock: FakeClock) -> Iterator[SqlStore]:
    with open_store(url, clock) as store:
        yield store


def ports_of(store: SqlStore, clock: FakeClock, environment: EnvironmentName) -> Ports:
    """What the session that was killed in ``fake``, or what was stranded in ``staging``, left on the platform."""
    cloud, count = FakeCloud(clock), 10 if environment == FAKE else 4
    images: Mapping[int, str] = {1: "v1", 2: "v1", 3: "v2", 4: "v2"}
    revisions = {
        revision(n): RevisionInfo(name=revision(n), is_ready=True, image=images.get(n, "later"))
        for n in range(1, count + 1)
    }
    labels = RolloutLabels(baseline=revision(2), digest=V1, config=CONFIG[:63])
    traffic = Traffic.of({revision(2): 100}, {"dg-live": revision(1)})
    if environment == FAKE:
        labels = labels._replace(rollout=KILLED)
        tags = {"dg-cand": revision(10), "dg-live": revision(1), "dg-verify": revision(9)}
        traffic = Traffic.of({revision(10): 100}, tags)
    cloud.service = Service(
        traffic=traffic,
        rollout_labels=labels,
        is_public=True,
        revisions=revisions,
        latest_ready=revision(count),
        latest_created=revision(count),
    )
    return Ports(environment=environment, target=FakeTarget(cloud), store=store, clock=clock)


def test_all_rollouts_of_an_earlier_version_are_read(store: SqlStore) -> None:
    ended = [(r.purpose, r.state.value) for r in reversed(store.history(FAKE, 100))]
    assert ended == [
        ("deploy", "PROMOTED"),
        ("deploy", "PROMOTED"),
        ("deploy", "ROLLED_BACK"),
        ("deploy", "ROLLED_BACK"),
        ("deploy", "REFUSED"),
        ("rollback", "ROLLED_BACK"),
        ("adopt", "PROMOTED"),
        ("deploy", "SERVING"),
    ]
    for record in store.history(None, 100):
        journal = store.journal(record.rollout_id)
        assert [entry.sequence for entry in journal] == list(range(1, len(journal) + 1))
    first = store.history(FAKE, 100)[-1].restore_point
    assert first is not None
    assert (first.existed, first.before, first.was_public) == (False, Traffic.of({}), False)
    assert store.history(FAKE, 2)[1].restore_point is None, "an adoption observes nothing"


def test_what_was_text_is_typed(store: SqlStore) -> None:
    record, overridden = store.rollout(SECOND), store.history(FAKE, 5)[-1]
    assert record is not None
    assert (record.config_digest, record.deploy_reason) == (CONFIG, "Friday's release")
    assert record.watchdog_pid == 19652
    assert record.restore_point == RestorePoint(
        existed=True,
        before=Traffic.of({LATEST: 100}, {"dg-live": revision(1)}),
        restore_to=Traffic.of({revision(2): 100}, {"dg-live": revision(1)}),
        was_public=True,
        digest=V1,
        config_digest=CONFIG[:63],
    )
    image = "image-of-fb04dcb6970e"
    assert record.build == BuildProvenance(image=image, secrets={}, differs_in=("SHEET",))
    assert record.scores == {
        Phase.READINESS: 1,
        Phase.CANDIDATE: Fraction(9, 10),
        Phase.LIVE: 1,
    }
    assert record.score == 1
    assert record.gates["extra"] == RecordedGate(
        score=Score(passed=4, counted=5), outcome=Outcome.PASSED
    )
    assert record.not_passed == {"suites/test_extra.py::test_skips": CheckState.SKIPPED}
    assert record.measurements == {
        Phase.CANDIDATE: (
            Measurement.of("accuracy_score", 0.93),
            Measurement.of("memory_usage_mb", 32.8, unit="MB"),
            Measurement.of("processing_time_s", 0.3, unit="s"),
        ),
        Phase.LIVE: (Measurement.of("error_rate", 0),),
    }
    assert record.notes == {}
    assert overridden.overrides == {"health": "the sheet is down"}
    assert overridden.watchdog_pid is None
    assert overridden.rollback_s == pytest.approx(0.1, abs=0.09)
    begun = [e.details for e in store.journal(SECOND) if e.name == "await_candidate"]
    assert [(d.operation, d.revision) for d in begun] == [
        ("operations/4", None),
        ("", revision(4)),
    ]


def test_rollout_that_an_earlier_version_left_open_is_recovered(
    store: SqlStore, clock: FakeClock
) -> None:
    ports = ports_of(store, clock, FAKE)
    before = store.journal(KILLED)
    (settled,) = recover_environment(ports, actor=ADA, is_stale=lambda _: True)
    assert (settled.rollout_id, settled.state) == (KILLED, State.ROLLED_BACK)
    now = ports.target.snapshot()
    assert now.traffic == Traffic.of({revision(2): 100}, {"dg-live": revision(1)})
    assert now.rollout_labels == RolloutLabels(baseline=revision(2), digest=V1, config=CONFIG[:63])
    after = store.journal(KILLED)
    assert after[: len(before)] == before
    assert len(after) > len(before)
    ended = store.rollout(KILLED)
    assert ended is not None
    assert (ended.serving, ended.is_open) == (revision(2), False)
    assert ended.watchdog_pid is None
    assert ended.measurements, "what was known before is kept"
    assert store.lease(FAKE) is None
    assert recover_environment(ports, actor=ADA, is_stale=lambda _: True) == ()


def test_rollback_that_an_earlier_version_left_stranded_is_settled_for_its_own_reason(
    store: SqlStore, clock: FakeClock
) -> None:
    ports = ports_of(store, clock, STAGING)
    stranded = store.rollout(STRANDED)
    assert stranded is not None
    assert stranded.rollback_error == "nobody answers"
    why = Reason(code=ReasonCode.REQUESTED, sentence="orders without prices")
    assert stranded.rollback_cause == why
    (settled,) = recover_environment(ports, actor=ADA, is_stale=lambda _: True)
    assert (settled.state, settled.sentence) == (State.ROLLED_BACK, why.sentence)
    ended = store.rollout(STRANDED)
    assert ended is not None
    assert (ended.reason_code, ended.serving) == (why.code.value, revision(2))


def test_rollback_goes_by_what_an_earlier_version_recorded(
    store: SqlStore, clock: FakeClock
) -> None:
    ports = ports_of(store, clock, FAKE)
    recover_environment(ports, actor=ADA, is_stale=lambda _: True)
    why = Reason(code=ReasonCode.REQUESTED, sentence="why")
    for to, digest, config in ((revision(4), "", ""), (revision(2), V1, CONFIG[:63])):
        # a person adopted the fourth revision, of which nothing more is known, and it is left in an emergency
        plan = plan_rollback(ports, ports.target.snapshot(), to=to, is_emergency=True)
        assert (plan.digest, plan.config) == (digest, config)
        done = rollback_to_revision(ports, plan, actor=ADA, purpose="rollback", reason=why)
        assert done.state is State.ROLLED_BACK
        now = ports.target.snapshot()
        assert (now.serving.sole, now.rollout_labels.digest) == (to, digest)
    bad = store.rollout(FAILED)
    assert bad is not None
    assert store.is_known_bad(FAKE, bad.digest) == bad
    assert bad.config_digest == CONFIG


def test_failures_in_a_journal_of_an_earlier_version_are_told_apart() -> None:
    def failure(error: str, kind: EntryKind = EntryKind.OBSERVED) -> str | None:
        facts = {"error": error, "message": "m"}
        at = "2026-11-28T05:30:00+00:00"
        name, state = "begin_candidate", "STAGING"
        body = {"at": at, "kind": kind.value, "name": name, "state": state, "facts": facts}
        found = serialization.entry_from(1, json.dumps(body)).details
        assert found.notes == facts
        return found.failure.value if found.failure is not None else None

    assert failure("BuildFailed") == "ended"
    assert failure("TargetRefused") == "not_applied"
    assert failure("OutcomeUnknown") == "unknown"
    assert failure("KeyError") == "unknown", "nobody knows what a bug had done before"
    assert failure("the tags could not be moved", EntryKind.MOVED) is None


def change(url: str, old: str, new: str) -> None:
    """Exchange ``old`` for ``new`` in the body of one rollout, with a seal that is right."""
    path = urlsplit(url).path
    with sqlite3.connect(path) as connection:
        query = "SELECT body FROM deploygate_rollouts WHERE rollout_id = ?"
        (body,) = connection.execute(query, (SECOND,)).fetchone()
        changed, count = re.subn(old, lambda _: new, body)
        assert count == 1
        seal = serialization.digest(changed)
        connection.execute(
            "UPDATE deploygate_rollouts SET body = ?, seal = ? WHERE rollout_id = ?",
            (changed, seal, SECOND),
        )
    connection.close()


@pytest.fixture
def path_url(tmp_path: Path) -> str:
    """The earlier record in a file."""
    with sqlite3.connect(tmp_path / "state.db") as connection:
        connection.executescript(gzip.decompress(DUMP.read_bytes()).decode())
    connection.close()
    return f"sqlite:///{tmp_path}/state.db"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"restore_to":"[^"]*",', ""),
        ('"existed":"true"', '"existed":"yes"'),
        ('"traffic":"[^"]*"', '"traffic":"svc-1=50"'),
        ('"score.live":"[^"]*"', '"score.later":"1"'),
        ('"4/5 PASSED"', '"4/5"'),
        ('"skipped"', '"well"'),
    ],
)
def test_damaged_record_of_an_earlier_version_is_refused(
    path_url: str, clock: FakeClock, old: str, new: str
) -> None:
    change(path_url, old, new)
    with open_store(path_url, clock) as store, pytest.raises(StoreError, match="cannot be read"):
        store.rollout(SECOND)


def test_parts_of_an_earlier_record_that_are_not_understood_are_kept_as_notes(
    path_url: str, clock: FakeClock
) -> None:
    change(path_url, '"32.8 MB"', '"*** MB"')
    change(path_url, '"secrets":""', '"secrets":"KEY=key:8","live.statistics":"none"')
    later = '"build":"img","built":"svc-00003","base_image":"b","base_image_updates":"automatic"'
    change(path_url, '"build":"[^"]*"', later)
    with open_store(path_url, clock) as store:
        record = store.rollout(SECOND)
        assert record is not None
        assert record.notes == {"candidate.memory_usage_mb": "*** MB", "live.statistics": "none"}
        assert record.built == revision(3)
        assert record.build is not None
        assert (record.build.base_image, record.build.updates_base_image) == ("b", True)
        assert record.build.secrets["KEY"]._asdict() == {
            "name": "key",
            "version": "8",
            "project": "",
        }


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ('{"format":3,', "has format 3, this program knows 2: a newer version wrote it"),
        ('{"format":2,"verification":null,"tint":"blue",', "cannot be read"),
    ],
)
def test_record_of_a_later_version_is_refused(
    path_url: str, clock: FakeClock, more: str, why: str
) -> None:
    change(path_url, "^{", more)
    with open_store(path_url, clock) as store, pytest.raises(StoreError, match=why):
        store.rollout(SECOND)


def test_field_of_a_later_version_is_refused_and_named(path_url: str, clock: FakeClock) -> None:
    with open_store(path_url, clock) as store:
        recover_environment(ports_of(store, clock, FAKE), actor=ADA, is_stale=lambda _: True)
    with sqlite3.connect(urlsplit(path_url).path) as connection:
        query = "SELECT body FROM deploygate_rollouts WHERE rollout_id = ?"
        (body,) = connection.execute(query, (KILLED,)).fetchone()
        newer = serialization.canonical({**json.loads(body), "tint": "blue"})
        connection.execute(
            "UPDATE deploygate_rollouts SET body = ?, seal = ? WHERE rollout_id = ?",
            (newer, serialization.digest(newer), KILLED),
        )
    connection.close()
    with open_store(path_url, clock) as store, pytest.raises(StoreError, match="tint") as caught:
        store.rollout(KILLED)
    assert "upgrade" in caught.value.hint
