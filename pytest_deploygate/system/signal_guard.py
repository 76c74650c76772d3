"""Signals during a rollout: the first one interrupts the session, none interrupts a return to the baseline."""

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
    """Installed while a session may act. A shell that started pytest with SIGINT ignored is overruled."""

    def __init__(self) -> None:
        self.received: list[str] = []
        self._shielded = False
        self._previous: dict[signal.Signals, object] = {}

    def install(self) -> None:
        """Take over the signals; does nothing outside the main thread."""
        if threading.current_thread() is not threading.main_thread():
            return
        for number in _SIGNALS:
            self._previous[number] = signal.signal(number, self._handle)

    def remove(self) -> None:
        """Give the signals back."""
        while self._previous:
            number, handler = self._previous.popitem()
            signal.signal(number, handler)  # type: ignore[arg-type]  # what signal.signal returned

    @contextlib.contextmanager
    def shield(self) -> Iterator[None]:
        """Only note signals while the block runs."""
        self._shielded = True
        try:
            yield
        finally:
            self._shielded = False

    @contextlib.contextmanager
    def defer_signals(self) -> Iterator[None]:
        """Let a signal interrupt only when the block has ended, so that what it begins is known to who must end it."""
        known = len(self.received)
        with self.shield():
            yield
        if self.received and not known:
            raise KeyboardInterrupt(f"signal {self.received[0]}")

    @contextlib.contextmanager
    def deliver_signals(self) -> Iterator[None]:
        """Let no signal get lost in the block: neither where a check catches what it raises, nor in another's lock.

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
