"""Keeps other processes of the same user from reading this one's memory and variables (Linux, prctl(2))."""

import ctypes
import sys
from typing import Final

_PR_SET_DUMPABLE: Final = 4


def forbid_inspection() -> None:
    """Have ``/proc/PID/environ`` and the like belong to root from now on; elsewhere nothing changes."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
