"""The record in a SQL database: SQLite for one machine, PostgreSQL for a team, with the same statements.

Every write is one transaction that first locks the one row of ``deploygate_meta``; so writers follow each other,
and a lease checked inside a transaction stays ours until it is committed. Reads are single statements, so each sees
one moment.
"""

from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Self

from sqlalchemy import ColumnElement, Connection, Engine, Select, and_, insert, or_, select, update

from pytest_deploygate.core.errors import JournalDamaged, StoreError
from pytest_deploygate.core.record import JournalEntry, Lease, RolloutRecord
from pytest_deploygate.core.release import Backup
from pytest_deploygate.core.rollout import State
from pytest_deploygate.core.values import (
    Actor,
    BackupId,
    EnvironmentName,
    RevisionName,
    RolloutId,
)
from pytest_deploygate.ports import Clock
from pytest_deploygate.store import codec, leases, rows
from pytest_deploygate.store.engines import open_engine, open_memory_engine, parse_url, place_of
from pytest_deploygate.store.failures import explained
from pytest_deploygate.store.leases import LeaseEvent, LeaseEventKind
from pytest_deploygate.store.schema import (
    BACKUPS,
    JOURNAL,
    LEASE_EVENTS,
    LEASES,
    META,
    ROLLOUTS,
)

Cleaner = Callable[[str], str]
"""Takes out of a text what must not be kept."""


def open_store(url: str, clock: Clock, clean: Cleaner = str) -> "SqlStore":
    """The store behind ``url``: ``""`` (``.deploygate/state.db``), ``sqlite:///...`` or ``postgresql+psycopg://...``.

    A missing SQLite file or missing PostgreSQL tables are made; older ones are migrated. ``clean`` takes known
    secrets out of every text that is free (reasons, facts); what URLs may carry is taken out in any case.

    Raises:
        ConfigError: ``url`` is not one of these, or the driver is not installed.
        StoreError: the database cannot be reached, read or written, is damaged, or a newer version wrote it.
    """
    parsed = parse_url(url)
    path = Path(str(parsed.database)).absolute() if parsed.drivername == "sqlite" else None
    return SqlStore(open_engine(parsed), clock, place=place_of(parsed), path=path, clean=clean)


def open_memory_store(clock: Clock, clean: Cleaner = str) -> "SqlStore":
    """A store that ends with this process, for the emergency in which no other one can be had."""
    return SqlStore(open_memory_engine(), clock, place="memory", path=None, clean=clean)


