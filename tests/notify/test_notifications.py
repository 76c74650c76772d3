"""Channels are told of every end at least once, whatever becomes of the receiver, and never of a secret."""

import hashlib
import hmac
import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cloudevents.http import from_json
from jsonschema import validate

from pytest_deploygate.core.errors import ConfigError, TargetUnavailable
from pytest_deploygate.core.identifiers import RolloutId, Secret
from pytest_deploygate.core.notification import (
    Delivery,
    NotifyChannel,
    NotifyEvent,
    due_deliveries,
    event_of,
    hold_of,
)
from pytest_deploygate.core.record import (
    BuildProvenance,
    RecordedStep,
    RestorePoint,
    RolloutRecord,
)
from pytest_deploygate.core.state_machine import State
from pytest_deploygate.core.step_command import CommandKind, StepCommand
from pytest_deploygate.core.traffic import Traffic
from pytest_deploygate.notify.delivering import (
    DELIVERY,
    EVENT,
    SIGNATURE,
    NotDelivered,
    deliver,
    resolve_reference,
    sign,
)
from pytest_deploygate.notify.message_bodies import messages_of
from pytest_deploygate.notify.sender import send_due
from pytest_deploygate.store.sql import SqlStore, open_store
from pytest_deploygate.testing.faults import FakeClock
from tests.loopback_server import LoopbackServer, Reply, ServerMaker
from tests.report.recorded_rollouts import MARKUP, promotion, rollback

KEY = "a-signing-key"
BUILD = BuildProvenance(image="eu-docker.pkg.dev/p/r/svc@sha256:abc", secrets={})


def ended(record: RolloutRecord, now: datetime, ago_s: float = 10) -> RolloutRecord:
    return record._replace(ended_at=now - timedelta(seconds=ago_s))


class RecordOutbox:
    """A record of rollouts, and what became of telling of them."""

    def __init__(self, *records: RolloutRecord) -> None:
        self.records = records
        self.kept: dict[tuple[str, str, str], Delivery] = {}
        self.commands: tuple[StepCommand, ...] = ()

    def step_commands(self, rollout_id: RolloutId) -> tuple[StepCommand, ...]:
        return tuple(one for one in self.commands if one.rollout_id == rollout_id)

    def history(self, environment: object, limit: int) -> tuple[RolloutRecord, ...]:
        del environment, limit
        return self.records

    def deliveries(self, limit: int) -> tuple[Delivery, ...]:
        del limit
        return tuple(self.kept.values())

    def save_delivery(self, delivery: Delivery) -> None:
        self.kept[delivery.key] = delivery


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


def channel(**changed: object) -> NotifyChannel:
    made = NotifyChannel(name="audit", url="env:AUDIT_URL", signing_key="env:AUDIT_KEY")
    return made._replace(**changed)  # type: ignore[arg-type]  # fields by name


def send(outbox: RecordOutbox, server_url: str, clock: FakeClock, **options: object) -> int:
    variables = {"AUDIT_URL": server_url, "AUDIT_KEY": KEY}

    def to_server(
        one: NotifyChannel, record: RolloutRecord, delivery: Delivery, now: datetime
    ) -> None:
        deliver(one, record, delivery, now, variables=variables)

    return send_due(outbox, [channel(**options)], clock, to_server)


def ordered(record: RolloutRecord, kind: CommandKind, percent: int, at: datetime) -> StepCommand:
    return StepCommand(
        rollout_id=record.rollout_id,
        environment=record.environment,
        percent=percent,
        kind=kind,
        actor=record.actor,
        reason="I look",
        at=at,
    )


def answering(*statuses: int) -> Iterator[Reply]:
    yield from (Reply(status=status) for status in statuses)


def test_webhook_is_told_what_is_documented_and_signed(
    http_server: ServerMaker, clock: FakeClock
) -> None:
    server = http_server(lambda _: Reply(status=204))
    outbox = RecordOutbox(ended(rollback(url="https://svc.example"), clock.now()))
    assert send(outbox, server.url, clock) == 0
    (asked,) = server.asked
    document = json.loads(asked.body)
    page = (Path(__file__).parents[2] / "docs" / "how-to" / "notify.md").read_text()
    assert set(document) == {
        name.strip("` ")
        for line in page.splitlines()
        if line.startswith("| `") and line.count("|") == 3 and "form" not in line
        for name in line.split("|")[1].split(",")
    } - {"webhook", "slack", "teams", "cdevents", "apprise"}
    assert (document["event"], document["serving_revision"]) == ("rolled-back", "svc-00005-abc")
    assert asked.headers[EVENT.lower()] == "rolled-back"
    parts = dict(part.split("=", 1) for part in asked.headers[SIGNATURE.lower()].split(","))
    wanted = hmac.new(KEY.encode(), f"{parts['t']}.".encode() + asked.body, hashlib.sha256)
    assert parts["v1"] == wanted.hexdigest()
    assert sign(Secret("another"), asked.body, clock.now()) != asked.headers[SIGNATURE.lower()]


