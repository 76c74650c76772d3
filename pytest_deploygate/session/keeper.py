"""Keeps a lease alive while its holder works: one heartbeat every third of its time to live."""

import logging
import threading
from collections.abc import Callable

from pytest_deploygate.core.errors import DeployGateError, LeaseLost
from pytest_deploygate.engine import Ledgered

logger = logging.getLogger(__name__)


class LeaseKeeper:
    """A thread that beats. ``on_lost`` is called once, from that thread, when the lease is no longer ours."""

    def __init__(self, rollout: Ledgered, on_lost: Callable[[str], None]) -> None:
        self._rollout = rollout
        self._on_lost = on_lost
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="deploygate-lease", daemon=True)

    def start(self) -> None:
        """Begin to beat."""
        self._thread.start()

    def stop(self) -> None:
        """Stop beating; returns when the thread has ended."""
        self._stop.set()
        self._thread.join(timeout=10)

    def _run(self) -> None:
        lease, store = self._rollout.lease, self._rollout.ports.store
        while not self._stop.wait(lease.ttl_s / 3):
            try:
                lease = store.beat(lease)
            except LeaseLost as error:
                if not self._stop.is_set():
                    self._on_lost(error.message)
                return
            except DeployGateError as error:
                logger.warning("lease.beat_failed", extra={"reason": error.message})
