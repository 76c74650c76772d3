"""Database engines, made so that what was committed stays committed.

SQLite: write-ahead log, synchronous FULL, transactions that take the write lock at once, a file that only its
owner may read. PostgreSQL: psycopg 3, deadlines on connecting, on locks and on idle transactions, so that a
process that was stopped in the middle does not stop all others.
"""

import os
import sqlite3
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError
from sqlalchemy.pool import Pool, StaticPool

from pytest_deploygate.core.errors import ConfigError, StoreError
from pytest_deploygate.store import schema
from pytest_deploygate.store.failures import explained

DEFAULT_URL = "sqlite:///.deploygate/state.db"
WAIT_MS = 5_000
"""How long a write waits for another writer; longer than any transaction here, shorter than a CI's patience."""
CONNECT_S = 5
SMALLEST_BYTES = 512
"""Smallest page of SQLite (https://www.sqlite.org/fileformat.html, 1.3.2); it takes shorter files for new ones."""
CHECKED_BYTES = 16_000_000
"""SQLite files up to this size are checked whole when opened (about 10 ms); larger ones as they are read."""

_URL_HINT = (
    "set 'state' to nothing, to 'sqlite:///path/to/state.db' or to "
    "'postgresql+psycopg://user@host/database'"
)


def parse_url(text: str) -> URL:
    """``text`` as a database URL; empty means the default, ``postgresql:`` means psycopg 3.

    Raises:
        ConfigError: not a URL, another database, or SQLite without a file.
    """
    try:
        url = make_url(text or DEFAULT_URL)
    except (ArgumentError, ValueError) as error:
        raise ConfigError("'state' is not a database URL", hint=_URL_HINT) from error
    if url.drivername in {"postgresql", "postgres"}:
        url = url.set(drivername="postgresql+psycopg")
    if url.drivername not in {"sqlite", "postgresql+psycopg"}:
        raise ConfigError(
            f"'state' names a database that is not known: {url.drivername}", hint=_URL_HINT
        )
    if url.drivername == "sqlite" and (not url.database or url.database == ":memory:"):
        raise ConfigError(
            "'state' names no file, so nothing would outlive the process", hint=_URL_HINT
        )
    return url


def place_of(url: URL) -> str:
    """The URL as it may be shown: without the password and the options."""
    if url.drivername == "sqlite":
        return str(url.database)
    return url.set(query={}).render_as_string(hide_password=True)


def open_engine(url: URL) -> Engine:
    """A migrated database behind ``url``.

    Raises:
        StoreError: it cannot be reached, read or written, or a newer version wrote it.
        ConfigError: psycopg is not installed.
    """
    return _open_sqlite(url) if url.drivername == "sqlite" else _open_postgresql(url)


def open_memory_engine() -> Engine:
    """A database in memory, one connection for all threads, gone when it is disposed of."""
    engine = _sqlite_engine(URL.create("sqlite"), poolclass=StaticPool)
    with engine.execution_options(deploygate_writes=True).begin() as connection:
        schema.migrate(connection)
    return engine


def _open_postgresql(url: URL) -> Engine:
    try:
        engine = create_engine(
            url, connect_args={"connect_timeout": CONNECT_S}, pool_pre_ping=True, pool_size=2
        )
    except (ImportError, NoSuchModuleError) as error:
        raise ConfigError(
            "'state' names PostgreSQL, but its driver is not installed",
            hint="pip install 'pytest-deploygate[postgresql]'",
        ) from error
    except TypeError as error:
        raise ConfigError("'state' has an option that is not known", hint=_URL_HINT) from error

    def prepare(connection: object, _record: object) -> None:
        cursor = connection.cursor()  # type: ignore[attr-defined] # psycopg is optional, so no type
        for setting in (
            f"SET lock_timeout = {WAIT_MS}",
            f"SET statement_timeout = {2 * WAIT_MS}",
            f"SET idle_in_transaction_session_timeout = {2 * WAIT_MS}",
            "SET synchronous_commit = on",
        ):
            cursor.execute(setting)
        cursor.close()
        connection.commit()  # type: ignore[attr-defined] # as above

    event.listen(engine, "connect", prepare)
    with explained(place_of(url)), _disposed_on_failure(engine):
        with engine.begin() as connection:
            schema.migrate(connection)
        return engine