def test_receiver_that_fails_is_told_again_until_it_takes_it(
    http_server: ServerMaker, clock: FakeClock
) -> None:
    replies = answering(500, 429, 301, 200)
    server = http_server(lambda _: next(replies))
    outbox = RecordOutbox(ended(promotion(1), clock.now()))
    assert send(outbox, server.url, clock) == 0
    assert len(server.asked) == 4
    assert len({asked.headers[DELIVERY.lower()] for asked in server.asked}) == 1
    (kept,) = outbox.kept.values()
    assert (kept.attempts, kept.error) == (4, "")
    assert kept.sent_at is not None
    assert send(outbox, server.url, clock) == 0
    assert len(server.asked) == 4  # once it arrived, never again


def test_receiver_that_dies_amid_its_answer_is_told_again(
    http_server: ServerMaker, clock: FakeClock
) -> None:
    replies = iter((Reply(cut=0), Reply(cut=0), Reply()))
    server = http_server(lambda _: next(replies))
    outbox = RecordOutbox(ended(promotion(1), clock.now()))
    assert send(outbox, server.url, clock) == 0
    assert len(server.asked) == 3


def test_what_does_not_arrive_is_recorded_without_the_address(
    unused_url: str, clock: FakeClock
) -> None:
    outbox = RecordOutbox(ended(promotion(1), clock.now()))
    assert send(outbox, f"{unused_url}/T0KEN", clock) == 1
    (kept,) = outbox.kept.values()
    assert kept.sent_at is None
    assert kept.attempts > 3
    assert kept.error == "no answer: ConnectionError"


def test_variable_that_is_not_set_is_recorded(clock: FakeClock) -> None:
    outbox = RecordOutbox(ended(promotion(1), clock.now()))
    assert send(outbox, "", clock) == 1
    (kept,) = outbox.kept.values()
    assert kept.error == "the environment variable AUDIT_URL is not set"


def test_one_receiver_keeps_no_other_from_being_told(clock: FakeClock) -> None:
    told: list[str] = []

    def to_all(
        one: NotifyChannel, record: RolloutRecord, delivery: Delivery, now: datetime
    ) -> None:
        del record, delivery, now
        if one.name == "broken":
            raise RuntimeError
        told.append(one.name)

    outbox = RecordOutbox(ended(promotion(1), clock.now()))
    channels = [channel(name="broken"), channel(name="fine")]
    assert send_due(outbox, channels, clock, to_all, patience_s=5) == 1
    assert told == ["fine"]
    assert {d.error for d in outbox.kept.values()} == {"RuntimeError", ""}


def test_the_past_is_not_told_and_retries_end_after_a_day(clock: FakeClock) -> None:
    now = clock.now()
    old, older = ended(promotion(1), now, 3 * 3600), ended(promotion(2), now, 25 * 3600)
    assert list(due_deliveries([old, older], [channel()], [], now)) == []
    tried = [
        Delivery(r.rollout_id, r.environment, "audit", NotifyEvent.PROMOTED, attempts=1)
        for r in (old, older)
    ]
    due = list(due_deliveries([old, older], [channel()], tried, now))
    assert [record for record, _, _ in due] == [old]


@pytest.mark.parametrize(
    ("record", "event"),
    [
        (promotion(1), NotifyEvent.PROMOTED),
        (rollback(), NotifyEvent.ROLLED_BACK),
        (rollback(purpose="rollback"), NotifyEvent.ROLLED_BACK),
        (rollback(purpose="rollback-checks"), NotifyEvent.WATCH_ROLLBACK),
        (rollback(state=State.STRANDED, ended_at=None), NotifyEvent.STRANDED),
        (rollback(state=State.REFUSED), None),
        (rollback(state=State.STAGING, ended_at=None), None),
        (promotion(1)._replace(purpose="adopt"), None),
    ],
)
def test_event_of_a_rollout(record: RolloutRecord, event: NotifyEvent | None) -> None:
    assert event_of(record) is event


def test_channel_is_told_of_what_it_wants_only(clock: FakeClock) -> None:
    records = [ended(promotion(1), clock.now()), ended(rollback(), clock.now())]
    for options, wanted in (
        ({"on": (NotifyEvent.PROMOTED,)}, [NotifyEvent.PROMOTED]),
        ({"environments": ("production",)}, [NotifyEvent.PROMOTED, NotifyEvent.ROLLED_BACK]),
        ({"environments": ("staging",)}, []),
    ):
        due = due_deliveries(records, [channel(**options)], [], clock.now())
        assert [delivery.event for _, _, delivery in due] == wanted


