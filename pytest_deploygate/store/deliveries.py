"""Rows on notifications: whether they arrived."""

from datetime import datetime

from pytest_deploygate.core.identifiers import EnvironmentName, RolloutId
from pytest_deploygate.core.notification import Delivery, NotifyEvent
from pytest_deploygate.store.database import DatabaseConnection
from pytest_deploygate.store.serialization import time_text

TABLE = """
    CREATE TABLE IF NOT EXISTS deploygate_deliveries (
        rollout_id TEXT NOT NULL,
        environment TEXT NOT NULL,
        channel TEXT NOT NULL,
        event TEXT NOT NULL,
        attempts INTEGER NOT NULL,
        tried_at TEXT,
        sent_at TEXT,
        error TEXT NOT NULL,
        PRIMARY KEY (rollout_id, channel, event)
    )
    """


def create_deliveries(connection: DatabaseConnection) -> None:
    """From version 2 to 3."""
    connection.run(TABLE)


def read_deliveries(connection: DatabaseConnection, limit: int) -> tuple[Delivery, ...]:
    """The latest ones, the newest rollout first."""
    rows = connection.rows(
        "SELECT * FROM deploygate_deliveries ORDER BY rollout_id DESC LIMIT :many", many=limit
    )
    return tuple(
        Delivery(
            rollout_id=RolloutId(row["rollout_id"]),
            environment=EnvironmentName(row["environment"]),
            channel=row["channel"],
            event=NotifyEvent(row["event"].partition("@")[0]),
            attempts=row["attempts"],
            tried_at=_moment(row["tried_at"]),
            sent_at=_moment(row["sent_at"]),
            error=row["error"],
            percent=int(row["event"].partition("@")[2] or 0),
        )
        for row in rows
    )


def write_delivery(connection: DatabaseConnection, delivery: Delivery) -> None:
    """Write the row of ``delivery`` anew."""
    connection.run(
        "DELETE FROM deploygate_deliveries WHERE rollout_id = :rollout_id AND channel = :channel AND event = :event",
        rollout_id=delivery.rollout_id,
        channel=delivery.channel,
        event=delivery.key[2],
    )
    connection.insert(
        "deploygate_deliveries",
        rollout_id=delivery.rollout_id,
        environment=delivery.environment,
        channel=delivery.channel,
        event=delivery.key[2],
        attempts=delivery.attempts,
        tried_at=time_text(delivery.tried_at) if delivery.tried_at is not None else None,
        sent_at=time_text(delivery.sent_at) if delivery.sent_at is not None else None,
        error=delivery.error,
    )


def _moment(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text is not None else None
