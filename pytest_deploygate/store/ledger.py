"""Reading the record: the database behind it, and what is asked of rollouts, journals and backups.

Reads are single statements, so each sees one moment.
"""

from collections.abc import Callable, Generator
from contextlib import contextmanager
from datetime import datetime
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, Self

from pytest_deploygate.core.errors import StoreError
from pytest_deploygate.core.identifiers import (
    BackupId,
    EnvironmentName,
    RevisionName,
    RolloutId,
)
from pytest_deploygate.core.record import JournalEntry, Lease, RolloutRecord
from pytest_deploygate.core.state_machine import State
from pytest_deploygate.ports import Clock
from pytest_deploygate.store import mapping
from pytest_deploygate.store.database import Connection, Database
from pytest_deploygate.store.leases import LeaseEvent

if TYPE_CHECKING:
    from pytest_deploygate.core.artifacts import Backup

Cleaner = Callable[[str], str]
"""Takes out of a text what must not be kept."""


class Ledger:
    """The reading half of :class:`pytest_deploygate.store.sql.SqlStore`, and its transactions."""

    def __init__(
        self, database: Database, clock: Clock, *, path: Path | None, clean: Cleaner = str
    ) -> None:
        self._database = database
        self._clock = clock
        self._clean = clean
        self._path = path
        self._file = _identity(path)
        with database.open_connection() as connection:
            self._lineage = _lineage_of(connection)

    @property
    def lineage(self) -> str:
        """Tells this record from every other one, copies aside."""
        return self._lineage

    @property
    def place(self) -> str:
        """Where the record is, as it may be shown."""
        return self._database.place

    def __enter__(self) -> Self:
        """The store itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Release connections."""
        self.close()

    def close(self) -> None:
        """Release connections."""
        self._database.close()

    # Leases

    def lease(self, environment: EnvironmentName) -> Lease | None:
        """Who holds the lease."""
        with self._database.open_connection() as connection:
            return mapping.held_lease(connection, environment)

    def lease_events(self, environment: EnvironmentName, limit: int) -> tuple[LeaseEvent, ...]:
        """Takeovers and broken leases, newest first."""
        with self._database.open_connection() as connection:
            found = connection.rows(
                "SELECT * FROM deploygate_lease_events WHERE environment = :environment "
                "ORDER BY number DESC LIMIT :count",
                environment=environment,
                count=limit,
            )
        return tuple(mapping.event_from(row) for row in found)

    # Rollouts and their journals

    def journal(self, rollout_id: RolloutId) -> tuple[JournalEntry, ...]:
        """All entries in order. Raises JournalDamaged when they are not whole."""
        with self._database.open_connection() as connection:
            found = connection.rows(
                "SELECT r.entries, r.head, j.sequence, j.body, j.hash FROM deploygate_rollouts AS r "
                "LEFT JOIN deploygate_journal AS j ON j.rollout_id = r.rollout_id "
                "WHERE r.rollout_id = :rollout_id ORDER BY j.sequence",
                rollout_id=rollout_id,
            )
        if not found:
            raise mapping.unknown_rollout_error(rollout_id)
        return mapping.check_chain(rollout_id, found)

    def rollout(self, rollout_id: RolloutId) -> RolloutRecord | None:
        """One rollout by its id."""
        with self._database.open_connection() as connection:
            row = mapping.rollout_row(connection, rollout_id)
        return mapping.record_from(row) if row is not None else None

    def open_rollouts(self, environment: EnvironmentName) -> tuple[RolloutRecord, ...]:
        """Rollouts that have not ended, oldest first (stranded ones too)."""
        return self._read_rollouts(
            "WHERE environment = :environment AND is_open = 1 ORDER BY number",
            environment=environment,
        )

    def history(self, environment: EnvironmentName | None, limit: int) -> tuple[RolloutRecord, ...]:
        """Latest rollouts, newest first."""
        if environment is None:
            return self._read_rollouts("ORDER BY number DESC LIMIT :count", count=limit)
        return self._read_rollouts(
            "WHERE environment = :environment ORDER BY number DESC LIMIT :count",
            environment=environment,
            count=limit,
        )

    def last_promoted(self, environment: EnvironmentName) -> RolloutRecord | None:
        """The newest rollout whose candidate was promoted."""
        found = self._find_newest(
            "candidate IS NOT NULL AND state = :state",
            environment=environment,
            state=State.PROMOTED.value,
        )
        return found[1] if found is not None else None

    def promotion_of(
        self, environment: EnvironmentName, revision: RevisionName
    ) -> RolloutRecord | None:
        """The newest rollout that promoted ``revision``."""
        found = self._find_newest(
            "candidate = :candidate AND state = :state",
            environment=environment,
            candidate=revision,
            state=State.PROMOTED.value,
        )
        return found[1] if found is not None else None

    def is_known_good(self, environment: EnvironmentName, revision: RevisionName) -> bool:
        """Whether a rollout finished on that revision or a person adopted it, and none rolled it back since.

        Good words are PROMOTED rollouts whose candidate it was or that left it serving; a ROLLED_BACK one whose
        candidate it was is the bad word. The newest word counts.
        """
        # Two statements, since a database that is asked for either walks through all of the environment.
        words = [
            word
            for word in (
                self._find_newest(
                    "candidate = :candidate AND state IN (:promoted, :rolled_back)",
                    environment=environment,
                    candidate=revision,
                    **_ENDED,
                ),
                self._find_newest(
                    "serving = :serving AND state = :state",
                    environment=environment,
                    serving=revision,
                    state=State.PROMOTED.value,
                ),
            )
            if word is not None
        ]
        return bool(words) and max(words, key=itemgetter(0))[1].state is State.PROMOTED

    def is_known_bad(self, environment: EnvironmentName, digest: str) -> RolloutRecord | None:
        """The rollout that rolled this package digest back, if the latest word on the digest is bad."""
        if not digest:
            return None
        word = self._find_newest(
            "digest = :digest AND state IN (:promoted, :rolled_back)",
            environment=environment,
            digest=digest,
            **_ENDED,
        )
        return word[1] if word is not None and word[1].state is State.ROLLED_BACK else None

    # Backups

    def backups(self, environment: EnvironmentName) -> "tuple[tuple[datetime, Backup], ...]":
        """Backups, newest first."""
        with self._database.open_connection() as connection:
            found = connection.rows(
                "SELECT * FROM deploygate_backups WHERE environment = :environment ORDER BY at DESC, number DESC",
                environment=environment,
            )
        return tuple((datetime.fromisoformat(row["at"]), mapping.backup_from(row)) for row in found)

    def backup(self, identifier: BackupId) -> "Backup | None":
        """One backup."""
        with self._database.open_connection() as connection:
            row = connection.row(
                "SELECT * FROM deploygate_backups WHERE identifier = :identifier",
                identifier=identifier,
            )
        return mapping.backup_from(row) if row is not None else None

    # Within

    @contextmanager
    def _write(self) -> Generator[Connection]:
        self._require_file()
        with self._database.open_transaction() as connection:
            if _lineage_of(connection, connection.dialect.lock_rows) != self._lineage:
                raise StoreError(
                    f"the record in {self.place} was replaced by another one during this run",
                    hint="put the record back that was there when this run started",
                )
            yield connection

    def _require_file(self) -> None:
        """SQLite goes on writing to a file that was deleted; what it writes then is kept nowhere."""
        if self._path is not None and _identity(self._path) != self._file:
            raise StoreError(
                f"the record in {self.place} was deleted or replaced during this run",
                hint="put the file back; 'deploygate recover' ends what this run had begun",
            )

    def _read_rollouts(self, which: str, **values: str | int) -> tuple[RolloutRecord, ...]:
        with self._database.open_connection() as connection:
            found = connection.rows(f"SELECT * FROM deploygate_rollouts {which}", **values)  # noqa: S608 # text of ours
        return tuple(mapping.record_from(row) for row in found)

    def _find_newest(self, which: str, **values: str) -> tuple[int, RolloutRecord] | None:
        """Number and record of the newest rollout of an environment for which ``which`` holds."""
        with self._database.open_connection() as connection:
            row = connection.row(
                "SELECT * FROM deploygate_rollouts "  # noqa: S608 # text of ours
                f"WHERE environment = :environment AND {which} ORDER BY number DESC LIMIT 1",
                **values,
            )
        return (int(row["number"]), mapping.record_from(row)) if row is not None else None


_ENDED = {"promoted": State.PROMOTED.value, "rolled_back": State.ROLLED_BACK.value}
"""The states that are a word on what was to serve."""


def _lineage_of(connection: Connection, lock: str = "") -> str:
    row = connection.row(f"SELECT lineage FROM deploygate_meta{lock}")  # noqa: S608 # text of ours
    return str(row["lineage"]) if row is not None else ""


def _identity(path: Path | None) -> tuple[int, int] | None:
    """Device and inode of a file, or None where there is none."""
    if path is None:
        return None
    try:
        status = path.stat()
    except OSError:
        return None
    return (status.st_dev, status.st_ino)
