"""The machine's own time: the implementation of the port :class:`~pytest_deploygate.ports.Clock`."""

import time
from datetime import UTC, datetime


class SystemClock:
    """Wall time, monotonic time and waiting, as the operating system gives them."""

    def now(self) -> datetime:
        """Wall time."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Seconds that never go back."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Wait."""
        time.sleep(seconds)
