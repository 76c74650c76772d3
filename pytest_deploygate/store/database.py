"""Connections, statements and transactions for SQLite and PostgreSQL (ADR 14).

Statements are SQL that both understand, with ``:name`` for values. Their differences are in a :class:`Dialect`. Outside
:meth:`Database.open_transaction` each statement is its own transaction.
"""

import contextlib
import functools
import re
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Generator, Mapping
from typing import Any, NamedTuple, Protocol, TypeAlias

from pytest_deploygate.store.store_errors import translate_errors

WAIT_MS = 5_000
"""How long a write waits for another writer; longer than any transaction here, shorter than timeouts of CI."""

Row: TypeAlias = Mapping[str, Any]
"""Cells of a row by column name."""
Cells: TypeAlias = Mapping[str, str | int | None]
"""Cells to write."""

_VALUE = re.compile(r":([a-z_][a-z0-9_]*)")


class Dialect(NamedTuple):
    """SQL that differs between the databases.

    ``counter`` is the type of a column that numbers rows. ``lock_rows`` makes a SELECT lock its rows for writers.
    ``has_table`` queries whether a table exists. ``lock_tables`` lets one process at a time create tables.
    """

    begin: str
    counter: str
    lock_rows: str
    has_table: str
    has_named_values: bool
    """Whether the driver accepts ``:name``; otherwise it needs ``%(name)s``."""
    lock_tables: str = ""


class Cursor(Protocol):
    """Result of a statement."""

    @property
    def rowcount(self) -> int: ...  # noqa: D102 # as in PEP 249
    def fetchall(self) -> list[Any]: ...  # noqa: D102 # as in PEP 249


class RawConnection(Protocol):
    """The part of PEP 249 that both drivers have and this package uses."""

    def rollback(self) -> None: ...  # noqa: D102 # as in PEP 249
    def close(self) -> None: ...  # noqa: D102 # as in PEP 249


class DatabaseConnection:
    """One connection. ``raw`` is the driver's: its rows are mappings, and it begins no transaction by itself."""

    def __init__(
        self, raw: RawConnection, execute: Callable[[str, Cells], Cursor], dialect: Dialect
    ) -> None:
        self.raw = raw
        self.dialect = dialect
        self._execute = execute

    def rows(self, statement: str, **values: str | int | None) -> list[Row]:
        """Rows that a SELECT finds."""
        return self._run(statement, values).fetchall()

    def row(self, statement: str, **values: str | int | None) -> Row | None:
        """The first row that a SELECT finds, or None."""
        return next(iter(self.rows(statement, **values)), None)

    def run(self, statement: str, **values: str | int | None) -> int:
        """Execute a statement; return the number of changed rows."""
        return self._run(statement, values).rowcount

    def insert(self, table: str, **cells: str | int | None) -> None:
        """Add a row."""
        values = ", ".join(f":{name}" for name in cells)
        self.run(f"INSERT INTO {table} ({', '.join(cells)}) VALUES ({values})", **cells)  # noqa: S608 # names are ours

    def update(self, table: str, key: str, **cells: str | int | None) -> int:
        """Update the rows whose column ``key`` has its value in ``cells``; return their number."""
        changes = ", ".join(f"{name} = :{name}" for name in cells if name != key)
        return self.run(f"UPDATE {table} SET {changes} WHERE {key} = :{key}", **cells)  # noqa: S608 # names are ours

    def _run(self, statement: str, values: Cells) -> Cursor:
        told = statement if self.dialect.has_named_values else _to_percent_style(statement)
        return self._execute(told, values)


@functools.lru_cache
def _to_percent_style(statement: str) -> str:
    return _VALUE.sub(r"%(\1)s", statement)


class Database(ABC):
    """Pool of connections: a released connection is used again, a broken one is closed.

    ``place`` is its location, for display. It is safe to use from several threads: each has its own connection.
    """

    def __init__(self, place: str, dialect: Dialect) -> None:
        self.place = place
        self.dialect = dialect
        self._idle: deque[DatabaseConnection] = deque()
        self._is_closed = False

    @abstractmethod
    def _connect(self) -> DatabaseConnection:
        """Open a new connection."""

    def _is_usable(self, connection: DatabaseConnection) -> bool:
        """Whether an idle connection still works."""
        del connection
        return True

    @contextlib.contextmanager
    def open_connection(self) -> Generator[DatabaseConnection]:
        """Borrow a connection for single statements, each of which sees one consistent state.

        Raises:
            StoreError: the database cannot be reached, read or written.
        """
        with translate_errors(self.place), self._borrow_connection() as connection:
            yield connection

    @contextlib.contextmanager
    def open_transaction(self) -> Generator[DatabaseConnection]:
        """Run a transaction: when the block ends, all of it is durable, or nothing has changed.

        Raises:
            StoreError: the database cannot be reached, read or written.
        """
        with self.open_connection() as connection:
            connection.run(self.dialect.begin)
            yield connection
            connection.run("COMMIT")

    def close(self) -> None:
        """Close all connections; one in use is closed when it is released."""
        self._is_closed = True
        while self._idle:
            self._idle.pop().raw.close()

    @contextlib.contextmanager
    def _borrow_connection(self) -> Generator[DatabaseConnection]:
        connection = self._take_connection()
        try:
            yield connection
        except BaseException:
            self._undo_and_keep(connection)
            raise
        self._keep(connection)

    def _take_connection(self) -> DatabaseConnection:
        with contextlib.suppress(IndexError):  # no idle connection is left
            while True:
                connection = self._idle.pop()
                if self._is_usable(connection):
                    return connection
                connection.raw.close()
        return self._connect()

    def _undo_and_keep(self, connection: DatabaseConnection) -> None:
        """Roll back the transaction of a failed block; if that fails, close the connection, which rolls it back."""
        try:
            connection.raw.rollback()
        except Exception:  # noqa: BLE001 # the first error is the one to report
            connection.raw.close()
        else:
            self._keep(connection)

    def _keep(self, connection: DatabaseConnection) -> None:
        self._idle.append(connection)
        if self._is_closed:
            self.close()
