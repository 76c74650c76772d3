"""Faults of a file: damage, full disks, missing permissions, other versions; each gives a message and a hint."""

import os
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from pytest_deploygate.core.errors import ConfigError, JournalDamaged, StoreError
from pytest_deploygate.core.identifiers import Actor, EnvironmentName, RolloutId
from pytest_deploygate.core.record import EntryKind, JournalEntry, Lease, RolloutRecord, StepDetails
from pytest_deploygate.core.state_machine import State
from pytest_deploygate.store import SqlStore, open_store, schema
from pytest_deploygate.store.database import DatabaseConnection
from tests.fakes import FakeClock

ROOT = Path(__file__).parents[2]
PROD = EnvironmentName("production")
ONE = RolloutId("one")
ADA = Actor(user="ada", host="build-7", pid=41)
CLOCK = FakeClock()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "record" / "state.db"


def opened(path: Path) -> SqlStore:
    return open_store(f"sqlite:///{path}", CLOCK)


@pytest.fixture
def store(path: Path) -> Iterator[SqlStore]:
    with opened(path) as store:
        yield store


def a_record(state: State = State.STAGING) -> RolloutRecord:
    return RolloutRecord(
        rollout_id=ONE,
        environment=PROD,
        purpose="deploy",
        actor=ADA,
        began_at=CLOCK.now(),
        state=state,
        reason="the reason",
    )


def an_entry(sequence: int) -> JournalEntry:
    return JournalEntry(
        sequence=sequence,
        at=CLOCK.now(),
        kind=EntryKind.INTENT,
        name="pin",
        state=State.STAGING,
        details=StepDetails(notes={"step": str(sequence)}),
    )


def filled(store: SqlStore, entries: int = 4) -> Lease:
    lease = store.acquire_lease(PROD, ADA, "deploy", ONE, 60)
    store.begin(a_record(), lease)
    for sequence in range(1, entries + 1):
        store.append(ONE, an_entry(sequence), lease)
    return lease


def execute(path: Path, statement: str, *values: object) -> None:
    """Change the record without the store."""
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("PRAGMA foreign_keys = OFF")
        changed = connection.execute(statement, values)
        assert changed.rowcount != 0


# Where it is


def test_default_place_is_private_and_kept_out_of_version_control(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with open_store("", CLOCK) as store:
        filled(store)
        folder = tmp_path / ".deploygate"
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        assert (folder / ".gitignore").read_text() == "*\n"
        modes = {p.name: stat.S_IMODE(p.stat().st_mode) for p in folder.glob("state.db*")}
    assert modes == dict.fromkeys(("state.db", "state.db-wal", "state.db-shm"), 0o600)
    assert not [p.name for p in folder.iterdir() if p.name.startswith(".state")]


def test_file_that_others_may_read_is_closed_to_them(path: Path) -> None:
    opened(path).close()
    path.chmod(0o644)
    opened(path).close()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_directory_that_existed_keeps_its_mode(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    opened(tmp_path / "state.db").close()
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o755


@pytest.mark.parametrize(
    "url",
    [
        "sqlite://",
        "sqlite:///:memory:",
        "mysql://u:hunter2@h/d",
        "no url at all",
        "postgresql+psycopg://u:hunter2@h:port/d",
    ],
)
def test_url_that_cannot_be_used_is_a_configuration_error(url: str) -> None:
    with pytest.raises(ConfigError) as caught:
        open_store(url, CLOCK)
    assert "state" in caught.value.hint
    assert "hunter2" not in str(caught.value)


def test_writes_are_synced_and_readers_do_not_wait_for_writers(store: SqlStore) -> None:
    with store._database.open_connection() as connection:
        assert connection.row("PRAGMA journal_mode") == {"journal_mode": "wal"}
        assert connection.row("PRAGMA synchronous") == {"synchronous": 2}
        assert connection.row("PRAGMA foreign_keys") == {"foreign_keys": 1}


def test_records_are_told_apart_by_their_lineage(tmp_path: Path) -> None:
    with opened(tmp_path / "a.db") as one, opened(tmp_path / "b.db") as other:
        assert one.lineage != other.lineage
        with opened(tmp_path / "a.db") as again:
            assert again.lineage == one.lineage


# Damage


@pytest.mark.parametrize(
    ("statement", "values"),
    [
        ("DELETE FROM deploygate_journal WHERE sequence = 4", ()),
        ("DELETE FROM deploygate_journal WHERE sequence = 2", ()),
        ("DELETE FROM deploygate_journal WHERE sequence = 1", ()),
        ("DELETE FROM deploygate_journal", ()),
        ("UPDATE deploygate_journal SET body = replace(body, 'pin', 'pit') WHERE sequence = 3", ()),
        ("UPDATE deploygate_journal SET body = '{}' WHERE sequence = 4", ()),
        ("UPDATE deploygate_journal SET hash = ? WHERE sequence = 4", ("0" * 64,)),
        ("UPDATE deploygate_journal SET sequence = 9 WHERE sequence = 4", ()),
        ("UPDATE deploygate_rollouts SET entries = 3", ()),
        ("UPDATE deploygate_rollouts SET head = ?", ("0" * 64,)),
        (
            "INSERT INTO deploygate_journal SELECT rollout_id, 5, body, hash FROM deploygate_journal LIMIT 1",
            (),
        ),
    ],
)
def test_changed_journal_is_never_read(
    path: Path, store: SqlStore, statement: str, values: tuple[str, ...]
) -> None:
    filled(store)
    execute(path, statement, *values)
    with pytest.raises(JournalDamaged, match="rollout one") as caught:
        store.journal(ONE)
    assert caught.value.hint


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE deploygate_rollouts SET body = replace(body, 'STAGING', 'PROMOTED')",
        "UPDATE deploygate_rollouts SET body = replace(body, 'the reason', 'no reason')",
        "UPDATE deploygate_rollouts SET body = 'x'",
        "UPDATE deploygate_rollouts SET state = 'PROMOTED'",
        "UPDATE deploygate_rollouts SET environment = 'production', digest = 'x'",
        "UPDATE deploygate_rollouts SET candidate = 'svc-00009'",
    ],
)
def test_changed_record_is_never_read(path: Path, store: SqlStore, statement: str) -> None:
    filled(store)
    execute(path, statement)
    with pytest.raises(StoreError, match="rollout one is damaged"):
        store.open_rollouts(PROD)


