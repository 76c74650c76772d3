"""Opens the database that the URL in ``state`` names."""

from pathlib import Path

from pytest_deploygate.core.errors import ConfigError
from pytest_deploygate.store.database import Database
from pytest_deploygate.store.sqlite import open_sqlite

DEFAULT_URL = "sqlite:///.deploygate/state.db"
_POSTGRESQL = ("postgresql", "postgres", "postgresql+psycopg")
_HINT = (
    "leave 'state' out, or set it to 'sqlite:///path/to/state.db' or "
    "'postgresql+psycopg://user@host/database'"
)


def open_database(url: str) -> tuple[Database, Path | None]:
    """Open the database at ``url``; return it and its file, if it has one.

    ``sqlite:///relative/path``, ``sqlite:////absolute/path``, ``postgresql://...``, or nothing for the default.

    Raises:
        ConfigError: not a URL, another database, SQLite without a file, or the driver is not installed.
        StoreError: it cannot be reached, read or written, is damaged, or a newer version wrote it.
    """
    scheme, mark, rest = (url or DEFAULT_URL).partition("://")
    if not mark:
        raise ConfigError("'state' is not a database URL", hint=_HINT)
    if scheme in _POSTGRESQL:
        from pytest_deploygate.store.postgresql import open_postgresql

        return open_postgresql(f"postgresql://{rest}"), None
    if scheme != "sqlite":
        raise ConfigError(f"'state' names an unknown database: {scheme}", hint=_HINT)
    host, _, name = rest.partition("?")[0].partition("/")
    if host or not name or name == ":memory:":
        raise ConfigError(
            "'state' names no file, so the record would end with the process", hint=_HINT
        )
    path = Path(name).absolute()
    return open_sqlite(path), path