class SqlStore:
    """Implements :class:`pytest_deploygate.ports.Store`; safe to use from several threads."""

    def __init__(
        self, engine: Engine, clock: Clock, *, place: str, path: Path | None, clean: Cleaner = str
    ) -> None:
        self._engine = engine
        self._writing = engine.execution_options(deploygate_writes=True)
        self._clock = clock
        self._clean = clean
        self._place = place
        self._path = path
        self._file = _identity(path)
        with self._read() as connection:
            self._lineage = str(connection.execute(select(META.c.lineage)).scalar_one())

    @property
    def lineage(self) -> str:
        """Tells this record from every other one, copies aside."""
        return self._lineage

    @property
    def place(self) -> str:
        """Where the record is, as it may be shown."""
        return self._place

    def __enter__(self) -> Self:
        """The store itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Release connections."""
        self.close()

    def close(self) -> None:
        """Release connections."""
        self._engine.dispose()

    # Leases

    def acquire_lease(
        self,
        environment: EnvironmentName,
        actor: Actor,
        purpose: str,
        rollout_id: RolloutId,
        ttl_s: int,
    ) -> Lease:
        """Take the lease if nobody holds it. Raises LockHeld with the holder's description."""
        with self._write() as connection:
            current = rows.held_lease(connection, environment)
            if current is not None:
                raise leases.held(current)
            return self._grant(connection, environment, actor, purpose, rollout_id, ttl_s)

    def lease(self, environment: EnvironmentName) -> Lease | None:
        """Who holds the lease."""
        with self._read() as connection:
            return rows.held_lease(connection, environment)

    def beat(self, lease: Lease) -> Lease:
        """Heartbeat. Raises LeaseLost when the lease is no longer ours."""
        with self._write() as connection:
            current = rows.require_lease(connection, lease)
            beaten = replace(current, beat=current.beat + 1, beat_at=self._clock.now())
            connection.execute(
                update(LEASES)
                .where(LEASES.c.environment == lease.environment)
                .values(beat=beaten.beat, beat_at=codec.time_text(beaten.beat_at))
            )
            return beaten

    def release_lease(self, lease: Lease) -> None:
        """Give the lease back; one that is no longer ours is left alone."""
        with self._write() as connection:
            connection.execute(
                update(LEASES)
                .where(LEASES.c.environment == lease.environment, LEASES.c.token == lease.token)
                .values(is_held=0)
            )

    def take_over(
        self, stale: Lease, actor: Actor, purpose: str, rollout_id: RolloutId, ttl_s: int
    ) -> Lease:
        """Replace a lease found dead, if it is still exactly ``stale``. Raises LockHeld otherwise."""
        with self._write() as connection:
            current = rows.held_lease(connection, stale.environment)
            if current is None or not leases.is_same(current, stale):
                raise leases.moved(stale.environment, current)
            self._note(connection, LeaseEventKind.TAKEN_OVER, current, actor, purpose)
            return self._grant(connection, stale.environment, actor, purpose, rollout_id, ttl_s)

    def break_lease(self, environment: EnvironmentName, actor: Actor, reason: str) -> Lease | None:
        """Remove whatever lease there is, recording who and why; returns it."""
        with self._write() as connection:
            current = rows.held_lease(connection, environment)
            if current is not None:
                self._note(connection, LeaseEventKind.BROKEN, current, actor, reason)
                connection.execute(
                    update(LEASES).where(LEASES.c.environment == environment).values(is_held=0)
                )
            return current

    def lease_events(self, environment: EnvironmentName, limit: int) -> tuple[LeaseEvent, ...]:
        """Takeovers and broken leases, newest first."""
        query = (
            select(LEASE_EVENTS)
            .where(LEASE_EVENTS.c.environment == environment)
            .order_by(LEASE_EVENTS.c.number.desc())
            .limit(limit)
        )
        with self._read() as connection:
            return tuple(rows.event_from(row) for row in connection.execute(query))

    # Rollouts and their journals

    def begin(self, record: RolloutRecord, lease: Lease) -> None:
        """Record a new rollout. Raises LeaseLost when the lease is not ours."""
        with self._write() as connection:
            rows.require_lease(connection, lease)
            rows.require_environment(record.environment, lease)
            if rows.rollout_row(connection, record.rollout_id) is not None:
                raise StoreError(
                    f"the rollout {record.rollout_id} is recorded already", hint="this is a bug"
                )
            connection.execute(
                insert(ROLLOUTS).values(
                    entries=0, head=codec.CHAIN_START, **rows.rollout_cells(self._kept(record))
                )
            )

    def append(self, rollout_id: RolloutId, entry: JournalEntry, lease: Lease) -> None:
        """Add to the journal; ``entry.sequence`` must follow the last. Raises LeaseLost, JournalDamaged.

        The very entry that was written last is accepted again, so that a caller whose answer was lost may repeat.
        """
        with self._write() as connection:
            rows.require_lease(connection, lease)
            row = rows.rollout_row(connection, rollout_id)
            if row is None:
                raise rows.unknown(rollout_id)
            rows.require_environment(EnvironmentName(row.environment), lease)
            body = codec.entry_body(replace(entry, facts=self._cleaned(entry.facts)))
            if entry.sequence == row.entries and rows.last_body(connection, rollout_id) == body:
                return
            if entry.sequence != row.entries + 1:
                raise JournalDamaged(
                    f"entry {entry.sequence} does not follow entry {row.entries} of the journal of "
                    f"rollout {rollout_id}",
                    hint=f"somebody else acted: 'deploygate show {rollout_id}'",
                )
            seal = codec.entry_hash(row.head, rollout_id, entry.sequence, body)
            connection.execute(
                insert(JOURNAL).values(
                    rollout_id=rollout_id, sequence=entry.sequence, body=body, hash=seal
                )
            )
            connection.execute(
                update(ROLLOUTS)
                .where(ROLLOUTS.c.rollout_id == rollout_id)
                .values(entries=entry.sequence, head=seal)
            )

    def journal(self, rollout_id: RolloutId) -> tuple[JournalEntry, ...]:
        """All entries in order. Raises JournalDamaged when they are not whole."""
        query = (
            select(ROLLOUTS.c.entries, ROLLOUTS.c.head, JOURNAL)
            .select_from(ROLLOUTS.outerjoin(JOURNAL, JOURNAL.c.rollout_id == ROLLOUTS.c.rollout_id))
            .where(ROLLOUTS.c.rollout_id == rollout_id)
            .order_by(JOURNAL.c.sequence)
        )
        with self._read() as connection:
            found = connection.execute(query).all()
        if not found:
            raise rows.unknown(rollout_id)
        return rows.chained(rollout_id, found)

    def save(self, record: RolloutRecord, lease: Lease | None) -> None:
        """Write the record's current state; ``lease`` None only for rollouts settled by an unlock.

        Raises:
            LeaseLost: the lease is not ours, or ``lease`` is None and somebody holds one for this very rollout.
        """
        with self._write() as connection:
            if lease is not None:
                rows.require_lease(connection, lease)
                rows.require_environment(record.environment, lease)
            else:
                current = rows.held_lease(connection, record.environment)
                if current is not None and current.rollout_id == record.rollout_id:
                    raise leases.lost(current, current)
            row = rows.rollout_row(connection, record.rollout_id)
            if row is None:
                raise rows.unknown(record.rollout_id)
            connection.execute(
                update(ROLLOUTS)
                .where(ROLLOUTS.c.rollout_id == record.rollout_id)
                .values(**rows.rollout_cells(self._kept(record)))
            )

    # The ledger

    def rollout(self, rollout_id: RolloutId) -> RolloutRecord | None:
        """One rollout by its id."""
        return self._first(select(ROLLOUTS).where(ROLLOUTS.c.rollout_id == rollout_id))

    def open_rollouts(self, environment: EnvironmentName) -> tuple[RolloutRecord, ...]:
        """Rollouts that have not ended, oldest first (stranded ones too)."""
        return self._all(
            select(ROLLOUTS)
            .where(ROLLOUTS.c.environment == environment, ROLLOUTS.c.is_open == 1)
            .order_by(ROLLOUTS.c.number)
        )

    def history(self, environment: EnvironmentName | None, limit: int) -> tuple[RolloutRecord, ...]:
        """Latest rollouts, newest first."""
        query = select(ROLLOUTS).order_by(ROLLOUTS.c.number.desc()).limit(limit)
        if environment is not None:
            query = query.where(ROLLOUTS.c.environment == environment)
        return self._all(query)

    def last_promoted(self, environment: EnvironmentName) -> RolloutRecord | None:
        """The newest rollout whose candidate was promoted."""
        return self._newest(
            ROLLOUTS.c.environment == environment,
            ROLLOUTS.c.state == State.PROMOTED.value,
            ROLLOUTS.c.candidate.is_not(None),
        )

    def is_known_good(self, environment: EnvironmentName, revision: RevisionName) -> bool:
        """Whether a rollout finished on that revision or a person adopted it, and none rolled it back since.

        Good words are PROMOTED rollouts whose candidate it was or that left it serving; a ROLLED_BACK one whose
        candidate it was is the bad word. The newest word counts.
        """
        word = self._newest(
            ROLLOUTS.c.environment == environment,
            or_(
                and_(
                    ROLLOUTS.c.state == State.PROMOTED.value,
                    or_(ROLLOUTS.c.candidate == revision, ROLLOUTS.c.serving == revision),
                ),
                and_(ROLLOUTS.c.state == State.ROLLED_BACK.value, ROLLOUTS.c.candidate == revision),
            ),
        )
        return word is not None and word.state is State.PROMOTED

    def is_known_bad(self, environment: EnvironmentName, digest: str) -> RolloutRecord | None:
        """The rollout that rolled this package digest back, if the latest word on the digest is bad."""
        if not digest:
            return None
        word = self._newest(
            ROLLOUTS.c.environment == environment,
            ROLLOUTS.c.digest == digest,
            ROLLOUTS.c.state.in_([State.PROMOTED.value, State.ROLLED_BACK.value]),
        )
        return word if word is not None and word.state is State.ROLLED_BACK else None

    # Backups

    def save_backup(self, environment: EnvironmentName, backup: Backup, at: datetime) -> None:
        """Remember where a backup lies; the same identifier again replaces what was remembered."""
        cells = {
            "environment": environment,
            "at": codec.time_text(at),
            "revision": backup.revision,
            "path": backup.path,
            "sha256": backup.sha256,
            "size_bytes": backup.size_bytes,
            "settings": backup.settings,
        }
        with self._write() as connection:
            known = connection.execute(
                update(BACKUPS).where(BACKUPS.c.identifier == backup.identifier).values(**cells)
            )
            if known.rowcount == 0:
                connection.execute(insert(BACKUPS).values(identifier=backup.identifier, **cells))

    def backups(self, environment: EnvironmentName) -> tuple[tuple[datetime, Backup], ...]:
        """Backups, newest first."""
        query = (
            select(BACKUPS)
            .where(BACKUPS.c.environment == environment)
            .order_by(BACKUPS.c.at.desc(), BACKUPS.c.number.desc())
        )
        with self._read() as connection:
            found = connection.execute(query).all()
        return tuple((datetime.fromisoformat(row.at), rows.backup_from(row)) for row in found)

    def backup(self, identifier: BackupId) -> Backup | None:
        """One backup."""
        with self._read() as connection:
            row = connection.execute(
                select(BACKUPS).where(BACKUPS.c.identifier == identifier)
            ).one_or_none()
        return rows.backup_from(row) if row is not None else None

    # Transactions

    @contextmanager
    def _read(self) -> Generator[Connection]:
        with explained(self._place), self._engine.connect() as connection:
            yield connection

    @contextmanager
    def _write(self) -> Generator[Connection]:
        self._require_file()
        with explained(self._place), self._writing.begin() as connection:
            lineage = connection.execute(select(META.c.lineage).with_for_update()).scalar_one()
            if lineage != self._lineage:
                raise StoreError(
                    f"the record in {self._place} was replaced by another one during this run",
                    hint="put the record back that was there when this run started",
                )
            yield connection

    def _require_file(self) -> None:
        """SQLite goes on writing to a file that was deleted; what it writes then is kept nowhere."""
        if self._path is not None and _identity(self._path) != self._file:
            raise StoreError(
                f"the record in {self._place} was deleted or replaced during this run",
                hint="put the file back; 'deploygate recover' settles what this run had begun",
            )

    def _grant(
        self,
        connection: Connection,
        environment: EnvironmentName,
        actor: Actor,
        purpose: str,
        rollout_id: RolloutId,
        ttl_s: int,
    ) -> Lease:
        now = self._clock.now()
        before = connection.execute(
            select(LEASES.c.token).where(LEASES.c.environment == environment)
        ).scalar_one_or_none()
        lease = Lease(
            environment=environment,
            token=(before or 0) + 1,
            actor=actor,
            purpose=purpose,
            rollout_id=rollout_id,
            since=now,
            beat=0,
            ttl_s=ttl_s,
            beat_at=now,
        )
        cells = {
            "token": lease.token,
            "is_held": 1,
            "actor": codec.actor_text(actor),
            "purpose": purpose,
            "rollout_id": rollout_id,
            "since": codec.time_text(now),
            "beat": 0,
            "beat_at": codec.time_text(now),
            "ttl_s": ttl_s,
        }
        if before is None:
            connection.execute(insert(LEASES).values(environment=environment, **cells))
        else:
            connection.execute(
                update(LEASES).where(LEASES.c.environment == environment).values(**cells)
            )
        return lease

    def _note(
        self, connection: Connection, kind: LeaseEventKind, old: Lease, actor: Actor, reason: str
    ) -> None:
        connection.execute(
            insert(LEASE_EVENTS).values(
                environment=old.environment,
                at=codec.time_text(self._clock.now()),
                kind=kind.value,
                actor=codec.actor_text(actor),
                reason=codec.redact(self._clean(reason)),
                token=old.token,
                rollout_id=old.rollout_id,
            )
        )

    def _kept(self, record: RolloutRecord) -> RolloutRecord:
        return replace(
            record,
            reason=self._clean(record.reason),
            measurements=self._cleaned(record.measurements),
            facts=self._cleaned(record.facts),
        )

    def _cleaned(self, texts: Mapping[str, str]) -> dict[str, str]:
        return {key: self._clean(text) for key, text in texts.items()}

    def _all(self, query: Select[rows.Cells]) -> tuple[RolloutRecord, ...]:
        with self._read() as connection:
            return tuple(rows.record_from(row) for row in connection.execute(query))

    def _first(self, query: Select[rows.Cells]) -> RolloutRecord | None:
        found = self._all(query)
        return found[0] if found else None

    def _newest(self, *conditions: ColumnElement[bool]) -> RolloutRecord | None:
        return self._first(
            select(ROLLOUTS).where(*conditions).order_by(ROLLOUTS.c.number.desc()).limit(1)
        )


def _identity(path: Path | None) -> tuple[int, int] | None:
    """Device and inode of a file, or None where there is none."""
    if path is None:
        return None
    try:
        status = path.stat()
    except OSError:
        return None
    return (status.st_dev, status.st_ino)
