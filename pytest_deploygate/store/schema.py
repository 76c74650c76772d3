"""Tables of the record, and the migrations of older records.

Each migration leads from version ``n`` to ``n + 1``; never change a released one. A record of a newer version is
refused.
"""

import os
from collections.abc import Callable, Sequence

from pytest_deploygate.core.errors import StoreError
from pytest_deploygate.store.database import DatabaseConnection
from pytest_deploygate.store.deliveries import create_deliveries
from pytest_deploygate.store.step_commands import create_step_commands

TABLES = (
    # One row: the version of these tables, and the id of this record. Every writing transaction locks it, so that every
    # database has one writer at a time.
    """
    CREATE TABLE IF NOT EXISTS deploygate_meta (
        singleton INTEGER NOT NULL PRIMARY KEY,
        version INTEGER NOT NULL,
        lineage VARCHAR(36) NOT NULL
    )
    """,
    # One row per environment. It stays when the lease is released, so that the token never starts again.
    """
    CREATE TABLE IF NOT EXISTS deploygate_leases (
        environment TEXT NOT NULL PRIMARY KEY,
        token INTEGER NOT NULL,
        is_held INTEGER NOT NULL,
        actor TEXT NOT NULL,
        purpose TEXT NOT NULL,
        rollout_id TEXT NOT NULL,
        since TEXT NOT NULL,
        beat INTEGER NOT NULL,
        beat_at TEXT NOT NULL,
        ttl_s INTEGER NOT NULL
    )
    """,
    """
    CREATE TABLE IF NOT EXISTS deploygate_lease_events (
        number {counter} NOT NULL PRIMARY KEY,
        environment TEXT NOT NULL,
        at TEXT NOT NULL,
        kind TEXT NOT NULL,
        actor TEXT NOT NULL,
        reason TEXT NOT NULL,
        token INTEGER NOT NULL,
        rollout_id TEXT NOT NULL
    )
    """,
    # The body is the whole record. The other columns are for queries, and reading compares them with the body. Entries
    # and head are length and last hash of the journal, so that a truncated journal is detected.
    """
    CREATE TABLE IF NOT EXISTS deploygate_rollouts (
        number {counter} NOT NULL PRIMARY KEY,
        rollout_id TEXT NOT NULL UNIQUE,
        environment TEXT NOT NULL,
        state TEXT NOT NULL,
        is_open INTEGER NOT NULL,
        candidate TEXT,
        serving TEXT,
        digest TEXT NOT NULL,
        body TEXT NOT NULL,
        seal VARCHAR(64) NOT NULL,
        entries INTEGER NOT NULL,
        head VARCHAR(64) NOT NULL
    )
    """,
    """
    CREATE TABLE IF NOT EXISTS deploygate_journal (
        rollout_id TEXT NOT NULL REFERENCES deploygate_rollouts (rollout_id),
        sequence INTEGER NOT NULL,
        body TEXT NOT NULL,
        hash VARCHAR(64) NOT NULL,
        PRIMARY KEY (rollout_id, sequence)
    )
    """,
    """
    CREATE TABLE IF NOT EXISTS deploygate_backups (
        number {counter} NOT NULL PRIMARY KEY,
        identifier TEXT NOT NULL UNIQUE,
        environment TEXT NOT NULL,
        at TEXT NOT NULL,
        revision TEXT NOT NULL,
        path TEXT NOT NULL,
        sha256 VARCHAR(64) NOT NULL,
        size_bytes BIGINT NOT NULL,
        settings TEXT NOT NULL
    )
    """,
)
INDEXES = {
    "deploygate_lease_events_by_environment": "deploygate_lease_events (environment, number)",
    "deploygate_rollouts_by_environment": "deploygate_rollouts (environment, number)",
    "deploygate_rollouts_by_open": "deploygate_rollouts (environment, is_open, number)",
    "deploygate_rollouts_by_state": "deploygate_rollouts (environment, state, number)",
    "deploygate_rollouts_by_candidate": "deploygate_rollouts (environment, candidate, number)",
    "deploygate_rollouts_by_serving": "deploygate_rollouts (environment, serving, state, number)",
    "deploygate_rollouts_by_digest": "deploygate_rollouts (environment, digest, number)",
    "deploygate_backups_by_environment": "deploygate_backups (environment, number)",
}
"""Table and columns of each index. No two may fit one query equally well: SQLite then takes the one created last, and
earlier versions created them in any order (ADR 14)."""

Migration = Callable[[DatabaseConnection], None]


def create_tables(connection: DatabaseConnection) -> None:
    """Create version 1."""
    for table in TABLES:
        connection.run(table.format(counter=connection.dialect.counter))
    for name, columns in INDEXES.items():
        connection.run(f"CREATE INDEX IF NOT EXISTS {name} ON {columns}")


def announce_typed_records(_connection: DatabaseConnection) -> None:
    """From version 1 to 2: tables do not change, but bodies may have a format that version 1 cannot read.

    Existing bodies are upgraded when they are read (:mod:`.record_upgrade`).
    """


MIGRATIONS: tuple[Migration, ...] = (
    create_tables,
    announce_typed_records,
    create_deliveries,
    create_step_commands,
)


def is_current(
    connection: DatabaseConnection, migrations: Sequence[Migration] = MIGRATIONS
) -> bool:
    """Whether there is nothing to migrate.

    Raises:
        StoreError: the record was written by a newer version.
    """
    return _version(connection, len(migrations)) == len(migrations)


def migrate(connection: DatabaseConnection, migrations: Sequence[Migration] = MIGRATIONS) -> None:
    """Migrate the tables to the newest version inside the caller's transaction.

    Raises:
        StoreError: the record was written by a newer version; nothing was changed.
    """
    if connection.dialect.lock_tables:
        connection.run(connection.dialect.lock_tables)
    version, newest = _version(connection, len(migrations)), len(migrations)
    for step in migrations[version:]:
        step(connection)
    if version == 0:
        connection.insert(
            "deploygate_meta", singleton=1, version=newest, lineage=os.urandom(16).hex()
        )
    elif version < newest:
        connection.update("deploygate_meta", "singleton", singleton=1, version=newest)


def _version(connection: DatabaseConnection, newest: int) -> int:
    if connection.row(connection.dialect.has_table, name="deploygate_meta") is None:
        return 0
    found = connection.row("SELECT version FROM deploygate_meta")
    if found is None:
        raise StoreError(
            "the record has no version; it is damaged or another program created it",
            hint="move it away (keep it), or set 'state' to another place",
        )
    version = int(found["version"])
    if version > newest:
        raise StoreError(
            f"the record has version {version}, this program knows {newest}: a newer version wrote it",
            hint="upgrade pytest-deploygate here to the version that the others use",
        )
    return version
