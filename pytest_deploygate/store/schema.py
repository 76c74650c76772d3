"""Tables of the record, and the steps that bring an older record up to date.

Each migration leads from version ``n`` to ``n + 1`` and is never changed once released. A record from a newer
version is left alone.
"""

from collections.abc import Callable, Sequence
from uuid import uuid4

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    func,
    inspect,
    select,
)

from pytest_deploygate.core.errors import StoreError

METADATA = MetaData()

META = Table(
    "deploygate_meta",
    METADATA,
    Column("singleton", Integer, primary_key=True, autoincrement=False),
    Column("version", Integer, nullable=False),
    Column("lineage", String(36), nullable=False),
)
"""One row: the version of these tables, and an id that tells this record from any other. Every writing
transaction locks it, so that writers are one after the other on every database."""

LEASES = Table(
    "deploygate_leases",
    METADATA,
    Column("environment", Text, primary_key=True),
    Column("token", Integer, nullable=False),
    Column("is_held", Integer, nullable=False),
    Column("actor", Text, nullable=False),
    Column("purpose", Text, nullable=False),
    Column("rollout_id", Text, nullable=False),
    Column("since", Text, nullable=False),
    Column("beat", Integer, nullable=False),
    Column("beat_at", Text, nullable=False),
    Column("ttl_s", Integer, nullable=False),
)
"""One row an environment, kept after the lease was given back so that ``token`` never starts again."""

LEASE_EVENTS = Table(
    "deploygate_lease_events",
    METADATA,
    Column("number", Integer, primary_key=True),
    Column("environment", Text, nullable=False),
    Column("at", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("actor", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("token", Integer, nullable=False),
    Column("rollout_id", Text, nullable=False),
    Index("deploygate_lease_events_by_environment", "environment", "number"),
)

ROLLOUTS = Table(
    "deploygate_rollouts",
    METADATA,
    Column("number", Integer, primary_key=True),
    Column("rollout_id", Text, nullable=False, unique=True),
    Column("environment", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("is_open", Integer, nullable=False),
    Column("candidate", Text),
    Column("serving", Text),
    Column("digest", Text, nullable=False),
    Column("body", Text, nullable=False),
    Column("seal", String(64), nullable=False),
    Column("entries", Integer, nullable=False),
    Column("head", String(64), nullable=False),
    Index("deploygate_rollouts_by_environment", "environment", "number"),
    Index("deploygate_rollouts_by_open", "environment", "is_open", "number"),
    Index("deploygate_rollouts_by_state", "environment", "state", "number"),
    Index("deploygate_rollouts_by_candidate", "environment", "candidate", "number"),
    Index("deploygate_rollouts_by_serving", "environment", "serving", "state", "number"),
    Index("deploygate_rollouts_by_digest", "environment", "digest", "number"),
)
"""``body`` is the whole record; the columns beside it only find it and are held to it on reading. ``entries`` and
``head`` say how long the journal is and how it ends, so that a journal cut short is noticed.

No question may be answered equally well from two indexes: SQLAlchemy makes them in the order of a set, and between
equals SQLite takes whichever was made last, so that one and the same version would choose well only sometimes."""

JOURNAL = Table(
    "deploygate_journal",
    METADATA,
    Column(
        "rollout_id",
        Text,
        ForeignKey("deploygate_rollouts.rollout_id"),
        primary_key=True,
    ),
    Column("sequence", Integer, primary_key=True, autoincrement=False),
    Column("body", Text, nullable=False),
    Column("hash", String(64), nullable=False),
)

BACKUPS = Table(
    "deploygate_backups",
    METADATA,
    Column("number", Integer, primary_key=True),
    Column("identifier", Text, nullable=False, unique=True),
    Column("environment", Text, nullable=False),
    Column("at", Text, nullable=False),
    Column("revision", Text, nullable=False),
    Column("path", Text, nullable=False),
    Column("sha256", String(64), nullable=False),
    Column("size_bytes", BigInteger, nullable=False),
    Column("settings", Text, nullable=False),
    Index("deploygate_backups_by_environment", "environment", "number"),
)

Migration = Callable[[Connection], None]

_MIGRATION_LOCK = 0x6465_706C_6F79
"""Key of the advisory lock under which PostgreSQL tables are made; any number that nobody else uses."""


def create_tables(connection: Connection) -> None:
    """From nothing to version 1."""
    METADATA.create_all(connection)


MIGRATIONS: tuple[Migration, ...] = (create_tables,)


def lock_for_migration(connection: Connection) -> None:
    """Let one process at a time create tables; SQLite's BEGIN IMMEDIATE has done so already."""
    if connection.dialect.name == "postgresql":
        connection.execute(select(func.pg_advisory_xact_lock(_MIGRATION_LOCK)))


def is_current(connection: Connection, migrations: Sequence[Migration] = MIGRATIONS) -> bool:
    """Whether nothing is to be migrated.

    Raises:
        StoreError: the record was written by a newer version.
    """
    return _version(connection, len(migrations)) == len(migrations)


def migrate(connection: Connection, migrations: Sequence[Migration] = MIGRATIONS) -> None:
    """Bring the tables to the newest version inside the caller's transaction.

    Raises:
        StoreError: the record was written by a newer version; nothing was changed.
    """
    lock_for_migration(connection)
    version = _version(connection, len(migrations))
    for step in migrations[version:]:
        step(connection)
    if version == 0:
        connection.execute(
            META.insert().values(singleton=1, version=len(migrations), lineage=str(uuid4()))
        )
    elif version < len(migrations):
        connection.execute(META.update().values(version=len(migrations)))


def _version(connection: Connection, newest: int) -> int:
    if not inspect(connection).has_table(META.name):
        return 0
    version = connection.execute(select(META.c.version)).scalar_one_or_none()
    if version is None:
        raise StoreError(
            "the record has no version; it is damaged or was made by another program",
            hint="move it away (keep it), or set 'state' to another place",
        )
    if version > newest:
        raise StoreError(
            f"the record has version {version}, this program knows {newest}: a newer version wrote it",
            hint="upgrade pytest-deploygate here to the version that the others use",
        )
    return int(version)
