"""Looks at processes, not by way of the package."""

import psutil


def is_running(pid: int) -> bool:
    """Whether there is a process ``pid`` that is no zombie."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
