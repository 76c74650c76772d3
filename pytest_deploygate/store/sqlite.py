"""SQLite with durable commits: a record for one machine.

It uses a write-ahead log, synchronous FULL, transactions that take the write lock at once, and a file that only its
owner can read.
"""

import contextlib
import os
import sqlite3
from collections.abc import Generator, Mapping
from pathlib import Path

from pytest_deploygate.core.errors import StoreError
from pytest_deploygate.store import database, schema
from pytest_deploygate.store.database import Database, DatabaseConnection, Dialect
from pytest_deploygate.store.store_errors import translate_errors
from pytest_deploygate.system.private_folder import make_private_folder

SMALLEST_BYTES = 512
"""Smallest SQLite page (https://www.sqlite.org/fileformat.html, 1.3.2). SQLite takes a shorter file for a new one."""
CHECKED_BYTES = 16_000_000
"""Files up to this size are checked completely when opened (about 10 ms); larger ones as they are read."""

DIALECT = Dialect(
    # A transaction that begins with a read fails at its first write if another writer came in between.
    begin="BEGIN IMMEDIATE",
    counter="INTEGER",
    lock_rows="",
    has_table="SELECT 1 AS found FROM sqlite_master WHERE type = 'table' AND name = :name",
    has_named_values=True,
)


class SqliteDatabase(Database):
    """A database in one file."""

    def __init__(self, path: Path) -> None:
        super().__init__(str(path), DIALECT)
        self._path = path

    def _connect(self) -> DatabaseConnection:
        return connection_to(self._path)


def open_sqlite(path: Path) -> SqliteDatabase:
    """Open the database in the file ``path`` (absolute); create or migrate it.

    Raises:
        StoreError: it cannot be read or written, is damaged, or a newer version wrote it.
    """
    with translate_errors(str(path)):
        if not path.exists():
            _create(path)
        _check_file(path)
        found = SqliteDatabase(path)
        with _close_on_failure(found):
            with found.open_connection() as connection:
                is_current = schema.is_current(connection)
                if path.stat().st_size <= CHECKED_BYTES:
                    _check_whole(connection, path)
            if not is_current:
                with found.open_transaction() as connection:
                    schema.migrate(connection)
        return found


@contextlib.contextmanager
def _close_on_failure(found: Database) -> Generator[None]:
    try:
        yield
    except BaseException:
        found.close()
        raise


def connection_to(place: Path | str) -> DatabaseConnection:
    """Open a connection to the file ``place``, or to ``:memory:``."""
    raw = sqlite3.connect(
        place, timeout=database.WAIT_MS / 1000, isolation_level=None, check_same_thread=False
    )
    try:
        raw.row_factory = _as_mapping
        raw.execute("PRAGMA journal_mode = WAL")
        raw.execute("PRAGMA synchronous = FULL")
        raw.execute("PRAGMA foreign_keys = ON")
    except BaseException:
        raw.close()
        raise
    return DatabaseConnection(raw, raw.execute, DIALECT)


def _as_mapping(cursor: sqlite3.Cursor, cells: tuple[object, ...]) -> Mapping[str, object]:
    return {column[0]: cell for column, cell in zip(cursor.description, cells, strict=True)}


def _create(path: Path) -> None:
    """Create the file under another name and link it complete to its path: an empty file then always means damage."""
    is_new = not path.parent.exists()
    make_private_folder(path.parent)
    if is_new:  # the record must not get into version control or into the source archive
        (path.parent / ".gitignore").write_text("*\n")
    draft = path.with_name(f".{path.name}.{os.urandom(16).hex()}")
    os.close(os.open(draft, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
    try:
        # Closing the last connection moves the write-ahead log into the file; only then is it complete.
        with (
            contextlib.closing(SqliteDatabase(draft)) as made,
            made.open_transaction() as connection,
        ):
            schema.migrate(connection)
        try:
            os.link(draft, path)
        except FileExistsError:
            return  # another process created it first; its file is equivalent
        # Without this, a power failure could remove the new name, and with it the journal.
        descriptor = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    finally:
        for leftover in (draft, Path(f"{draft}-wal"), Path(f"{draft}-shm")):
            leftover.unlink(missing_ok=True)


def _check_file(path: Path) -> None:
    """Raise StoreError for a file that SQLite would treat as a new database; remove access for other users."""
    status = path.stat()
    if status.st_size < SMALLEST_BYTES:
        raise StoreError(
            f"the record in {path} was cut off: {status.st_size} bytes are left",
            hint="restore it from a backup, or move it away; 'deploygate recover' then works from the labels "
            "of the service",
        )
    if status.st_mode & 0o077 and status.st_uid == os.geteuid():
        path.chmod(0o600)


def _check_whole(connection: DatabaseConnection, path: Path) -> None:
    found = connection.row("PRAGMA integrity_check(1)") or {}
    told = str(found.get("integrity_check", "no answer"))
    if told != "ok":
        raise StoreError(
            f"the record in {path} is damaged: {told.splitlines()[0]}",
            hint="move the file away (keep it); 'deploygate status' and 'deploygate recover' then work from "
            "the labels of the service",
        )
