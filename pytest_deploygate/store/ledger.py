"""Reads the record: queries of leases, rollouts, journals and backups.

Reads are single statements, so each sees one consistent state.
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
from pytest_deploygate.store.database import Database, DatabaseConnection
from pytest_deploygate.store.leases import LeaseEvent

if TYPE_CHECKING:
    from pytest_deploygate.core.artifacts import Backup

Cleaner = Callable[[str], str]
"""Masks in a text what must not be stored."""


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
        """Id of this record; only copies of it have the same one."""
        return self._lineage

    @property
    def place(self) -> str:
        """Location of the record, for display."""
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
        """The lease, if somebody holds it."""
        with self._database.open_connection() as connection:
            return mapping.read_lease(connection, environment)

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
        """All entries in order. Raises JournalDamaged if the journal is incomplete or changed."""
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
        """Rollouts that have not ended, oldest first, including stranded ones."""
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
        """Whether a rollout ended with that revision serving or an operator adopted it, and none rolled it back since.

        A PROMOTED rollout with it as candidate, or after which it served, is a good verdict; a ROLLED_BACK rollout with
        it as candidate is a bad one. The newest verdict counts.
        """
        # Two statements, because for one with OR the database scans all rollouts of the environment.
        verdicts = [
            verdict
            for verdict in (
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
            if verdict is not None
        ]
        return bool(verdicts) and max(verdicts, key=itemgetter(0))[1].state is State.PROMOTED

    def is_known_bad(self, environment: EnvironmentName, digest: str) -> RolloutRecord | None:
        """The rollout that rolled this package digest back, if the latest verdict on the digest is bad."""
        if not digest:
            return None
        verdict = self._find_newest(
            "digest = :digest AND state IN (:promoted, :rolled_back)",
            environment=environment,
            digest=digest,
            **_ENDED,
        )
        if verdict is None or verdict[1].state is not State.ROLLED_BACK:
            return None
        return verdict[1]

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
    def _write(self) -> Generator[DatabaseConnection]:
        self._require_file()
        with self._database.open_transaction() as connection:
            if _lineage_of(connection, connection.dialect.lock_rows) != self._lineage:
                raise StoreError(
                    f"the record in {self.place} was replaced by another one during this run",
                    hint="restore the record that was there when this run started",
                )
            yield connection

    def _require_file(self) -> None:
        """Refuse to write if the file was deleted or replaced: SQLite would write to the deleted file, and lose it."""
        if self._path is not None and _identity(self._path) != self._file:
            raise StoreError(
                f"the record in {self.place} was deleted or replaced during this run",
                hint="restore the file; 'deploygate recover' then ends the rollout of this run",
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
"""The states that are a verdict on a candidate."""


def _lineage_of(connection: DatabaseConnection, lock: str = "") -> str:
    row = connection.row(f"SELECT lineage FROM deploygate_meta{lock}")  # noqa: S608 # text of ours
    return str(row["lineage"]) if row is not None else ""


def _identity(path: Path | None) -> tuple[int, int] | None:
    """Device and inode of a file; None if there is no file."""
    if path is None:
        return None
    try:
        status = path.stat()
    except OSError:
        return None
    return (status.st_dev, status.st_ino)