@pytest.mark.parametrize("left", [0, 1, 511])
def test_file_cut_to_nothing_is_not_taken_for_a_new_record(path: Path, left: int) -> None:
    with opened(path) as store:
        filled(store)
    path.write_bytes(path.read_bytes()[:left])
    with pytest.raises(StoreError, match="cut off") as caught:
        opened(path)
    assert "recover" in caught.value.hint


@pytest.mark.parametrize("kept", [0.1, 0.5, 0.9])
def test_file_cut_short_is_noticed_when_opened(path: Path, kept: float) -> None:
    with opened(path) as store:
        filled(store)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * kept)])
    with pytest.raises(StoreError) as caught:
        opened(path)
    assert str(path) in str(caught.value)
    assert caught.value.hint


@pytest.mark.parametrize(
    "content", [b"not a database, but long enough to be one" * 100, b"x" * 512]
)
def test_file_of_another_kind_is_refused_and_left_alone(path: Path, content: bytes) -> None:
    path.parent.mkdir()
    path.write_bytes(content)
    with pytest.raises(StoreError, match="not a database"):
        opened(path)
    assert path.read_bytes() == content


def test_file_cut_anywhere_gives_the_same_answers_or_an_error(path: Path) -> None:
    with opened(path) as store:
        filled(store)
        right = (store.journal(ONE), store.open_rollouts(PROD))
    whole = path.read_bytes()
    for left in range(len(whole) - 1, 0, -2000):
        path.write_bytes(whole[:left])
        try:
            with opened(path) as store:  # the lost bytes were zeros, which SQLite restores
                assert (store.journal(ONE), store.open_rollouts(PROD)) == right, left
        except StoreError:
            pass
        for leftover in path.parent.glob("state.db-*"):
            leftover.unlink()


def test_flipped_bytes_give_the_same_answers_or_an_error(path: Path) -> None:
    with opened(path) as store:
        filled(store)
        right = (store.journal(ONE), store.open_rollouts(PROD))
    whole = path.read_bytes()
    noticed = 0
    for place in range(0, len(whole), 509):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0x41]) + whole[place + 1 :])
        try:
            with opened(path) as store:
                assert (store.journal(ONE), store.open_rollouts(PROD)) == right, place
        except StoreError:
            noticed += 1
        for leftover in path.parent.glob("state.db-*"):
            leftover.unlink()
    assert noticed > 5


def test_record_that_is_deleted_during_a_run_is_noticed_at_the_next_write(
    path: Path, store: SqlStore
) -> None:
    lease = filled(store)
    for file in path.parent.glob("state.db*"):
        file.unlink()
    with pytest.raises(StoreError, match="deleted or replaced"):
        store.append(ONE, an_entry(5), lease)


def test_record_that_is_replaced_during_a_run_is_noticed_at_the_next_write(
    path: Path, store: SqlStore
) -> None:
    lease = filled(store)
    for file in path.parent.glob("state.db*"):
        file.unlink()
    with opened(path), pytest.raises(StoreError, match="deleted or replaced"):
        store.append(ONE, an_entry(5), lease)


# Versions


def add_column(connection: DatabaseConnection) -> None:
    connection.run("ALTER TABLE deploygate_rollouts ADD COLUMN note TEXT")


def break_half_way(connection: DatabaseConnection) -> None:
    add_column(connection)
    raise StoreError("the disk is full")


def test_record_of_a_newer_version_is_left_alone(path: Path) -> None:
    opened(path).close()
    execute(path, "UPDATE deploygate_meta SET version = 99")
    before = path.read_bytes()
    with pytest.raises(StoreError, match="version 99") as caught:
        opened(path)
    assert "upgrade" in caught.value.hint
    assert path.read_bytes() == before


