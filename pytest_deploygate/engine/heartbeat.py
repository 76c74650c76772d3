"""Renews a lease while its holder works: one heartbeat every third of its time to live."""

import logging
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Self

from pytest_deploygate.core.errors import DeployGateError, LeaseLost
from pytest_deploygate.core.record import Lease
from pytest_deploygate.ports import Store

logger = logging.getLogger(__name__)


def _ignore_loss(message: str) -> None:
    """Do nothing: the holder learns of the lost lease at its next write."""


class LeaseHeartbeat:
    """A thread that renews a lease, from :meth:`start` to :meth:`stop` or for a ``with`` block.

    It calls ``on_lost`` once, from that thread, when another holder has the lease.
    """

    def __init__(
        self, store: Store, lease: Lease, on_lost: Callable[[str], None] = _ignore_loss
    ) -> None:
        self._store = store
        self._lease = lease
        self._on_lost = on_lost
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="deploygate-lease", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Stop the thread; return when it has ended."""
        self._stop.set()
        self._thread.join(timeout=10)

    def __enter__(self) -> Self:
        """Start the thread."""
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Stop the thread."""
        self.stop()

    def _run(self) -> None:
        while not self._stop.wait(self._lease.ttl_s / 3):
            try:
                self._lease = self._store.renew_lease(self._lease)
            except LeaseLost as error:
                # A holder that has stopped gave the lease back itself: that is no loss.
                if not self._stop.is_set():
                    self._on_lost(error.message)
                return
            except DeployGateError as error:
                # The lease outlives a failed heartbeat: there are three in its time to live.
                logger.warning("lease.beat_failed", extra={"reason": error.message})