@contextmanager
def _disposed_on_failure(engine: Engine) -> Generator[None]:
    try:
        yield
    except BaseException:
        engine.dispose()
        raise


def _open_sqlite(url: URL) -> Engine:
    path = Path(str(url.database)).absolute()
    with explained(str(path)):
        if not path.exists():
            _create_sqlite(path)
        _check_file(path)
        engine = _sqlite_engine(URL.create("sqlite", database=str(path)))
        with _disposed_on_failure(engine):
            with engine.connect() as connection:
                is_current = schema.is_current(connection)
                if path.stat().st_size <= CHECKED_BYTES:
                    _check_whole(connection, path)
            if not is_current:
                with engine.execution_options(deploygate_writes=True).begin() as connection:
                    schema.migrate(connection)
            return engine


def _sqlite_engine(url: URL, poolclass: type[Pool] | None = None) -> Engine:
    engine = create_engine(
        url,
        connect_args={"timeout": WAIT_MS / 1000, "check_same_thread": False},
        poolclass=poolclass,
    )

    def prepare(connection: sqlite3.Connection, _record: object) -> None:
        # The driver must not begin transactions by itself; see begin() below.
        connection.isolation_level = None
        cursor = connection.cursor()
        cursor.execute("PRAGMA journal_mode = WAL")
        cursor.execute("PRAGMA synchronous = FULL")
        cursor.execute("PRAGMA foreign_keys = ON")
        cursor.close()

    def begin(connection: Connection) -> None:
        # A transaction that reads first and writes later fails when another writer came between.
        writes = connection.get_execution_options().get("deploygate_writes", False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    event.listen(engine, "connect", prepare)
    event.listen(engine, "begin", begin)
    return engine


def _create_sqlite(path: Path) -> None:
    """Make the file beside its place and link it there whole, so that an empty file always means damage."""
    if not path.parent.exists():
        path.parent.mkdir(mode=0o700, parents=True)
        # The record belongs neither into version control nor into what is deployed.
        (path.parent / ".gitignore").write_text("*\n")
    draft = path.with_name(f".{path.name}.{uuid4().hex}")
    os.close(os.open(draft, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
    try:
        engine = _sqlite_engine(URL.create("sqlite", database=str(draft)))
        try:
            with engine.execution_options(deploygate_writes=True).begin() as connection:
                schema.migrate(connection)
        finally:
            engine.dispose()  # the last connection moves the write-ahead log into the file
        try:
            os.link(draft, path)
        except FileExistsError:
            return  # another process was faster; its file is as good
        descriptor = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    finally:
        for leftover in (draft, Path(f"{draft}-wal"), Path(f"{draft}-shm")):
            leftover.unlink(missing_ok=True)


def _check_file(path: Path) -> None:
    """Raise StoreError for what SQLite would take for a new database; keep others from reading the file."""
    status = path.stat()
    if status.st_size < SMALLEST_BYTES:
        raise StoreError(
            f"the record in {path} was cut off: {status.st_size} bytes are left",
            hint="restore it from a backup, or move it away; 'deploygate recover' then works from what the "
            "service itself remembers",
        )
    if status.st_mode & 0o077 and status.st_uid == os.geteuid():
        path.chmod(0o600)


def _check_whole(connection: Connection, path: Path) -> None:
    found = connection.exec_driver_sql("PRAGMA integrity_check(1)").scalar_one()
    if found != "ok":
        raise StoreError(
            f"the record in {path} is damaged: {str(found).splitlines()[0]}",
            hint="move the file away (keep it); 'deploygate status' and 'deploygate recover' then work from "
            "what the service itself remembers",
        )
