"""Compares the candidate with the baseline over the same minutes: advance, abort, or hold.

ABORT: worse than the margin, at the configured confidence. ADVANCE: not worse than the margin, at the same confidence.
HOLD: neither is shown yet. Both are sequential tests, which may be evaluated after each minute
(:mod:`pytest_deploygate.core.sequential_test`, ADR 30): each is wrong with a probability of at most ``1 - confidence``,
however often it is evaluated.

A quantile is compared by the share of slow requests. Let ``t`` be the baseline's quantile of the minutes before. The
candidate is worse than a ratio of 1.25 if the share of its requests above ``1.25 * t`` exceeds the share of the
baseline's requests above ``t`` (stochastic order). Between two bounds of a histogram nothing is known: each side is
rounded so that nothing is claimed.
"""

import math
from abc import ABC, abstractmethod
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum, unique
from typing import Final, NamedTuple

from pytest_deploygate.core.latency_histogram import LatencyHistogram, combine
from pytest_deploygate.core.minute_counts import MinuteCounts, add_counts
from pytest_deploygate.core.objective import Objective
from pytest_deploygate.core.sequential_test import (
    Arm,
    Block,
    Claim,
    Line,
    is_shown,
)

_FIRST_GUESS: Final = 50
"""Weight, in requests, of the guessed share before anything is observed."""
_GUESSED_ERRORS: Final = 0.01
_MOST_HISTORY: Final = 5000
"""Largest weight, in requests, of earlier minutes, so that the newest minutes count."""
_HALVINGS: Final = 14
_RATIOS: Final = (1 / 64, 64.0)
_POINTS: Final = (-1.0, 1.0)
"""Ends of the scale on which an effect is searched."""


class MinutePair(NamedTuple):
    """Both sides in the same minute."""

    candidate: MinuteCounts
    baseline: MinuteCounts


@unique
class StepDecision(Enum):
    """Decision at a step."""

    ADVANCE = "advance"
    HOLD = "hold"
    ABORT = "abort"


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectiveResult:
    """One judged objective: estimates of both sides, their difference with its interval, and the decision.

    ``difference``, ``low`` and ``high`` are shares (0..1) if the margin is in percentage points, else ratios. Each end
    of the interval holds with the objective's confidence, over all evaluations.
    """

    objective: Objective
    decision: StepDecision
    candidate: float
    baseline: float
    difference: float
    low: float
    high: float
    candidate_requests: int
    baseline_requests: int
    seconds: int

    @property
    def sentence(self) -> str:
        """The result as one sentence."""
        objective = self.objective
        told = {
            StepDecision.ADVANCE: f"not worse by {objective.worse_by} or more",
            StepDecision.HOLD: f"not yet decided, the margin is {objective.worse_by}",
            StepDecision.ABORT: f"worse by more than {objective.worse_by}",
        }[self.decision]
        seen = f"{self.candidate_requests} measurements of each side"
        if not objective.is_measured:
            seen = f"{self.candidate_requests} and {self.baseline_requests} requests in {_time_text(self.seconds)}"
        return (
            f"{objective.name}: {told}: {objective.describe(self.candidate)} against "
            f"{objective.describe(self.baseline)}, {self._apart} "
            f"({seen}, confidence {float(objective.confidence):g})"
        )

    @property
    def _apart(self) -> str:
        """Difference of both sides with the interval; an unknown end is open."""
        lowest, highest = _RATIOS if self.objective.worse_by.is_ratio else _POINTS
        low = self._describe(self.low) if self.low > lowest else "open"
        high = self._describe(self.high) if self.high < highest else "open"
        return f"{self._describe(self.difference)} [{low}, {high}]"

    def _describe(self, effect: float) -> str:
        return f"x{effect:.2f}" if self.objective.worse_by.is_ratio else f"{100 * effect:+.2f}pp"


def _time_text(seconds: int) -> str:
    return f"{seconds} s" if seconds < 120 else f"{seconds / 60:g} min"


