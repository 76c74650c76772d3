"""The record in a SQL database: SQLite for one machine, PostgreSQL for a team, with the same statements (ADR 14).

Every write is one transaction that first locks the only row of ``deploygate_meta``. So there is one writer at a time,
and a lease that a transaction has checked stays ours until the commit. Reads are single statements, so each sees one
consistent state.
"""

from datetime import datetime
from typing import TYPE_CHECKING

from pytest_deploygate.core.errors import JournalDamaged, PolicyRefused, StoreError
from pytest_deploygate.core.identifiers import (
    Actor,
    EnvironmentName,
    RolloutId,
)
from pytest_deploygate.core.notification import Delivery
from pytest_deploygate.core.record import JournalEntry, Lease, RolloutRecord, lease_held_error
from pytest_deploygate.core.redaction import strip_queries
from pytest_deploygate.core.state_machine import State
from pytest_deploygate.core.step_command import StepCommand
from pytest_deploygate.ports import Clock
from pytest_deploygate.store import leases, mapping, record_json, serialization
from pytest_deploygate.store.database import DatabaseConnection
from pytest_deploygate.store.deliveries import read_deliveries, write_delivery
from pytest_deploygate.store.leases import LeaseEventKind
from pytest_deploygate.store.ledger import Cleaner, Ledger
from pytest_deploygate.store.step_commands import read_commands, write_command
from pytest_deploygate.store.url import open_database

if TYPE_CHECKING:
    from pytest_deploygate.core.artifacts import Backup

_LEASES, _ROLLOUTS, _BACKUPS = "deploygate_leases", "deploygate_rollouts", "deploygate_backups"


def open_store(url: str, clock: Clock, clean: Cleaner = str) -> "SqlStore":
    """Open the store at ``url``: ``""`` (``.deploygate/state.db``), ``sqlite:///...`` or ``postgresql+psycopg://...``.

    Missing SQLite files or PostgreSQL tables are created, older ones are migrated. ``clean`` masks known secrets in
    free texts (reasons, notes); queries of URLs are always masked.

    Raises:
        ConfigError: ``url`` is not one of these, or the driver is not installed.
        StoreError: the database cannot be reached, read or written, is damaged, or a newer version wrote it.
    """
    database, path = open_database(url)
    return SqlStore(database, clock, path=path, clean=clean)


def open_memory_store(clock: Clock, clean: Cleaner = str) -> "SqlStore":
    """A store in memory, for an emergency rollback without a usable record (ADR 7)."""
    from pytest_deploygate.store.memory_database import MemoryDatabase

    return SqlStore(MemoryDatabase(), clock, path=None, clean=clean)


