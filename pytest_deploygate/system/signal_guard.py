"""Handles signals during a rollout: the first one interrupts the session, none interrupts a rollback."""

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType
from typing import Final

_SIGNALS: Final = tuple(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
)


class SignalGuard:
    """Handles the signals while a session may act, also if the shell started pytest with SIGINT ignored."""

    def __init__(self) -> None:
        self.received: list[str] = []
        self._shielded = False
        self._previous: dict[signal.Signals, object] = {}

    def install(self) -> None:
        """Install the handlers; does nothing outside the main thread."""
        if threading.current_thread() is not threading.main_thread():
            return
        for number in _SIGNALS:
            self._previous[number] = signal.signal(number, self._handle)

    def remove(self) -> None:
        """Restore the previous handlers."""
        while self._previous:
            number, handler = self._previous.popitem()
            signal.signal(number, handler)  # type: ignore[arg-type]  # what signal.signal returned

    @contextlib.contextmanager
    def shield(self) -> Iterator[None]:
        """Only record signals while the block runs."""
        self._shielded = True
        try:
            yield
        finally:
            self._shielded = False

    @contextlib.contextmanager
    def defer_signals(self) -> Iterator[None]:
        """Delay the interrupt until the block ends, so that its caller knows what the block started."""
        known = len(self.received)
        with self.shield():
            yield
        if self.received and not known:
            raise KeyboardInterrupt(f"signal {self.received[0]}")

    @contextlib.contextmanager
    def deliver_signals(self) -> Iterator[None]:
        """Raise the interrupt after the block again, in case a check caught it, or it became another error.

        An interrupt between two steps of a lock ends as an error about that lock.
        """
        try:
            yield
        except Exception as error:
            if self.received:
                raise KeyboardInterrupt(f"signal {self.received[0]}") from error
            raise
        if self.received:
            raise KeyboardInterrupt(f"signal {self.received[0]}")

    def _handle(self, number: int, frame: FrameType | None) -> None:
        del frame
        name = signal.Signals(number).name
        is_first = not self.received
        self.received.append(name)
        if is_first and not self._shielded:
            raise KeyboardInterrupt(f"signal {name}")