def compare(
    objective: Objective,
    minutes: Sequence[MinutePair],
    history: Sequence[MinuteCounts] = (),
    *,
    minute_s: int = 60,
) -> ObjectiveResult:
    """Judge ``objective`` on the counts of ``minutes``, in their order; each is ``minute_s`` seconds long.

    ``history`` is the baseline in the minutes before: it improves the first bets, and is not evidence itself.
    """
    pooled = tuple(_pool(minutes))
    comparison = _Quantile if objective.quantile is not None else _Share
    return comparison(objective, pooled, tuple(history)).result(len(minutes) * minute_s)


def _pool(minutes: Sequence[MinutePair]) -> Iterator[MinutePair]:
    """Merge minutes until both sides have requests, because one side alone is no evidence."""
    waiting: list[MinutePair] = []
    for pair in minutes:
        waiting.append(pair)
        added = MinutePair(
            add_counts(p.candidate for p in waiting), add_counts(p.baseline for p in waiting)
        )
        if added.candidate.requests and added.baseline.requests:
            yield added
            waiting = []
    if waiting:
        yield MinutePair(
            add_counts(p.candidate for p in waiting), add_counts(p.baseline for p in waiting)
        )


class EffectComparison(ABC):
    """Common part of all comparisons: an effect on a scale, and a margin on it."""

    def __init__(self, objective: Objective) -> None:
        self.objective = objective
        self._confidence = float(objective.confidence)

    @property
    @abstractmethod
    def counts(self) -> tuple[int, int]:
        """How much was seen of candidate and baseline."""

    @abstractmethod
    def is_effect_shown(self, claim: Claim, effect: float) -> bool:
        """Whether it is shown that the candidate is worse than ``effect`` (ABOVE), or not worse (BELOW)."""

    @abstractmethod
    def estimates(self) -> tuple[float, float]:
        """Estimates of candidate and baseline."""

    def result(self, seconds: int) -> ObjectiveResult:
        """Judge the objective."""
        margin = float(self.objective.worse_by.amount)
        is_worse = self.is_effect_shown(Claim.ABOVE, margin)
        is_fine = not is_worse and self.is_effect_shown(Claim.BELOW, margin)
        lowest, highest = _RATIOS if self.objective.worse_by.is_ratio else _POINTS
        low = self._search(Claim.ABOVE, margin if is_worse else lowest, highest)
        high = self._search(Claim.BELOW, margin if is_fine else highest, max(low, lowest))
        undecided = StepDecision.ADVANCE if is_fine else StepDecision.HOLD
        candidate, baseline = self.estimates()
        apart = self._apart(candidate, baseline)
        of_candidate, of_baseline = self.counts
        return ObjectiveResult(
            objective=self.objective,
            decision=StepDecision.ABORT if is_worse else undecided,
            candidate=candidate,
            baseline=baseline,
            difference=apart,
            # A quantile is tested at bounds, and estimated between them: the interval is widened to its estimate.
            low=max(margin, min(low, apart)) if is_worse else min(low, apart),
            high=min(margin, max(high, apart)) if is_fine else max(high, apart),
            candidate_requests=of_candidate,
            baseline_requests=of_baseline,
            seconds=seconds,
        )

    def _apart(self, candidate: float, baseline: float) -> float:
        """How much worse the candidate is."""
        is_higher = self.objective.better == "higher"
        more, less = (baseline, candidate) if is_higher else (candidate, baseline)
        if not self.objective.worse_by.is_ratio:
            return more - less
        if less:
            return more / less
        return math.inf if more else 1.0

    def _search(self, claim: Claim, shown: float, not_shown: float) -> float:
        """The effect furthest from ``shown`` for which ``claim`` is shown too; ``shown`` if there is none."""
        is_ratio = self.objective.worse_by.is_ratio
        for _ in range(_HALVINGS):
            middle = math.sqrt(shown * not_shown) if is_ratio else (shown + not_shown) / 2
            if self.is_effect_shown(claim, middle):
                shown = middle
            else:
                not_shown = middle
        return shown