def delivery_of(record: RolloutRecord) -> Delivery:
    event = event_of(record)
    assert event is not None
    return Delivery(record.rollout_id, record.environment, "audit", event)


@pytest.mark.parametrize("form", ["slack", "teams", "webhook"])
def test_warnings_and_steps_are_sent(form: str) -> None:
    step = RecordedStep(percent=5, decision="advance", reason="not worse", seconds=60)
    record = promotion(1)._replace(warnings={"gate.new": "gate new failed"}, steps=(step,))
    (message,) = messages_of(form, record, delivery_of(record))
    assert "gate new failed" in message.body.decode()
    if form == "webhook":
        document = json.loads(message.body)
        assert document["warnings"] == {"gate.new": "gate new failed"}
        assert [(one["percent"], one["decision"]) for one in document["steps"]] == [(5, "advance")]


@pytest.mark.parametrize("form", ["slack", "teams"])
def test_chat_is_sent_text_and_no_markup(form: str) -> None:
    record = rollback(reason=f"{MARKUP} <!channel> *bold* <https://evil.example|look>\nnext")
    (message,) = messages_of(form, record, delivery_of(record))
    document = json.loads(message.body)
    if form == "slack":
        text = document["blocks"][0]["text"]["text"]
        assert "<" not in text
        assert "&lt;!channel&gt;" in text
        assert "*bold*" not in text
        assert document["text"] == "production: rolled back"
    else:
        card = document["attachments"][0]["content"]
        assert (card["type"], card["version"]) == ("AdaptiveCard", "1.4")
        facts = {fact["title"]: fact["value"] for fact in card["body"][1]["facts"]}
        assert facts["serving"] == "svc-00005-abc"
        assert "\n" not in facts["reason"]


def _exactly(required: dict[str, object], **more: object) -> dict[str, object]:
    """An object with these members; others are forbidden."""
    return {
        "type": "object",
        "required": list(required),
        "properties": {**required, **more},
        "additionalProperties": False,
    }


TEXT: dict[str, object] = {"type": "string", "minLength": 1}
CDEVENT = _exactly(
    {
        "context": _exactly(
            {
                "specversion": {"const": "0.5.1"},
                "id": TEXT,
                "source": TEXT,
                "type": {"pattern": r"^dev\.cdevents\.service\.[a-z]+\.0\.3\.0$"},
                "timestamp": TEXT,
            }
        ),
        "subject": _exactly(
            {
                "id": TEXT,
                "content": _exactly(
                    {"environment": _exactly({"id": TEXT}, source=TEXT)}, artifactId=TEXT
                ),
            },
            source=TEXT,
        ),
    },
    customData={"type": "object"},
    customDataContentType=TEXT,
)
"""Of an event of a service, as CDEvents 0.5.1 has it: its schemas forbid every other member."""


def test_rolled_back_event_names_what_is_deployed_now() -> None:
    none = Traffic.of({})
    point = RestorePoint(existed=True, before=none, restore_to=none, digest="d1")
    record = rollback()._replace(build=BUILD, digest="d2", restore_point=point)
    (message,) = messages_of("cdevents", record, delivery_of(record))
    content = from_json(message.body).data["subject"]["content"]
    assert content["artifactId"] == "pkg:generic/svc@d1"


def test_hold_at_a_step_is_told_once_a_step(http_server: ServerMaker, clock: FakeClock) -> None:
    server = http_server(lambda _: Reply())
    now = clock.now()
    record = promotion(1)._replace(
        state=State.STEPPING, ended_at=None, began_at=now - timedelta(hours=9), step_percent=10
    )
    outbox = RecordOutbox(record)
    outbox.commands = (ordered(record, CommandKind.HOLD, 10, now),)
    for _ in range(2):
        assert send(outbox, server.url, clock) == 0
    outbox.commands += (ordered(record, CommandKind.ADVANCE, 10, now),)
    assert send(outbox, server.url, clock) == 0
    outbox.records = (record._replace(step_percent=50),)
    assert send(outbox, server.url, clock) == 0
    outbox.commands += (ordered(record, CommandKind.HOLD, 50, now),)
    assert send(outbox, server.url, clock) == 0
    told = [json.loads(asked.body) for asked in server.asked]
    assert [(one["event"], one["step_percent"]) for one in told] == [("held", 10), ("held", 50)]
    assert "I look" in told[0]["reason"]
    assert told[0]["ended_at"] is None


