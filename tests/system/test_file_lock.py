"""A file lock excludes others while its holder lives, and says who that is."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from pytest_deploygate.system.clock import SystemClock
from pytest_deploygate.system.file_lock import FileLockHeld, hold_lock, open_lock, try_lock
from pytest_deploygate.system.retry import Attempt, Backoff, attempts

HOLD = """\
import sys
from pathlib import Path
from pytest_deploygate.system.file_lock import hold_lock
with hold_lock(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "some.lock"


def hold_elsewhere(path: Path) -> "subprocess.Popen[str]":
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def test_lock_of_another_process_is_refused_with_its_name_and_free_after_its_death(
    path: Path,
) -> None:
    with hold_elsewhere(path) as other:
        with (
            pytest.raises(FileLockHeld, match=f"locked by {other.pid}") as refused,
            hold_lock(path),
        ):
            raise AssertionError("two hold it")
        assert refused.value.holder == other.pid
        assert path.read_text() == str(other.pid), "who waits leaves the holder's name alone"
        other.kill()
        other.wait()
        with hold_lock(path):
            assert path.read_text() == str(os.getpid())


def test_lock_is_waited_for_as_long_as_there_are_attempts(path: Path) -> None:
    with hold_elsewhere(path) as other:
        released: list[int] = []

        def release_after_two() -> Iterator[Attempt]:
            for attempt in attempts(SystemClock(), Backoff(first_s=0.001, factor=1), most=1000):
                if attempt.number == 3:
                    other.communicate("")
                    released.append(attempt.number)
                yield attempt

        with hold_lock(path, release_after_two()):
            assert released == [3]


def test_lock_whose_holder_wrote_nothing_is_held_by_another_process(path: Path) -> None:
    with open_lock(path) as file:
        assert try_lock(file)
        with pytest.raises(FileLockHeld, match="locked by another process"), hold_lock(path):
            raise AssertionError("two hold it")


def test_lock_that_cannot_be_opened_says_so(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="missing"), hold_lock(tmp_path / "missing" / "some.lock"):
        raise AssertionError("nothing is there to hold")
