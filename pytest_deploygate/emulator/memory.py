"""Measures what the processes of a function use."""

import contextlib

import psutil

_MB = 1024 * 1024


def tree_memory_mb(pid: int) -> float:
    """Memory of ``pid`` and all its descendants in MB; 0 if it is gone.

    Pages that the processes share count once where the system tells (Linux: PSS), since a server forks its workers.
    """
    total = 0
    with contextlib.suppress(psutil.Error):
        root = psutil.Process(pid)
        for process in [root, *root.children(recursive=True)]:
            with contextlib.suppress(psutil.Error):
                total += _bytes_of(process)
    return total / _MB


def _bytes_of(process: psutil.Process) -> int:
    try:
        proportional = getattr(process.memory_full_info(), "pss", 0)
    except psutil.AccessDenied:
        proportional = 0
    return int(proportional) or process.memory_info().rss


def created_at(pid: int) -> float:
    """When the process ``pid`` was created, as the system counts; 0 if there is none."""
    try:
        return psutil.Process(pid).create_time()
    except psutil.Error:
        return 0.0
