"""Ends a process with the one that started it (Linux, prctl(2)); elsewhere a process has to notice by itself."""

import ctypes
import os
import signal
import sys
from typing import Final

_PR_SET_PDEATHSIG: Final = 1


def signal_with_parent(parent: int, number: signal.Signals) -> None:
    """Have the system send ``number`` to this process when the process ``parent`` dies, at once if it has."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, number, 0, 0, 0)
        if os.getppid() != parent:
            os.kill(os.getpid(), number)
