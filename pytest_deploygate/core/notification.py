"""Notification channels: which events of rollouts each one receives, and the state of each delivery."""

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from enum import Enum, unique
from types import MappingProxyType
from typing import Annotated, Final, Literal, NamedTuple

from pytest_deploygate.core.identifiers import EnvironmentName, RolloutId
from pytest_deploygate.core.record import RolloutRecord
from pytest_deploygate.core.setting import Place, Setting
from pytest_deploygate.core.state_machine import State
from pytest_deploygate.core.step_command import CommandKind, StepCommand, latest_command

REFERENCE: Final = (
    r"(env:[A-Za-z_][A-Za-z0-9_]*"
    r"|secret:projects/[a-z0-9-]+/secrets/[A-Za-z0-9_-]+/versions/(latest|[0-9]+))"
)
"""Pattern for the source of a secret value: an environment variable, or Secret Manager."""
NEW_FOR: Final = timedelta(hours=1)
"""A rollout that ended longer ago is not sent, so that a new channel gets no old messages."""
RETRIED_FOR: Final = timedelta(days=1)
"""How long a failed notification is retried."""


@unique
class NotifyEvent(Enum):
    """Event of a rollout, in the terms of channels; WATCH_ROLLBACK is a rollback by ``-m rollback-checks``.

    HELD is no result: an operator keeps a rollout at its step.
    """

    PROMOTED = "promoted"
    ROLLED_BACK = "rolled-back"
    STRANDED = "stranded"
    HELD = "held"
    WATCH_ROLLBACK = "watch-rollback"


class NotifyChannel(NamedTuple):
    """One receiver of notifications. ``url`` and ``signing_key`` name the source of a value, not the value."""

    name: Annotated[str, Place.NAME]
    url: Annotated[
        str,
        Setting(
            "source of the receiver's URL: `env:NAME`, or `secret:projects/ID/secrets/NAME/versions/N` of Secret "
            "Manager; the URL itself is a secret and does not belong here",
            example='"env:SLACK_WEBHOOK"',
            is_a="a reference, env:NAME or secret:projects/ID/secrets/NAME/versions/N",
            pattern=REFERENCE,
        ),
    ]
    on: Annotated[
        tuple[NotifyEvent, ...],
        Setting("events that it receives", example='["rolled-back", "stranded"]', is_filled=True),
    ] = tuple(NotifyEvent)
    form: Annotated[
        Literal["webhook", "slack", "teams", "cdevents", "apprise"],
        Setting(
            "format of the message: `webhook` is a JSON document, `apprise` needs the extra `apprise`",
            example='"slack"',
        ),
    ] = "webhook"
    signing_key: Annotated[
        str,
        Setting(
            "source of the key that signs the message, in the form of `url`",
            example='"env:WEBHOOK_KEY"',
            is_a="a reference, env:NAME or secret:projects/ID/secrets/NAME/versions/N",
            pattern=REFERENCE,
            default="not signed",
        ),
    ] = ""
    environments: Annotated[
        tuple[str, ...],
        Setting("environments whose events it receives", example='["production"]', default="all"),
    ] = ()

    def wants(self, environment: str, event: NotifyEvent) -> bool:
        """Whether this channel receives ``event`` of ``environment``."""
        return event in self.on and (not self.environments or environment in self.environments)


class Delivery(NamedTuple):
    """Delivery of one event to one channel; ``sent_at`` is None until the receiver accepts it.

    ``percent`` is the step of an event that a rollout has once a step, else 0.
    """

    rollout_id: RolloutId
    environment: EnvironmentName
    channel: str
    event: NotifyEvent
    attempts: int = 0
    tried_at: datetime | None = None
    sent_at: datetime | None = None
    error: str = ""
    percent: int = 0

    @property
    def key(self) -> tuple[str, str, str]:
        """Identity of the delivery: rollout, channel, event and its step."""
        step = f"@{self.percent}" if self.percent else ""
        return (self.rollout_id, self.channel, f"{self.event.value}{step}")


def hold_of(record: RolloutRecord, commands: tuple[StepCommand, ...]) -> StepCommand | None:
    """The command that keeps a rollout at its step now, if there is one."""
    if record.state is not State.STEPPING:
        return None
    command = latest_command(commands, record.step_percent)
    return command if command is not None and command.kind is CommandKind.HOLD else None


def event_of(record: RolloutRecord) -> NotifyEvent | None:
    """The event of ``record``; None if no channel receives its result."""
    if record.purpose in ("adopt", "drill") and record.state is not State.STRANDED:
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
    holds: Mapping[RolloutId, StepCommand] = MappingProxyType({}),
) -> Iterator[tuple[RolloutRecord, NotifyChannel, Delivery]]:
    """Deliveries that are due: recent events that were not sent yet, and failed deliveries.

    ``holds`` has the command that keeps a rollout at its step, for each rollout that is held.
    """
    found = {delivery.key: delivery for delivery in known}
    channels = tuple(channels)
    for record in records:
        event, since, percent = event_of(record), record.ended_at or record.began_at, 0
        hold = holds.get(record.rollout_id)
        if hold is not None:
            event, since, percent = NotifyEvent.HELD, hold.at, hold.percent
            record = record._replace(reason_code=event.value, reason=hold.sentence)  # noqa: PLW2901
        age = now - since
        if event is None or age > RETRIED_FOR:
            continue
        for channel in channels:
            if not channel.wants(record.environment, event):
                continue
            fresh = Delivery(
                record.rollout_id, record.environment, channel.name, event, percent=percent
            )
            delivery = found.get(fresh.key)
            if delivery is None and age <= NEW_FOR:
                yield record, channel, fresh
            elif delivery is not None and delivery.sent_at is None:
                yield record, channel, delivery