def test_hold_of_another_state_or_of_long_ago_is_not_told(clock: FakeClock) -> None:
    now = clock.now()
    record = promotion(1)._replace(state=State.STEPPING, ended_at=None, step_percent=10)
    old = ordered(record, CommandKind.HOLD, 10, now - timedelta(hours=2))
    assert hold_of(record, (old,)) is old
    assert hold_of(record._replace(state=State.ROLLING_BACK), (old,)) is None
    holds = {record.rollout_id: old}
    assert list(due_deliveries([record], [channel()], [], now, holds)) == []


@pytest.mark.parametrize("form", ["slack", "teams", "cdevents"])
def test_hold_reads_as_one_in_chat(form: str) -> None:
    record = promotion(1)._replace(state=State.STEPPING, ended_at=None, step_percent=10)
    delivery = Delivery(record.rollout_id, record.environment, "c", NotifyEvent.HELD, percent=10)
    bodies = [message.body.decode() for message in messages_of(form, record, delivery)]
    if form == "cdevents":
        assert bodies == []  # it has no word for it
    else:
        assert "production: held at 10 %" in bodies[0]


@pytest.mark.parametrize(
    ("record", "kinds"),
    [
        (promotion(1)._replace(build=BUILD), ["deployed", "published"]),
        (rollback(), ["rolledback"]),
        (rollback(state=State.STRANDED), []),
    ],
)
def test_cdevents_are_cloudevents_of_their_types(record: RolloutRecord, kinds: list[str]) -> None:
    messages = messages_of("cdevents", record, delivery_of(record))
    events = [from_json(message.body) for message in messages]
    assert [e["type"] for e in events] == [f"dev.cdevents.service.{k}.0.3.0" for k in kinds]
    for event, message in zip(events, messages, strict=True):
        assert message.content_type == "application/cloudevents+json"
        data = event.data
        assert data["context"]["type"] == event["type"]
        assert data["context"]["id"] == event["id"] == message.message_id
        assert data["subject"]["id"] == "svc"
        assert data["subject"]["content"]["environment"]["id"] == "production"
        validate(data, CDEVENT)
        assert ("artifactId" in data["subject"]["content"]) is ("published" not in event["type"])
        assert (event["subject"], event["time"]) == (
            data["subject"]["id"],
            data["context"]["timestamp"],
        )
    if len(kinds) == 2:
        artifact = events[0].data["subject"]["content"]["artifactId"]
        assert artifact.startswith("pkg:oci/svc@sha256%3Aabc?repository_url=")


def test_reference_is_resolved_and_what_is_missing_is_told() -> None:
    assert resolve_reference("env:A", {"A": " x\n"}).reveal() == "x"
    name = "projects/p/secrets/s/versions/3"
    assert resolve_reference(f"secret:{name}", {}, {name: "v\n"}.__getitem__).reveal() == "v"
    with pytest.raises(ConfigError, match="A is not set"):
        resolve_reference("env:A", {"A": " "})


def test_secret_manager_that_cannot_be_asked_is_an_error_of_this_delivery(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "missing.json"))
    with pytest.raises(TargetUnavailable, match="projects/p/secrets/s"):
        resolve_reference("secret:projects/p/secrets/s/versions/3", {})


@pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")
def test_apprise_delivers_to_whatever_it_knows(http_server: ServerMaker) -> None:
    server = http_server(lambda _: Reply())
    record = rollback()
    url = server.url.replace("http://", "json://")
    variables = {"AUDIT_URL": url}
    chat = channel(form="apprise", signing_key="")
    deliver(chat, record, delivery_of(record), datetime.now(UTC), variables=variables)
    assert "production: rolled back" in server.asked[0].body.decode()
    server.close()
    with pytest.raises(NotDelivered):
        deliver(chat, record, delivery_of(record), datetime.now(UTC), variables=variables)


def test_store_keeps_what_became_of_each_delivery(tmp_path: Path, clock: FakeClock) -> None:
    store = open_store(f"sqlite:///{tmp_path / 'state.db'}", clock)
    assert isinstance(store, SqlStore)
    one = delivery_of(rollback())
    other = one._replace(channel="chat", attempts=3, tried_at=clock.now(), error="no answer")
    store.save_delivery(one)
    store.save_delivery(other)
    sent = one._replace(attempts=1, sent_at=clock.now())
    store.save_delivery(sent)
    assert set(store.deliveries(10)) == {sent, other}
    store.close()


def test_slow_receiver_is_waited_for_by_nobody_but_the_sender(
    http_server: ServerMaker, clock: FakeClock
) -> None:
    release = threading.Event()
    server: LoopbackServer = http_server(lambda _: Reply(wait=release))
    outbox = RecordOutbox(ended(promotion(1), clock.now()))
    sender = threading.Thread(target=send, args=(outbox, server.url, clock))
    sender.start()
    assert outbox.kept == {}  # it is still waited for
    release.set()
    sender.join(30)
    (kept,) = outbox.kept.values()
    assert kept.sent_at is not None
