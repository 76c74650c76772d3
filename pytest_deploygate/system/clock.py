"""The machine's clock: implements the port :class:`~pytest_deploygate.ports.Clock`."""

import time
from datetime import UTC, datetime


class SystemClock:
    """Wall time, monotonic time and sleep of the operating system."""

    def now(self) -> datetime:
        """Wall time in UTC."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Seconds that never go back."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Sleep for ``seconds``."""
        time.sleep(seconds)
