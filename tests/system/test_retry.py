"""Attempts, their pauses and their end, on a clock that the test owns."""

import asyncio
import math
from datetime import UTC, datetime

import pytest

from pytest_deploygate.system.retry import Attempt, Backoff, async_attempts, attempts


class WaitingClock:
    """Time that passes only where somebody waits."""

    def __init__(self) -> None:
        self.time_s = 100.0
        self.pauses: list[float] = []

    def now(self) -> datetime:
        return datetime.fromtimestamp(self.time_s, UTC)

    def monotonic(self) -> float:
        return self.time_s

    def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.time_s += seconds


def test_pauses_grow_up_to_the_longest() -> None:
    backoff = Backoff(first_s=0.5, factor=3, longest_s=10)
    assert [backoff.pause_s(n) for n in (1, 2, 3, 4, 1000)] == [0.5, 1.5, 4.5, 10, 10]
    assert Backoff(first_s=2, factor=1).pause_s(10**9) == 2
    assert Backoff(first_s=20, longest_s=10).pause_s(1) == 10


def test_loop_ends_after_the_most_attempts_and_pauses_only_between_them() -> None:
    clock = WaitingClock()
    tried = [(a.number, a.is_last) for a in attempts(clock, Backoff(first_s=1), most=3)]
    assert tried == [(1, False), (2, False), (3, True)]
    assert clock.pauses == [1, 2]


def test_last_attempt_is_made_at_the_deadline_and_none_after_it() -> None:
    clock = WaitingClock()
    times = [clock.time_s for _ in attempts(clock, Backoff(first_s=4), deadline=110)]
    assert times == [100, 104, 110]


def test_one_attempt_is_made_though_the_time_is_up() -> None:
    clock = WaitingClock()
    assert [a.is_last for a in attempts(clock, Backoff(first_s=4), deadline=50)] == [True]
    assert clock.pauses == []


def test_attempt_that_takes_beyond_the_deadline_is_the_last() -> None:
    clock = WaitingClock()
    count = 0
    for _ in attempts(clock, Backoff(first_s=1), deadline=110):
        count += 1
        clock.time_s += 20
    assert count == 1


def test_turn_may_change_the_pause_after_it() -> None:
    clock = WaitingClock()
    for attempt in attempts(clock, Backoff(first_s=1), most=3):
        if attempt.number == 1:
            attempt.pause_s = 30
    assert clock.pauses == [30, 2]


def test_word_that_a_turn_is_not_the_last_is_kept() -> None:
    """Whoever was told that there is another turn gets one, though the deadline passes meanwhile."""
    clock = WaitingClock()
    numbers = []
    for attempt in attempts(clock, Backoff(first_s=1), deadline=110):
        numbers.append(attempt.number)
        if not attempt.is_last:
            clock.time_s = 120
    assert numbers == [1, 2]


@pytest.mark.parametrize("timeout_s", [0.0, 0.05, math.inf])
def test_coroutine_tries_until_its_time_is_up_or_it_leaves(timeout_s: float) -> None:
    async def tries() -> list[Attempt]:
        made: list[Attempt] = []
        async for attempt in async_attempts(Backoff(first_s=0.001, factor=1), timeout_s=timeout_s):
            made.append(attempt)
            if len(made) == 10**4:
                break
            if timeout_s == math.inf and attempt.number == 3:
                break
        return made

    made = asyncio.run(tries())
    assert [a.number for a in made] == list(range(1, len(made) + 1))
    assert made[-1].is_last is (timeout_s != math.inf)
    assert all(not a.is_last for a in made[:-1])