def test_record_of_an_older_version_is_migrated_and_keeps_what_it_holds(
    path: Path, store: SqlStore
) -> None:
    filled(store)
    newer = (*schema.MIGRATIONS, add_column)
    with store._database.open_transaction() as connection:
        assert not schema.is_current(connection, newer)
        schema.migrate(connection, newer)
    with store._database.open_transaction() as connection:
        assert schema.is_current(connection, newer)
        connection.rows("SELECT note FROM deploygate_rollouts")
    assert len(store.journal(ONE)) == 4
    with pytest.raises(StoreError, match="newer version"):
        opened(path)


def test_migration_that_breaks_leaves_the_older_version(store: SqlStore) -> None:
    newer = (*schema.MIGRATIONS, break_half_way)
    with pytest.raises(StoreError, match="full"), store._database.open_transaction() as connection:
        schema.migrate(connection, newer)
    with store._database.open_transaction() as connection:
        assert schema.is_current(connection)
        columns = connection.rows("PRAGMA table_info(deploygate_rollouts)")
    assert "note" not in {column["name"] for column in columns}


def test_database_of_another_program_gets_tables_beside_its_own(path: Path) -> None:
    path.parent.mkdir()
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("CREATE TABLE theirs (x)")
    with opened(path) as store:
        filled(store)
    execute(path, "INSERT INTO theirs VALUES (1)")


def test_record_without_a_version_is_refused(path: Path) -> None:
    opened(path).close()
    execute(path, "DELETE FROM deploygate_meta")
    with pytest.raises(StoreError, match="no version"):
        opened(path)


# Disks and rights


def test_full_database_is_told_and_keeps_what_was_written(path: Path, store: SqlStore) -> None:
    lease = filled(store)
    big = an_entry(5)._replace(details=StepDetails(notes={"text": "x" * 200_000}))
    with store._database.open_connection() as connection:
        # The next writer gets the same connection.
        connection.rows("PRAGMA max_page_count = 1")
    with pytest.raises(StoreError, match="disk is full") as caught:
        store.append(ONE, big, lease)
    assert "free space" in caught.value.hint
    with opened(path) as again:
        assert len(again.journal(ONE)) == 4


SCRIPT = """
import os, resource, signal, sys
from pathlib import Path
from pytest_deploygate.core.errors import StoreError
from pytest_deploygate.core.identifiers import *
from pytest_deploygate.store import open_store
from pytest_deploygate.system.process_identity import this_process
from tests.fakes import FakeClock
path, what = Path(sys.argv[1]), sys.argv[2]
def act():
    with open_store(f"sqlite:///{path}", FakeClock()) as store:
        if what == "limit":
            resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
        store.acquire_lease(EnvironmentName("e"), this_process(), "deploy", RolloutId("r"), 60)
if what == "limit":
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
elif os.geteuid() == 0:
    os.setuid(65534)
try:
    act()
except StoreError as error:
    print(error)
"""


def as_somebody_else(path: Path, what: str) -> str:
    """Output of a process without root's permissions; coverage does not measure it, because it cannot write."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("COV")}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(path), what],
        env={**kept, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert "Traceback" not in done.stderr, done.stderr
    return done.stdout


def test_disk_that_refuses_to_grow_a_file_is_told(path: Path) -> None:
    opened(path).close()
    said = as_somebody_else(path, "limit")
    assert "cannot be used" in said
    assert "free space" in said


def open_to_all(path: Path) -> None:
    """Give the other user access to the directory of the test."""
    for parent in (path, *path.parents):
        if parent == Path(parent.root) or parent.stat().st_uid != os.geteuid():
            break
        parent.chmod(parent.stat().st_mode | 0o055 if parent.is_dir() else 0o666)


def read_only_file(path: Path) -> None:
    path.chmod(0o444)


def unreadable_file(path: Path) -> None:
    path.chmod(0o000)


def read_only_directory(path: Path) -> None:
    path.parent.chmod(0o555)


def missing_directory_below_a_read_only_one(path: Path) -> None:
    for file in path.parent.iterdir():
        file.unlink()
    path.parent.rmdir()
    path.parent.parent.chmod(0o555)


@pytest.mark.parametrize(
    "restrict",
    [
        read_only_file,
        unreadable_file,
        read_only_directory,
        missing_directory_below_a_read_only_one,
    ],
)
def test_missing_rights_are_told_with_what_to_do(
    path: Path, restrict: Callable[[Path], None]
) -> None:
    opened(path).close()
    open_to_all(path)
    restrict(path)
    said = as_somebody_else(path, "rights")
    assert "cannot be used" in said
    assert str(path) in said
    assert "user that runs pytest" in said


def test_writer_that_hangs_in_a_transaction_is_told(
    path: Path, store: SqlStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    filled(store)
    monkeypatch.setattr("pytest_deploygate.store.database.WAIT_MS", 50)
    with opened(path) as impatient:
        with (
            store._database.open_transaction(),
            pytest.raises(StoreError, match="too long") as caught,
        ):
            impatient.acquire_lease(EnvironmentName("other"), ADA, "deploy", ONE, 60)
        assert "hanging" in caught.value.hint
        assert impatient.lease(PROD) is not None
