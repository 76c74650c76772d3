"""Looks at the processes of a function: what they use, and where they listen."""

import contextlib
import time
from collections.abc import Callable

import psutil

from pytest_deploygate.core.units import Memory

_REFRESH_S = 1.0
"""How long the list of processes is good for: finding children costs ten times what reading their memory does."""


class MemoryMeter:
    """Reads the memory of one process and all its descendants, and of the files that they wrote."""

    def __init__(self, pid: int, written_bytes: Callable[[], int]) -> None:
        self._pid = pid
        self._written_bytes = written_bytes
        self._processes: list[psutil.Process] = []
        self._found_at = -_REFRESH_S

    def read(self) -> Memory:
        """Memory of them all, their files included (Cloud Run keeps those in memory); none if they are gone.

        Pages that the processes share count once where the system tells (Linux: PSS), since a server forks its workers.
        """
        if time.monotonic() - self._found_at >= _REFRESH_S:
            self._processes = _family(self._pid)
            self._found_at = time.monotonic()
        total = 0
        for process in self._processes:
            with contextlib.suppress(psutil.Error):
                total += _bytes_of(process)
        return Memory(size_bytes=total + self._written_bytes() if total else 0)


def _family(pid: int) -> list[psutil.Process]:
    """The process ``pid`` and its descendants; none if it is gone."""
    with contextlib.suppress(psutil.Error):
        root = psutil.Process(pid)
        return [root, *root.children(recursive=True)]
    return []


def listens(pid: int, port: int) -> bool:
    """Whether the process ``pid`` or a descendant of it listens on ``port``."""
    for process in _family(pid):
        with contextlib.suppress(psutil.Error):
            for found in process.net_connections(kind="tcp"):
                if found.status == psutil.CONN_LISTEN and found.laddr.port == port:
                    return True
    return False


def _bytes_of(process: psutil.Process) -> int:
    try:
        proportional = getattr(process.memory_full_info(), "pss", 0)
    except psutil.AccessDenied:
        proportional = 0
    return int(proportional) or process.memory_info().rss
