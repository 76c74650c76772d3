"""Signals a process when its parent dies (Linux, prctl(2)); on other systems a process must notice by itself."""

import ctypes
import os
import signal
import sys
from typing import Final

_PR_SET_PDEATHSIG: Final = 1


def signal_with_parent(parent: int, number: signal.Signals) -> None:
    """Make the kernel send ``number`` to this process when ``parent`` dies; send it at once if it already has."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, number, 0, 0, 0)
        # The parent may have died before prctl: the kernel then sends nothing.
        if os.getppid() != parent:
            os.kill(os.getpid(), number)
