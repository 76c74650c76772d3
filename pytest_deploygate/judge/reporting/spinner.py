"""One line at the bottom of a terminal that moves while something is waited for, with the time that it takes."""

import contextlib
import shutil
import sys
import threading
import time
from collections.abc import Callable
from typing import Final

_FRAMES: Final = "|/-\\"
_BEAT_S: Final = 0.2
_ERASE: Final = "\r\x1b[2K"


class Spinner:
    """Shows what is waited for until :meth:`stop`; never where the output is not a terminal."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._text = ""
        self._step = ""
        self._since = 0.0
        self._frame = 0
        self._thread: threading.Thread | None = None

    def start(self, step: str, detail: str) -> None:
        """Show one line, with the seconds since ``step`` began, whatever is reported of it meanwhile."""
        with self._lock:
            if step != self._step:
                self._step, self._since = step, self._clock()
            self._text = f"{step}: {detail}"
            self._draw()
            if self._thread is None:
                self._thread = threading.Thread(target=self._turn, daemon=True)
                self._thread.start()

    def stop(self) -> None:
        """Take the line away; what is printed next stands in its place."""
        with self._lock:
            if self._text:
                self._write(_ERASE)
            self._text = ""

    def _turn(self) -> None:
        while True:
            time.sleep(_BEAT_S)
            with self._lock:
                if not self._text:
                    self._thread = None
                    return
                self._draw()

    def _draw(self) -> None:
        self._frame = (self._frame + 1) % len(_FRAMES)
        seconds = self._clock() - self._since
        line = f"{_FRAMES[self._frame]} {self._text}"
        width = shutil.get_terminal_size().columns - 10
        self._write(f"{_ERASE}{line[:width]}  {seconds:.0f} s")

    @staticmethod
    def _write(text: str) -> None:
        with contextlib.suppress(OSError, ValueError):
            sys.stdout.write(text)
            sys.stdout.flush()
