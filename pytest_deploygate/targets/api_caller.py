"""Every request to the platform goes through here: deadline, bounded retries, translation, log.

A read may be repeated. A write is repeated only when it was certainly not applied: the connection
was refused, or the platform said so with 429. Nothing is repeated blindly.
"""

import logging
from collections.abc import Callable
from typing import Final, TypeVar

from pytest_deploygate.core.errors import DeployGateError, TargetUnavailable
from pytest_deploygate.ports import Clock
from pytest_deploygate.system.retry import Attempt, Backoff, attempts
from pytest_deploygate.targets import api_errors

logger = logging.getLogger(__name__)
T = TypeVar("T")

ATTEMPTS: Final = 4
_BACKOFF: Final = Backoff(first_s=0.2)
_QUOTA_BACKOFF: Final = Backoff(first_s=5.0)
"""Pauses after 429 without Retry-After: quotas are counted by the minute."""
_QUOTA: Final = 429
_LONGEST_PAUSE_S: Final = 20.0


class ApiCaller:
    """Makes calls; ``timeout_s`` is how long one answer may take."""

    def __init__(self, clock: Clock, *, timeout_s: float) -> None:
        self.clock = clock
        self.timeout_s = timeout_s

    def read(self, doing: str, call: Callable[[], T]) -> T:
        """Do ``call``, again if it fails in a way that may pass.

        Raises:
            DeployGateError: as :func:`failures.translate` says; never OutcomeUnknown.
        """
        return self._attempt(doing, call, is_write=False)

    def write(self, doing: str, call: Callable[[], T]) -> T:
        """Do ``call``, which changes the world, again only if it was certainly not applied.

        Raises:
            DeployGateError: as :func:`failures.translate` says.
        """
        return self._attempt(doing, call, is_write=True)

    def _attempt(self, doing: str, call: Callable[[], T], *, is_write: bool) -> T:
        for attempt in attempts(self.clock, _BACKOFF, most=ATTEMPTS):
            begun = self.clock.monotonic()
            try:
                result = call()
            except api_errors.RAISED as error:
                known = api_errors.translate_error(error, doing=doing, is_write=is_write)
                self._log(doing, begun, type(known).__name__)
                if attempt.is_last or not _may_repeat(known):
                    raise known from (None if known is error else error)
                attempt.pause_s = min(_pause_s(error, attempt), _LONGEST_PAUSE_S)
            else:
                self._log(doing, begun, "ok")
                return result
        raise AssertionError("the last attempt returns or raises")

    def _log(self, doing: str, begun: float, outcome: str) -> None:
        elapsed = round(self.clock.monotonic() - begun, 3)
        logger.debug(
            "target.call", extra={"doing": doing, "outcome": outcome, "duration_seconds": elapsed}
        )


def _pause_s(error: Exception, attempt: Attempt) -> float:
    """As long as the platform says, else twice as long each time."""
    answer = api_errors.error_answer_of(error)
    if answer is not None and answer.retry_after_s is not None:
        return answer.retry_after_s
    if answer is not None and answer.http == _QUOTA:
        return _QUOTA_BACKOFF.pause_s(attempt.number)
    return attempt.pause_s


def _may_repeat(known: DeployGateError) -> bool:
    """Only what was certainly not applied; after a conflict the caller must look first."""
    return isinstance(known, TargetUnavailable) and not isinstance(known, api_errors.Conflict)
