"""Reading the record: the database behind it, and what is asked of rollouts, journals and backups.

Reads are single statements, so each sees one moment.
"""

from collections.abc import Callable, Generator
from contextlib import contextmanager
from datetime import datetime
from operator import itemgetter
from pathlib import Path
from typing import Self

from sqlalchemy import ColumnElement, Connection, Engine, Select, select

from pytest_deploygate.core.errors import StoreError
from pytest_deploygate.core.record import JournalEntry, RolloutRecord
from pytest_deploygate.core.release import Backup
from pytest_deploygate.core.rollout import State
from pytest_deploygate.core.values import (
    BackupId,
    EnvironmentName,
    RevisionName,
    RolloutId,
)
from pytest_deploygate.ports import Clock
from pytest_deploygate.store import rows
from pytest_deploygate.store.failures import explained
from pytest_deploygate.store.leases import LeaseEvent
from pytest_deploygate.store.schema import (
    BACKUPS,
    JOURNAL,
    LEASE_EVENTS,
    META,
    ROLLOUTS,
)

Cleaner = Callable[[str], str]
"""Takes out of a text what must not be kept."""


class Ledger:
    """The reading half of :class:`pytest_deploygate.store.sql.SqlStore`, and its transactions."""

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

    # Rollouts and their journals

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
        ended = [State.PROMOTED.value, State.ROLLED_BACK.value]
        # Two statements, since a database that is asked for either walks through all of the environment.
        words = [
            word
            for word in (
                self._newest_row(
                    ROLLOUTS.c.environment == environment,
                    ROLLOUTS.c.candidate == revision,
                    ROLLOUTS.c.state.in_(ended),
                ),
                self._newest_row(
                    ROLLOUTS.c.environment == environment,
                    ROLLOUTS.c.serving == revision,
                    ROLLOUTS.c.state == State.PROMOTED.value,
                ),
            )
            if word is not None
        ]
        return bool(words) and max(words, key=itemgetter(0))[1].state is State.PROMOTED

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

    # Backups and leases

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

    def _all(self, query: Select[rows.Cells]) -> tuple[RolloutRecord, ...]:
        with self._read() as connection:
            return tuple(rows.record_from(row) for row in connection.execute(query))

    def _first(self, query: Select[rows.Cells]) -> RolloutRecord | None:
        found = self._all(query)
        return found[0] if found else None

    def _newest(self, *conditions: ColumnElement[bool]) -> RolloutRecord | None:
        found = self._newest_row(*conditions)
        return found[1] if found is not None else None

    def _newest_row(self, *conditions: ColumnElement[bool]) -> tuple[int, RolloutRecord] | None:
        """Number and record of the newest rollout that fulfils all conditions."""
        query = select(ROLLOUTS).where(*conditions).order_by(ROLLOUTS.c.number.desc()).limit(1)
        with self._read() as connection:
            row = connection.execute(query).one_or_none()
        return (int(row.number), rows.record_from(row)) if row is not None else None


def _identity(path: Path | None) -> tuple[int, int] | None:
    """Device and inode of a file, or None where there is none."""
    if path is None:
        return None
    try:
        status = path.stat()
    except OSError:
        return None
    return (status.st_dev, status.st_ino)
