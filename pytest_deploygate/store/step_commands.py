"""Rows on the commands that operators give at steps."""

from datetime import datetime

from pytest_deploygate.core.identifiers import EnvironmentName, RolloutId
from pytest_deploygate.core.step_command import CommandKind, StepCommand
from pytest_deploygate.store.database import DatabaseConnection
from pytest_deploygate.store.serialization import actor_from, actor_text, time_text

TABLE = """
    CREATE TABLE IF NOT EXISTS deploygate_step_commands (
        number {counter} NOT NULL PRIMARY KEY,
        rollout_id TEXT NOT NULL,
        environment TEXT NOT NULL,
        percent INTEGER NOT NULL,
        kind TEXT NOT NULL,
        actor TEXT NOT NULL,
        reason TEXT NOT NULL,
        at TEXT NOT NULL
    )
    """


def create_step_commands(connection: DatabaseConnection) -> None:
    """From version 3 to 4."""
    connection.run(TABLE.format(counter=connection.dialect.counter))
    connection.run(
        "CREATE INDEX IF NOT EXISTS deploygate_step_commands_by_rollout "
        "ON deploygate_step_commands (rollout_id, number)"
    )


def read_commands(connection: DatabaseConnection, rollout_id: RolloutId) -> tuple[StepCommand, ...]:
    """Those of one rollout, the oldest first."""
    rows = connection.rows(
        "SELECT * FROM deploygate_step_commands WHERE rollout_id = :rollout_id ORDER BY number",
        rollout_id=rollout_id,
    )
    return tuple(
        StepCommand(
            rollout_id=RolloutId(row["rollout_id"]),
            environment=EnvironmentName(row["environment"]),
            percent=row["percent"],
            kind=CommandKind(row["kind"]),
            actor=actor_from(row["actor"]),
            reason=row["reason"],
            at=datetime.fromisoformat(row["at"]),
        )
        for row in rows
    )


def write_command(connection: DatabaseConnection, command: StepCommand, reason: str) -> None:
    """Add ``command`` with its redacted ``reason``."""
    connection.insert(
        "deploygate_step_commands",
        rollout_id=command.rollout_id,
        environment=command.environment,
        percent=command.percent,
        kind=command.kind.value,
        actor=actor_text(command.actor),
        reason=reason,
        at=time_text(command.at),
    )
