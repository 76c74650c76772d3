"""PostgreSQL through psycopg 3: a record for a team, with the same statements as SQLite.

Connecting, locks and idle transactions have deadlines, so that a process that stops in a transaction does not block all
others.
"""

import contextlib

from pytest_deploygate.core.errors import ConfigError
from pytest_deploygate.store import database, schema
from pytest_deploygate.store.database import Database, DatabaseConnection, Dialect

CONNECT_S = 5
_MIGRATION_LOCK = 0x6465_706C_6F79
"""Key of the advisory lock for creating tables: an arbitrary number."""

DIALECT = Dialect(
    begin="BEGIN",
    counter="SERIAL",
    lock_rows=" FOR UPDATE",
    has_table="SELECT 1 AS found WHERE to_regclass(:name) IS NOT NULL",
    lock_tables=f"SELECT pg_advisory_xact_lock({_MIGRATION_LOCK})",
    has_named_values=False,
)


class PostgresqlDatabase(Database):
    """A database on a server; ``conninfo`` is a libpq URL."""

    def __init__(self, conninfo: str, place: str) -> None:
        super().__init__(place, DIALECT)
        self._conninfo = conninfo

    def _connect(self) -> DatabaseConnection:
        import psycopg
        from psycopg.rows import dict_row

        raw = psycopg.connect(
            self._conninfo, connect_timeout=CONNECT_S, autocommit=True, row_factory=dict_row
        )
        try:
            for setting in (
                f"SET lock_timeout = {database.WAIT_MS}",
                f"SET statement_timeout = {2 * database.WAIT_MS}",
                f"SET idle_in_transaction_session_timeout = {2 * database.WAIT_MS}",
                "SET synchronous_commit = on",
            ):
                raw.execute(setting)
        except BaseException:
            raw.close()
            raise
        return DatabaseConnection(raw, raw.execute, DIALECT)

    def _is_usable(self, connection: DatabaseConnection) -> bool:
        """Whether the server has not closed the connection."""
        import psycopg

        with contextlib.suppress(psycopg.Error):
            connection.rows("SELECT 1")
            return True
        return False


def open_postgresql(conninfo: str) -> PostgresqlDatabase:
    """Open the database at ``conninfo``; create or migrate its tables.

    Raises:
        StoreError: it cannot be reached, read or written, or a newer version wrote it.
        ConfigError: psycopg is not installed, or does not understand ``conninfo``.
    """
    found = PostgresqlDatabase(conninfo, _place_of(conninfo))
    try:
        with found.open_transaction() as connection:
            schema.migrate(connection)
    except BaseException:
        found.close()
        raise
    return found


def _place_of(conninfo: str) -> str:
    """The URL for display: without password and options."""
    try:
        import psycopg
        from psycopg.conninfo import conninfo_to_dict
    except ImportError as error:
        raise ConfigError(
            "'state' names PostgreSQL, but its driver is not installed",
            hint="pip install 'pytest-deploygate[postgresql]'",
        ) from error
    try:
        parts = {name: str(value) for name, value in conninfo_to_dict(conninfo).items()}
        port = f":{int(parts['port'])}" if "port" in parts else ""
    except (psycopg.Error, ValueError):
        # from None, because the driver's message may contain the password
        raise ConfigError(
            "'state' is not a PostgreSQL URL, or has an unknown option",
            hint="write it as 'postgresql+psycopg://user@host/database', in 'state' or in DEPLOYGATE_STATE",
        ) from None
    user = f"{parts['user']}@" if "user" in parts else ""
    return f"postgresql+psycopg://{user}{parts.get('host', '')}{port}/{parts.get('dbname', '')}"