class _MinuteComparison(EffectComparison):
    """Common part of the comparisons of shares and of quantiles, by minute."""

    def __init__(
        self,
        objective: Objective,
        minutes: tuple[MinutePair, ...],
        history: tuple[MinuteCounts, ...],
    ) -> None:
        super().__init__(objective)
        self.minutes = minutes
        self.history = history
        self.candidate = add_counts(pair.candidate for pair in minutes)
        self.baseline = add_counts(pair.baseline for pair in minutes)

    @property
    def counts(self) -> tuple[int, int]:
        return self.candidate.requests, self.baseline.requests

    @abstractmethod
    def blocks_at(self, effect: float, claim: Claim) -> Iterator[Block]:
        """Blocks to bet on, to show that the candidate is worse than ``effect``, or not."""

    @abstractmethod
    def line_at(self, effect: float) -> Line:
        """The border between worse than ``effect`` and not worse."""

    def is_effect_shown(self, claim: Claim, effect: float) -> bool:
        line = self.line_at(effect)
        blocks = self.blocks_at(effect, claim)
        return is_shown(blocks, line, claim, confidence=self._confidence)


class _Share(_MinuteComparison):
    """Compares the shares of requests with a server error."""

    def blocks_at(self, effect: float, claim: Claim) -> Iterator[Block]:
        del effect, claim
        seen = add_counts(self.history)
        requests, errors = float(seen.requests), float(seen.errors)
        for candidate, baseline in self.minutes:
            fade = min(1.0, _MOST_HISTORY / requests) if requests else 1.0
            requests, errors = requests * fade, errors * fade
            guess = _GUESSED_ERRORS * _FIRST_GUESS
            yield Block(
                Arm(candidate.requests, candidate.errors),
                Arm(baseline.requests, baseline.errors),
                (errors + guess) / (requests + _FIRST_GUESS),
            )
            requests, errors = requests + baseline.requests, errors + baseline.errors

    def line_at(self, effect: float) -> Line:
        return Line(scale=effect) if self.objective.worse_by.is_ratio else Line(shift=effect)

    def estimates(self) -> tuple[float, float]:
        def share(counts: MinuteCounts) -> float:
            return counts.errors / counts.requests if counts.requests else 0.0

        return share(self.candidate), share(self.baseline)


class _Quantile(_MinuteComparison):
    """Compares a latency quantile, by the shares of slow requests."""

    def blocks_at(self, effect: float, claim: Claim) -> Iterator[Block]:
        seen = combine(counts.latencies for counts in self.history)
        for candidate, baseline in self.minutes:
            block = self._block(seen, candidate.latencies, baseline.latencies, effect, claim)
            if block is not None:
                yield block
            seen = combine((seen, baseline.latencies))

    def _block(
        self,
        seen: LatencyHistogram,
        candidate: LatencyHistogram,
        baseline: LatencyHistogram,
        effect: float,
        claim: Claim,
    ) -> Block | None:
        """One minute as a bet; None if no bound is known before it, or the bounds do not reach far enough."""
        shared = sorted(set(seen.bounds) & set(baseline.bounds))
        if not shared or not candidate.bounds:
            return None
        at = self._slow_from(seen, shared)
        if claim is Claim.ABOVE:
            index = bisect_left(candidate.bounds, effect * at)
        else:
            index = bisect_right(candidate.bounds, effect * at) - 1
        if not 0 <= index < len(candidate.bounds):
            return None
        slow_share = 1 - self._quantile
        guess = slow_share * _FIRST_GUESS
        return Block(
            Arm(candidate.total, candidate.count_from(candidate.bounds[index])),
            Arm(baseline.total, baseline.count_from(at)),
            (seen.count_from(at) + guess) / (seen.total + _FIRST_GUESS),
        )

    @property
    def _quantile(self) -> float:
        assert self.objective.quantile is not None
        return float(self.objective.quantile)

    def _slow_from(self, seen: LatencyHistogram, shared: list[float]) -> float:
        """The bound nearest to the baseline's quantile of the minutes before."""
        slow = (1 - self._quantile) * seen.total
        return min(shared, key=lambda bound: abs(seen.count_from(bound) - slow))

    def line_at(self, effect: float) -> Line:
        del effect
        return Line()

    def estimates(self) -> tuple[float, float]:
        share = self._quantile
        return self.candidate.latencies.quantile(share), self.baseline.latencies.quantile(share)
