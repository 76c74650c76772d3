"""Runs functions-framework inside a function's own environment; executed by path, with that interpreter.

It imports nothing of this package, as the function's environment does not have it. On Linux it asks the kernel to end
the function when the local cloud dies, since a killed parent cannot.
"""

import ctypes
import os
import runpy
import signal
import sys

_PR_SET_PDEATHSIG = 1


def main() -> None:
    """Usage: ``launch.py PARENT_PID functions-framework-arguments...``."""
    parent = int(sys.argv[1])
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:  # it died before the kernel was asked
        sys.exit(1)
    # The directory of this file must not shadow modules of the function, whose own directory comes first.
    sys.path[0] = os.getcwd()  # noqa: PTH109 - pathlib would be one more import in each cold start
    sys.argv[:] = ["functions_framework", *sys.argv[2:]]
    runpy.run_module("functions_framework", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
