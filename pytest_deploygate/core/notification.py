"""Who is told of which ends of rollouts, and what became of telling them."""

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from enum import Enum, unique
from typing import Annotated, Final, Literal, NamedTuple

from pytest_deploygate.core.identifiers import EnvironmentName, RolloutId
from pytest_deploygate.core.record import RolloutRecord
from pytest_deploygate.core.setting import Place, Setting
from pytest_deploygate.core.state_machine import State

REFERENCE: Final = (
    r"(env:[A-Za-z_][A-Za-z0-9_]*"
    r"|secret:projects/[a-z0-9-]+/secrets/[A-Za-z0-9_-]+/versions/(latest|[0-9]+))"
)
"""Where a secret value is: in an environment variable, or in Secret Manager."""
NEW_FOR: Final = timedelta(hours=1)
"""A rollout that ended longer ago is no news: a channel that is added tells nothing of the past."""
RETRIED_FOR: Final = timedelta(days=1)
"""How long a notification that did not arrive is sent again."""


@unique
class NotifyEvent(Enum):
    """How a rollout ended, as channels name it; WATCH_ROLLBACK is one of ``-m rollback-checks``."""

    PROMOTED = "promoted"
    ROLLED_BACK = "rolled-back"
    STRANDED = "stranded"
    WATCH_ROLLBACK = "watch-rollback"


class NotifyChannel(NamedTuple):
    """One receiver of notifications. ``url`` and ``signing_key`` say where the value is; they do not hold it."""

    name: Annotated[str, Place.NAME]
    url: Annotated[
        str,
        Setting(
            "where the address of the receiver is: `env:NAME`, or `secret:projects/ID/secrets/NAME/versions/N` of "
            "Secret Manager; the address itself is not written here, since it is a secret",
            example='"env:SLACK_WEBHOOK"',
            is_a="a reference, env:NAME or secret:projects/ID/secrets/NAME/versions/N",
            pattern=REFERENCE,
        ),
    ]
    on: Annotated[
        tuple[NotifyEvent, ...],
        Setting("of what it is told", example='["rolled-back", "stranded"]', is_filled=True),
    ] = tuple(NotifyEvent)
    form: Annotated[
        Literal["webhook", "slack", "teams", "cdevents", "apprise"],
        Setting(
            "what is sent: `webhook` is a JSON document, `apprise` needs the extra `apprise`",
            example='"slack"',
        ),
    ] = "webhook"
    signing_key: Annotated[
        str,
        Setting(
            "where the key is that signs what is sent, written as in `url`",
            example='"env:WEBHOOK_KEY"',
            is_a="a reference, env:NAME or secret:projects/ID/secrets/NAME/versions/N",
            pattern=REFERENCE,
            default="not signed",
        ),
    ] = ""
    environments: Annotated[
        tuple[str, ...],
        Setting("of which environments it is told", example='["production"]', default="of all"),
    ] = ()

    def wants(self, environment: str, event: NotifyEvent) -> bool:
        """Whether this channel is told of ``event`` in ``environment``."""
        return event in self.on and (not self.environments or environment in self.environments)


class Delivery(NamedTuple):
    """What became of telling one channel of one end; ``sent_at`` is None until the receiver took it."""

    rollout_id: RolloutId
    environment: EnvironmentName
    channel: str
    event: NotifyEvent
    attempts: int = 0
    tried_at: datetime | None = None
    sent_at: datetime | None = None
    error: str = ""

    @property
    def key(self) -> tuple[str, str, str]:
        """What it is about: one rollout, one channel, one event."""
        return (self.rollout_id, self.channel, self.event.value)


def event_of(record: RolloutRecord) -> NotifyEvent | None:
    """What ``record`` is to be told as; None if it is none of these ends."""
    if record.purpose == "adopt":
        return None
    match record.state:
        case State.PROMOTED if record.candidate != record.baseline:
            return NotifyEvent.PROMOTED
        case State.STRANDED:
            return NotifyEvent.STRANDED
        case State.ROLLED_BACK if record.purpose == "rollback-checks":
            return NotifyEvent.WATCH_ROLLBACK
        case State.ROLLED_BACK:
            return NotifyEvent.ROLLED_BACK
        case _:
            return None


def due_deliveries(
    records: Iterable[RolloutRecord],
    channels: Iterable[NotifyChannel],
    known: Iterable[Delivery],
    now: datetime,
) -> Iterator[tuple[RolloutRecord, NotifyChannel, Delivery]]:
    """Everything that is still to be sent: what ended lately and nobody was told of, and what did not arrive."""
    found = {delivery.key: delivery for delivery in known}
    channels = tuple(channels)
    for record in records:
        event = event_of(record)
        age = now - (record.ended_at or record.began_at)
        if event is None or age > RETRIED_FOR:
            continue
        for channel in channels:
            if not channel.wants(record.environment, event):
                continue
            fresh = Delivery(record.rollout_id, record.environment, channel.name, event)
            delivery = found.get(fresh.key)
            if delivery is None and age <= NEW_FOR:
                yield record, channel, fresh
            elif delivery is not None and delivery.sent_at is None:
                yield record, channel, delivery
