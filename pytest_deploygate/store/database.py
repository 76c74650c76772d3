"""What SQLite and PostgreSQL have in common here: connections that are used again, statements, transactions.

Statements are SQL that both understand, with ``:name`` where a value belongs. What the two say differently is in their
:class:`Dialect`. Outside of :meth:`Database.open_transaction` each statement is a transaction of its own.
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
"""How long a write waits for another writer; longer than any transaction here, shorter than a CI's patience."""

Row: TypeAlias = Mapping[str, Any]
"""The cells of a row by the names of their columns."""
Cells: TypeAlias = Mapping[str, str | int | None]
"""What is written into a row."""

_VALUE = re.compile(r":([a-z_][a-z0-9_]*)")


class Dialect(NamedTuple):
    """What one kind of database says in its own way.

    ``counter`` is the type of a column that counts rows, ``lock_rows`` what makes a SELECT keep other writers away
    from its rows, ``has_table`` asks for a table, ``lock_tables`` lets one process at a time make tables.
    """

    begin: str
    counter: str
    lock_rows: str
    has_table: str
    has_named_values: bool
    """Whether the driver takes ``:name`` as it is; the other one wants ``%(name)s``."""
    lock_tables: str = ""


class Cursor(Protocol):
    """What a driver gives back for a statement."""

    @property
    def rowcount(self) -> int: ...  # noqa: D102 # as in PEP 249
    def fetchall(self) -> list[Any]: ...  # noqa: D102 # as in PEP 249


class RawConnection(Protocol):
    """The part of PEP 249, and of its usual extension ``execute``, that both drivers have."""

    def rollback(self) -> None: ...  # noqa: D102 # as in PEP 249
    def close(self) -> None: ...  # noqa: D102 # as in PEP 249


class Connection:
    """One connection; ``raw`` is the driver's, whose rows are mappings and which begins no transaction by itself."""

    def __init__(
        self, raw: RawConnection, execute: Callable[[str, Cells], Cursor], dialect: Dialect
    ) -> None:
        self.raw = raw
        self.dialect = dialect
        self._execute = execute

    def rows(self, statement: str, **values: str | int | None) -> list[Row]:
        """What a SELECT finds."""
        return self._run(statement, values).fetchall()

    def row(self, statement: str, **values: str | int | None) -> Row | None:
        """The first row of what a SELECT finds."""
        return next(iter(self.rows(statement, **values)), None)

    def run(self, statement: str, **values: str | int | None) -> int:
        """Carry a statement out; returns how many rows it changed."""
        return self._run(statement, values).rowcount

    def insert(self, table: str, **cells: str | int | None) -> None:
        """Add a row."""
        values = ", ".join(f":{name}" for name in cells)
        self.run(f"INSERT INTO {table} ({', '.join(cells)}) VALUES ({values})", **cells)  # noqa: S608 # names are ours

    def update(self, table: str, key: str, **cells: str | int | None) -> int:
        """Change the rows whose column ``key``, one of ``cells``, holds that value; returns how many there were."""
        changes = ", ".join(f"{name} = :{name}" for name in cells if name != key)
        return self.run(f"UPDATE {table} SET {changes} WHERE {key} = :{key}", **cells)  # noqa: S608 # names are ours

    def _run(self, statement: str, values: Cells) -> Cursor:
        told = statement if self.dialect.has_named_values else _to_percent_style(statement)
        return self._execute(told, values)


@functools.lru_cache
def _to_percent_style(statement: str) -> str:
    return _VALUE.sub(r"%(\1)s", statement)


class Database(ABC):
    """Where connections come from; one that is given back is used again, one that broke is thrown away.

    ``place`` is where it is, as it may be shown. Safe to use from several threads: each has a connection for itself.
    """

    def __init__(self, place: str, dialect: Dialect) -> None:
        self.place = place
        self.dialect = dialect
        self._idle: deque[Connection] = deque()
        self._is_closed = False

    @abstractmethod
    def _connect(self) -> Connection:
        """A new connection."""

    def _is_usable(self, connection: Connection) -> bool:
        """Whether an idle connection still leads anywhere."""
        del connection
        return True

    @contextlib.contextmanager
    def open_connection(self) -> Generator[Connection]:
        """A connection for single questions, each of which sees one moment.

        Raises:
            StoreError: the database cannot be reached, read or written.
        """
        with translate_errors(self.place), self._borrow_connection() as connection:
            yield connection

    @contextlib.contextmanager
    def open_transaction(self) -> Generator[Connection]:
        """A transaction: all of it is durable when the block has ended, or nothing was done.

        Raises:
            StoreError: the database cannot be reached, read or written.
        """
        with self.open_connection() as connection:
            connection.run(self.dialect.begin)
            yield connection
            connection.run("COMMIT")

    def close(self) -> None:
        """Close all connections; those in use as soon as they are given back."""
        self._is_closed = True
        while self._idle:
            self._idle.pop().raw.close()

    @contextlib.contextmanager
    def _borrow_connection(self) -> Generator[Connection]:
        connection = self._take_connection()
        try:
            yield connection
        except BaseException:
            self._undo_and_keep(connection)
            raise
        self._keep(connection)

    def _take_connection(self) -> Connection:
        with contextlib.suppress(IndexError):  # none is left
            while True:
                connection = self._idle.pop()
                if self._is_usable(connection):
                    return connection
                connection.raw.close()
        return self._connect()

    def _undo_and_keep(self, connection: Connection) -> None:
        """Undo what a block that broke had begun; where that cannot be done, the connection ends and undoes it."""
        try:
            connection.raw.rollback()
        except Exception:  # noqa: BLE001 # what broke first is what is told
            connection.raw.close()
        else:
            self._keep(connection)

    def _keep(self, connection: Connection) -> None:
        self._idle.append(connection)
        if self._is_closed:
            self.close()
