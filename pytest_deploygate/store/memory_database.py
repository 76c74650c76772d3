"""A record in memory, for an emergency rollback without a usable record (ADR 7)."""

import contextlib
import threading
from collections.abc import Generator

from pytest_deploygate.store import schema
from pytest_deploygate.store.database import Database, DatabaseConnection
from pytest_deploygate.store.sqlite import DIALECT, connection_to


class MemoryDatabase(Database):
    """A database in memory. All threads share one connection in turn; closing it deletes the data."""

    def __init__(self) -> None:
        super().__init__("memory", DIALECT)
        self._turn = threading.RLock()
        self._only = self._connect()
        with self.open_transaction() as connection:
            schema.migrate(connection)

    def _connect(self) -> DatabaseConnection:
        return connection_to(":memory:")

    @contextlib.contextmanager
    def _borrow_connection(self) -> Generator[DatabaseConnection]:
        with self._turn:
            try:
                yield self._only
            except BaseException:
                self._only.raw.rollback()
                raise

    def close(self) -> None:
        """Close the connection and delete the data."""
        self._only.raw.close()
