"""Sends what is due, in rounds, until all of it has arrived or the time is up."""

import contextlib
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Final, Protocol, runtime_checkable

from pytest_deploygate.core.errors import DeployGateError
from pytest_deploygate.core.identifiers import EnvironmentName, RolloutId
from pytest_deploygate.core.notification import Delivery, NotifyChannel, due_deliveries, hold_of
from pytest_deploygate.core.record import RolloutRecord
from pytest_deploygate.core.step_command import StepCommand
from pytest_deploygate.ports import Clock
from pytest_deploygate.system.retry import Backoff, attempts

PATIENCE_S: Final = 900.0
"""How long one process goes on; the next rollout, command or watch tries again."""
_RETRY: Final = Backoff(first_s=1.0, longest_s=60.0)
_ROLLOUTS: Final = 50
_DELIVERIES: Final = 500

Deliver = Callable[[NotifyChannel, RolloutRecord, Delivery, datetime], None]


@runtime_checkable
class Outbox(Protocol):
    """The part of a store that notifications need."""

    def history(self, environment: EnvironmentName | None, limit: int) -> tuple[RolloutRecord, ...]:
        """Latest rollouts, newest first."""
        ...

    def step_commands(self, rollout_id: RolloutId) -> tuple[StepCommand, ...]:
        """What operators ordered at the steps of a rollout, oldest first."""
        ...

    def deliveries(self, limit: int) -> tuple[Delivery, ...]:
        """What became of the latest notifications."""
        ...

    def save_delivery(self, delivery: Delivery) -> None:
        """Write what became of one notification."""
        ...


def send_due(
    outbox: Outbox,
    channels: Sequence[NotifyChannel],
    clock: Clock,
    deliver: Deliver,
    *,
    clean: Callable[[str], str] = str,
    patience_s: float = PATIENCE_S,
) -> int:
    """Send until nothing is due; how many were left when the time was up."""
    left = 0
    for _ in attempts(clock, _RETRY, deadline=clock.monotonic() + patience_s):
        now = clock.now()
        records = outbox.history(None, _ROLLOUTS)
        holds = {
            record.rollout_id: hold
            for record in records
            if record.is_open and (hold := hold_of(record, outbox.step_commands(record.rollout_id)))
        }
        due = due_deliveries(records, channels, outbox.deliveries(_DELIVERIES), now, holds)
        left = sum(
            not _try(outbox, clock, deliver, clean, channel, record, delivery)
            for record, channel, delivery in due
        )
        if not left:
            break
    return left


def _try(  # one line of the outbox
    outbox: Outbox,
    clock: Clock,
    deliver: Deliver,
    clean: Callable[[str], str],
    channel: NotifyChannel,
    record: RolloutRecord,
    delivery: Delivery,
) -> bool:
    now = clock.now()
    tried = delivery._replace(attempts=delivery.attempts + 1, tried_at=now)
    try:
        deliver(channel, record, delivery, now)
        tried = tried._replace(sent_at=clock.now(), error="")
    except DeployGateError as error:
        tried = tried._replace(error=clean(error.message))
    except Exception as error:  # noqa: BLE001 # no receiver may keep the others from being told
        tried = tried._replace(error=type(error).__name__)
    with contextlib.suppress(DeployGateError):  # then it is sent again: at least once
        outbox.save_delivery(tried)
    return tried.sent_at is not None