class SqlStore(Ledger):
    """Implements :class:`pytest_deploygate.ports.Store`; safe to use from several threads."""

    # Leases

    def acquire_lease(
        self,
        environment: EnvironmentName,
        actor: Actor,
        purpose: str,
        rollout_id: RolloutId,
        ttl_s: int,
    ) -> Lease:
        """Take the lease if it is free. Raises LeaseHeld with the holder's description."""
        with self._write() as connection:
            current = mapping.read_lease(connection, environment)
            if current is not None:
                raise lease_held_error(current)
            return self._grant(connection, environment, actor, purpose, rollout_id, ttl_s)

    def renew_lease(self, lease: Lease) -> Lease:
        """Write a heartbeat. Raises LeaseLost if another holder has the lease."""
        with self._write() as connection:
            current = mapping.require_lease(connection, lease)
            beaten = current._replace(beat=current.beat + 1, beat_at=self._clock.now())
            connection.update(
                _LEASES,
                "environment",
                environment=lease.environment,
                beat=beaten.beat,
                beat_at=serialization.time_text(beaten.beat_at),
            )
            return beaten

    def release_lease(self, lease: Lease) -> None:
        """Release the lease; do nothing if another holder has it."""
        with self._write() as connection:
            connection.run(
                "UPDATE deploygate_leases SET is_held = 0 WHERE environment = :environment AND token = :token",
                environment=lease.environment,
                token=lease.token,
            )

    def take_over(
        self, stale: Lease, actor: Actor, purpose: str, rollout_id: RolloutId, ttl_s: int
    ) -> Lease:
        """Replace the lease of a dead holder if it is still exactly ``stale``. Raises LeaseHeld otherwise."""
        with self._write() as connection:
            # A heartbeat since ``stale`` was read means that the holder lives.
            current = mapping.read_lease(connection, stale.environment)
            if current is None or not leases.is_same(current, stale):
                raise leases.lease_moved_error(stale.environment, current)
            self._note(connection, LeaseEventKind.TAKEN_OVER, current, actor, purpose)
            return self._grant(connection, stale.environment, actor, purpose, rollout_id, ttl_s)

    def break_lease(self, environment: EnvironmentName, actor: Actor, reason: str) -> Lease | None:
        """Break the lease, if there is one, and record who did it and why; return it."""
        with self._write() as connection:
            current = mapping.read_lease(connection, environment)
            if current is not None:
                self._note(connection, LeaseEventKind.BROKEN, current, actor, reason)
                connection.update(_LEASES, "environment", environment=environment, is_held=0)
            return current

    # Rollouts and their journals

    def begin(self, record: RolloutRecord, lease: Lease) -> None:
        """Record a new rollout. Raises LeaseLost if the lease is not ours."""
        with self._write() as connection:
            mapping.require_lease(connection, lease)
            mapping.require_environment(record.environment, lease)
            if mapping.rollout_row(connection, record.rollout_id) is not None:
                raise StoreError(
                    f"the rollout {record.rollout_id} is recorded already", hint="this is a bug"
                )
            cells = mapping.rollout_cells(self._redact_record(record))
            connection.insert(_ROLLOUTS, entries=0, head=serialization.CHAIN_START, **cells)

    def append(self, rollout_id: RolloutId, entry: JournalEntry, lease: Lease) -> None:
        """Append to the journal; ``entry.sequence`` must follow the last one. Raises LeaseLost, JournalDamaged.

        The last entry is accepted again, so that a caller may repeat a write whose answer was lost.
        """
        with self._write() as connection:
            mapping.require_lease(connection, lease)
            row = mapping.rollout_row(connection, rollout_id)
            if row is None:
                raise mapping.unknown_rollout_error(rollout_id)
            mapping.require_environment(EnvironmentName(row["environment"]), lease)
            body = serialization.entry_body(serialization.clean_entry(entry, self._redact_text))
            if (
                entry.sequence == row["entries"]
                and mapping.last_body(connection, rollout_id) == body
            ):
                return
            if entry.sequence != row["entries"] + 1:
                raise JournalDamaged(
                    f"entry {entry.sequence} does not follow entry {row['entries']} of the journal of "
                    f"rollout {rollout_id}",
                    hint=f"somebody else acted: 'deploygate show {rollout_id}'",
                )
            seal = serialization.entry_hash(row["head"], rollout_id, entry.sequence, body)
            connection.insert(
                "deploygate_journal",
                rollout_id=rollout_id,
                sequence=entry.sequence,
                body=body,
                hash=seal,
            )
            connection.update(
                _ROLLOUTS, "rollout_id", rollout_id=rollout_id, entries=entry.sequence, head=seal
            )

    def save(self, record: RolloutRecord, lease: Lease | None) -> None:
        """Write the record; ``lease`` is None only for rollouts that an unlock ended.

        Raises:
            LeaseLost: the lease is not ours, or ``lease`` is None and another holder has one for this rollout.
        """
        with self._write() as connection:
            if lease is not None:
                mapping.require_lease(connection, lease)
                mapping.require_environment(record.environment, lease)
            else:
                current = mapping.read_lease(connection, record.environment)
                if current is not None and current.rollout_id == record.rollout_id:
                    raise leases.lease_lost_error(current, current)
            row = mapping.rollout_row(connection, record.rollout_id)
            if row is None:
                raise mapping.unknown_rollout_error(record.rollout_id)
            connection.update(
                _ROLLOUTS, "rollout_id", **mapping.rollout_cells(self._redact_record(record))
            )

    # Backups

    def save_backup(self, environment: EnvironmentName, backup: "Backup", at: datetime) -> None:
        """Record a backup; the same identifier replaces an earlier one."""
        cells: dict[str, str | int | None] = {
            "identifier": backup.identifier,
            "environment": environment,
            "at": serialization.time_text(at),
            "revision": backup.revision,
            "path": backup.path,
            "sha256": backup.sha256,
            "size_bytes": backup.size_bytes,
            "settings": backup.settings,
        }
        with self._write() as connection:
            if connection.update(_BACKUPS, "identifier", **cells) == 0:
                connection.insert(_BACKUPS, **cells)

    # Notifications

    def deliveries(self, limit: int) -> tuple[Delivery, ...]:
        """What became of the latest notifications, the newest rollout first."""
        with self._database.open_connection() as connection:
            return read_deliveries(connection, limit)

    def save_delivery(self, delivery: Delivery) -> None:
        """Write what became of one notification."""
        with self._write() as connection:
            write_delivery(connection, delivery)

    # Commands of operators at steps

    def add_step_command(self, command: StepCommand) -> None:
        """Record a command if the rollout is at that step and holds the lease. Raises PolicyRefused otherwise."""
        with self._write() as connection:
            row = mapping.rollout_row(connection, command.rollout_id)
            if row is None:
                raise mapping.unknown_rollout_error(command.rollout_id)
            record, lease = (
                mapping.record_from(row),
                mapping.read_lease(connection, command.environment),
            )
            if (record.state, record.step_percent) != (State.STEPPING, command.percent):
                raise PolicyRefused(
                    f"rollout {command.rollout_id} is not at {command.percent} % any more",
                    hint=f"see: deploygate status {command.environment}",
                )
            is_left = lease is None and record.detached_until is not None
            is_carried = lease is not None and lease.rollout_id == command.rollout_id
            if not (is_left or is_carried):
                raise PolicyRefused(
                    f"nobody carries rollout {command.rollout_id} on: its lease is not held",
                    hint=f"end it: deploygate recover {command.environment}",
                )
            write_command(connection, command, self._redact_text(command.reason))

    def step_commands(self, rollout_id: RolloutId) -> tuple[StepCommand, ...]:
        """Commands given at steps of one rollout, the oldest first."""
        with self._database.open_connection() as connection:
            return read_commands(connection, rollout_id)

    # Within

    def _grant(
        self,
        connection: DatabaseConnection,
        environment: EnvironmentName,
        actor: Actor,
        purpose: str,
        rollout_id: RolloutId,
        ttl_s: int,
    ) -> Lease:
        now = self._clock.now()
        before = connection.row(
            "SELECT token FROM deploygate_leases WHERE environment = :environment",
            environment=environment,
        )
        # The row stays when a lease is released, so tokens only grow: an old holder can never match a new lease.
        lease = Lease(
            environment=environment,
            token=(before["token"] if before is not None else 0) + 1,
            actor=actor,
            purpose=purpose,
            rollout_id=rollout_id,
            since=now,
            beat=0,
            ttl_s=ttl_s,
            beat_at=now,
        )
        cells: dict[str, str | int | None] = {
            "environment": environment,
            "token": lease.token,
            "is_held": 1,
            "actor": serialization.actor_text(actor),
            "purpose": purpose,
            "rollout_id": rollout_id,
            "since": serialization.time_text(now),
            "beat": 0,
            "beat_at": serialization.time_text(now),
            "ttl_s": ttl_s,
        }
        if before is None:
            connection.insert(_LEASES, **cells)
        else:
            connection.update(_LEASES, "environment", **cells)
        return lease

    def _note(
        self,
        connection: DatabaseConnection,
        kind: LeaseEventKind,
        old: Lease,
        actor: Actor,
        reason: str,
    ) -> None:
        connection.insert(
            "deploygate_lease_events",
            environment=old.environment,
            at=serialization.time_text(self._clock.now()),
            kind=kind.value,
            actor=serialization.actor_text(actor),
            reason=self._redact_text(reason),
            token=old.token,
            rollout_id=old.rollout_id,
        )

    def _redact_record(self, record: RolloutRecord) -> RolloutRecord:
        return record_json.clean_record(record, self._redact_text)

    def _redact_text(self, text: str) -> str:
        return strip_queries(self._clean(text))
