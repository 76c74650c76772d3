"""Converts rows of the tables to values and back, and checks rows for damage."""

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from pytest_deploygate.core.errors import JournalDamaged, StoreError
from pytest_deploygate.core.identifiers import (
    BackupId,
    Digest,
    EnvironmentName,
    RevisionName,
    RolloutId,
)
from pytest_deploygate.core.record import JournalEntry, Lease, RolloutRecord
from pytest_deploygate.store import leases, record_json, serialization
from pytest_deploygate.store.database import DatabaseConnection, Row
from pytest_deploygate.store.leases import LeaseEvent, LeaseEventKind

if TYPE_CHECKING:
    from pytest_deploygate.core.artifacts import Backup


def read_lease(connection: DatabaseConnection, environment: EnvironmentName) -> Lease | None:
    """The lease of ``environment`` if somebody holds it."""
    row = connection.row(
        "SELECT * FROM deploygate_leases WHERE environment = :environment AND is_held = 1",
        environment=environment,
    )
    if row is None:
        return None
    return Lease(
        environment=environment,
        token=row["token"],
        actor=serialization.actor_from(row["actor"]),
        purpose=row["purpose"],
        rollout_id=RolloutId(row["rollout_id"]),
        since=datetime.fromisoformat(row["since"]),
        beat=row["beat"],
        ttl_s=row["ttl_s"],
        beat_at=datetime.fromisoformat(row["beat_at"]),
    )


def require_lease(connection: DatabaseConnection, lease: Lease) -> Lease:
    """The current lease if it has the token of ``lease``; raises LeaseLost otherwise."""
    current = read_lease(connection, lease.environment)
    if current is None or current.token != lease.token:
        raise leases.lease_lost_error(lease, current)
    return current


def require_environment(environment: EnvironmentName, lease: Lease) -> None:
    """Raise StoreError if ``lease`` is for another environment than the rollout."""
    if environment != lease.environment:
        raise StoreError(
            f"a rollout of the environment {environment} cannot be written under the lease of "
            f"{lease.environment}",
            hint="this is a bug",
        )


def rollout_row(connection: DatabaseConnection, rollout_id: RolloutId) -> Row | None:
    """The row of one rollout."""
    return connection.row(
        "SELECT * FROM deploygate_rollouts WHERE rollout_id = :rollout_id", rollout_id=rollout_id
    )


def rollout_cells(record: RolloutRecord) -> dict[str, str | int | None]:
    """Cells of ``record``; the columns ``entries`` and ``head`` belong to the journal."""
    body = record_json.record_body(record)
    return {**_finding_cells(record), "body": body, "seal": serialization.digest(body)}


def _finding_cells(record: RolloutRecord) -> dict[str, str | int | None]:
    return {
        "rollout_id": record.rollout_id,
        "environment": record.environment,
        "state": record.state.value,
        "is_open": int(record.is_open),
        "candidate": record.candidate,
        "serving": record.serving,
        "digest": record.digest,
    }


def record_from(row: Row) -> RolloutRecord:
    """The record in a row.

    Raises:
        StoreError: the record does not match its seal, or the other columns contradict it.
    """
    if serialization.digest(str(row["body"])) == row["seal"]:
        record = record_json.record_from(row["body"])
        if all(row[name] == value for name, value in _finding_cells(record).items()):
            return record
    raise StoreError(
        f"the record of rollout {row['rollout_id']} is damaged", hint=serialization.HINT_DAMAGED
    )


def last_body(connection: DatabaseConnection, rollout_id: RolloutId) -> str | None:
    """Text of the newest journal entry."""
    row = connection.row(
        "SELECT body FROM deploygate_journal WHERE rollout_id = :rollout_id ORDER BY sequence DESC LIMIT 1",
        rollout_id=rollout_id,
    )
    return row["body"] if row is not None else None


def check_chain(rollout_id: RolloutId, rows: Sequence[Row]) -> tuple[JournalEntry, ...]:
    """Entries from rows of (rollout's ``entries`` and ``head``, entry or NULLs), in order.

    Raises:
        JournalDamaged: an entry is missing, truncated, exchanged or changed.
    """
    entries: list[JournalEntry] = []
    head = serialization.CHAIN_START
    for row in rows:
        if row["sequence"] is None:
            break
        expected = len(entries) + 1
        body = str(row["body"])
        head = serialization.entry_hash(head, rollout_id, expected, body)
        if row["sequence"] != expected or row["hash"] != head:
            raise _journal_damaged_error(rollout_id, f"entry {expected} is missing or was changed")
        entries.append(serialization.entry_from(expected, body))
    if len(entries) != rows[0]["entries"] or head != rows[0]["head"]:
        raise _journal_damaged_error(
            rollout_id, f"it has {len(entries)} entries where {rows[0]['entries']} were written"
        )
    return tuple(entries)


def _journal_damaged_error(rollout_id: RolloutId, what: str) -> JournalDamaged:
    return JournalDamaged(
        f"the journal of rollout {rollout_id} is damaged: {what}", hint=serialization.HINT_DAMAGED
    )


def unknown_rollout_error(rollout_id: RolloutId) -> StoreError:
    """The error for a rollout that is not in the record."""
    return StoreError(
        f"the rollout {rollout_id} is not in the record",
        hint="'deploygate history' lists all rollouts; the record may have been replaced",
    )


def backup_from(row: Row) -> "Backup":
    """The backup in a row."""
    from pytest_deploygate.core.artifacts import Backup  # loaded only for this query

    return Backup(
        identifier=BackupId(row["identifier"]),
        revision=RevisionName(row["revision"]),
        path=row["path"],
        sha256=Digest(row["sha256"]),
        size_bytes=row["size_bytes"],
        settings=row["settings"],
    )


def event_from(row: Row) -> LeaseEvent:
    """The lease event in a row."""
    return LeaseEvent(
        environment=EnvironmentName(row["environment"]),
        at=datetime.fromisoformat(row["at"]),
        kind=LeaseEventKind(row["kind"]),
        actor=serialization.actor_from(row["actor"]),
        reason=row["reason"],
        token=row["token"],
        rollout_id=RolloutId(row["rollout_id"]),
    )
