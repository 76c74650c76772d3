"""The one file lock (ADR 20): a process holds it while the file is open, so its death releases the lock.

The lock is advisory (``flock(2)``) and not reliable on a network file system; the lease of the store excludes other
machines. To wait for a lock, use the loops of :mod:`.retry`.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from pytest_deploygate.system.retry import Attempt


class FileLockHeld(Exception):
    """Another process holds the lock. ``holder`` is its process id, or None if the file does not contain it."""

    def __init__(self, path: Path, holder: int | None) -> None:
        super().__init__(f"{path} is locked by {holder or 'another process'}")
        self.path = path
        self.holder = holder


def try_lock(file: IO[str]) -> bool:
    """Lock the open ``file`` until it is closed; False if another process holds the lock."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def open_lock(path: Path) -> IO[str]:
    """Open the lock file at ``path`` without truncating it, so that the holder's process id stays."""
    return path.open("a+", encoding="ascii")


@contextlib.contextmanager
def hold_lock(path: Path, attempts: Iterable[Attempt] = ()) -> Iterator[None]:
    """Hold the lock at ``path`` while the block runs; without ``attempts``, try once.

    The file contains the holder's process id, for the message of a waiting process.

    Raises:
        FileLockHeld: another process did not release it within ``attempts``.
        OSError: the file cannot be opened.
    """
    with open_lock(path) as file:
        if not try_lock(file) and not any(try_lock(file) for _ in attempts):
            raise FileLockHeld(path, _holder_in(file))
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield


def _holder_in(file: IO[str]) -> int | None:
    file.seek(0)
    said = file.read().strip()
    return int(said) if said.isdecimal() else None
