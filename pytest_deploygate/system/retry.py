"""The one loop for retries and polls: attempts, growing pauses between them, and the end (ADR 20).

The caller makes one attempt; this module decides when to pause and when to give up. Time comes from the port ``Clock``,
so that tests control it; code in an event loop uses :func:`async_attempts`. ADR 20 says why there is no library.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pytest_deploygate.ports import Clock


@dataclass(frozen=True, slots=True, kw_only=True)
class Backoff:
    """Pauses between attempts: ``first_s``, then each time ``factor`` times as long, at most ``longest_s``."""

    first_s: float
    factor: float = 2.0
    longest_s: float = math.inf

    def pause_s(self, number: int) -> float:
        """The pause after attempt ``number``, which counts from 1."""
        pause_s = self.first_s
        for _ in range(number - 1):
            if pause_s >= self.longest_s or self.factor <= 1:
                break
            pause_s *= self.factor
        return min(pause_s, self.longest_s)


class Attempt:
    """One turn of the loop. ``number`` counts from 1; ``pause_s`` is the pause after it, which may be changed."""

    def __init__(self, number: int, pause_s: float, is_over: Callable[[], bool]) -> None:
        self.number = number
        self.pause_s = pause_s
        self._is_over = is_over
        self._is_last: bool | None = None

    @property
    def is_last(self) -> bool:
        """Whether the loop ends with this turn; the first answer is kept, so that it cannot change during the turn."""
        if self._is_last is None:
            self._is_last = self._is_over()
        return self._is_last


class _Series:
    """Shared by both loops: creates attempts, and computes the pauses."""

    def __init__(
        self, monotonic: Callable[[], float], backoff: Backoff, deadline: float, most: int | None
    ) -> None:
        self._monotonic = monotonic
        self._backoff = backoff
        self._deadline = deadline
        self._most = most
        self._number = 0

    def begin(self) -> Attempt:
        self._number += 1
        return Attempt(self._number, self._backoff.pause_s(self._number), self._is_over)

    def _is_over(self) -> bool:
        return self._number == self._most or self._monotonic() >= self._deadline

    def wait_s(self, attempt: Attempt) -> float:
        """Pause after ``attempt``, cut at the deadline, because one more attempt is made there."""
        return max(0.0, min(attempt.pause_s, self._deadline - self._monotonic()))


def attempts(
    clock: Clock, backoff: Backoff, *, deadline: float = math.inf, most: int | None = None
) -> Iterator[Attempt]:
    """Attempts with pauses between them; ends after ``most`` attempts, or after the first that ends past ``deadline``.

    ``deadline`` is on the monotonic clock. There is at least one attempt, and a last one at the deadline.
    """
    series = _Series(clock.monotonic, backoff, deadline, most)
    while True:
        attempt = series.begin()
        yield attempt
        if attempt.is_last:
            return
        clock.sleep(series.wait_s(attempt))


class async_attempts:  # noqa: N801 # used like attempts(); a class, so that leaving it early leaves no generator open
    """Like :func:`attempts`, for coroutines; ``timeout_s`` counts from now on the event loop's clock."""

    def __init__(self, backoff: Backoff, *, timeout_s: float = math.inf) -> None:
        import asyncio  # as slow to load as everything else that most commands need

        monotonic = asyncio.get_running_loop().time
        self._series = _Series(monotonic, backoff, monotonic() + timeout_s, None)
        self._attempt: Attempt | None = None

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Attempt:
        if self._attempt is not None:
            if self._attempt.is_last:
                raise StopAsyncIteration
            import asyncio

            await asyncio.sleep(self._series.wait_s(self._attempt))
        self._attempt = self._series.begin()
        return self._attempt
