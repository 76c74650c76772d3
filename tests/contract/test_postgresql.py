"""What goes wrong with a server: always a sentence and a hint, never the driver's own error."""

import time
from urllib.parse import urlsplit

import psycopg
import pytest
from psycopg.sql import SQL

from pytest_deploygate.core.errors import StoreError
from pytest_deploygate.core.identifiers import Actor, EnvironmentName, RolloutId
from pytest_deploygate.store import SqlStore, open_store
from tests.fakes import FakeClock

PROD = EnvironmentName("production")
ADA = Actor(user="ada", host="ci", pid=1)
CLOCK = FakeClock()


def acquire(store: SqlStore, environment: EnvironmentName = PROD) -> None:
    store.acquire_lease(environment, ADA, "deploy", RolloutId("one"), 60)


def as_admin(url: str, *statements: str) -> None:
    plain = url.replace("postgresql+psycopg:", "postgresql:")
    with psycopg.connect(plain, autocommit=True) as connection:
        for statement in statements:
            connection.execute(SQL(statement))


def test_server_that_is_not_there_is_told_without_the_password() -> None:
    with pytest.raises(StoreError, match="cannot be reached") as caught:
        open_store("postgresql+psycopg://ada:hunter2@127.0.0.1:1/records", CLOCK)
    assert "127.0.0.1" in str(caught.value)
    assert "server runs" in caught.value.hint
    assert "hunter2" not in str(caught.value)


def test_database_that_is_not_there_is_told(postgresql_url: str) -> None:
    url = urlsplit(postgresql_url)._replace(path="/nowhere").geturl()
    with pytest.raises(StoreError) as caught:
        open_store(url, CLOCK)
    assert "database" in caught.value.hint


def test_url_without_a_driver_means_psycopg(postgresql_url: str) -> None:
    plain = postgresql_url.replace("postgresql+psycopg:", "postgresql:")
    with open_store(plain, CLOCK) as store:
        acquire(store)


def test_connection_that_the_server_closed_is_made_again(postgresql_url: str) -> None:
    with open_store(postgresql_url, CLOCK) as store:
        assert store.lease(PROD) is None
        as_admin(
            postgresql_url,
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()",
        )
        acquire(store)


def test_read_only_server_is_told(postgresql_url: str) -> None:
    open_store(postgresql_url, CLOCK).close()
    name = urlsplit(postgresql_url).path.removeprefix("/")
    as_admin(postgresql_url, f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    with open_store(postgresql_url, CLOCK) as store, pytest.raises(StoreError, match="read-only"):
        acquire(store)


def test_missing_privilege_is_told(postgresql_url: str) -> None:
    open_store(postgresql_url, CLOCK).close()
    as_admin(
        postgresql_url, "DROP ROLE IF EXISTS dg_guest", "CREATE ROLE dg_guest LOGIN PASSWORD 'x'"
    )
    parts = urlsplit(postgresql_url)
    url = parts._replace(netloc=f"dg_guest:x@{parts.netloc.rpartition('@')[2]}").geturl()
    with pytest.raises(StoreError, match="privilege") as caught:
        open_store(url, CLOCK)
    assert "grant" in caught.value.hint


def test_process_that_stopped_in_a_transaction_does_not_stop_others_for_ever(
    postgresql_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pytest_deploygate.store.database.WAIT_MS", 100)
    with open_store(postgresql_url, CLOCK) as stopped, open_store(postgresql_url, CLOCK) as other:
        transaction = stopped._write()
        transaction.__enter__()
        with pytest.raises(StoreError, match="too long") as caught:
            acquire(other)
        assert "hanging" in caught.value.hint
        deadline = time.monotonic() + 30
        while True:  # the server ends a transaction that stays idle, so the lock becomes free
            try:
                acquire(other)
            except StoreError:
                assert time.monotonic() < deadline
            else:
                break
        with pytest.raises(StoreError):
            transaction.__exit__(None, None, None)


def test_record_replaced_during_a_run_is_noticed_at_the_next_write(postgresql_url: str) -> None:
    with open_store(postgresql_url, CLOCK) as store:
        as_admin(postgresql_url, "UPDATE deploygate_meta SET lineage = 'another'")
        with pytest.raises(StoreError, match="replaced"):
            acquire(store)


def test_record_of_a_newer_version_is_left_alone(postgresql_url: str) -> None:
    open_store(postgresql_url, CLOCK).close()
    as_admin(postgresql_url, "UPDATE deploygate_meta SET version = 99")
    with pytest.raises(StoreError, match="version 99"):
        open_store(postgresql_url, CLOCK)
