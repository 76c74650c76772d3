"""A sequential test of two proportions: it may be evaluated after every minute, and stopped at any (ADR 30).

The hypothesis is a line: the candidate's share of bad requests is at most (or at least) ``scale`` times the
baseline's plus ``shift``. Each block of requests, here a minute, becomes a bet against it that cannot win in the long
run if the hypothesis is true; the capital of the bets is the evidence. By Ville's inequality it ever exceeds ``1 /
alpha`` with a probability of at most ``alpha``, however often the test is evaluated (Turner, Ly and Gruenwald, "Safe
tests for 2x2 contingency tables", arXiv 2106.02693; the form of the bets: Waudby-Smith and Ramdas, "Estimating means
of bounded random variables by betting", arXiv 2010.09686).

Why a block cannot win: let ``c`` and ``b`` be the true shares of candidate and baseline, ``(c0, b0)`` a point of the
line, and ``u`` and ``v`` stakes with ``n_b * v = scale * n_c * u``. A block multiplies the evidence by the product of
``1 + u * (y - c0)`` over the candidate's requests and ``1 - v * (y - b0)`` over the baseline's, where ``y`` is 1 for
a bad one. As ``1 + x <= exp(x)``, its expectation is at most ``exp(n_c * u * (c - scale * b - shift))``: 1 or less
for all shares on the right side of the line. Nothing is assumed about ``b``, and both shares may change from minute
to minute; only the point and the stakes must be chosen before the block is seen.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from enum import Enum, unique
from typing import Final, NamedTuple

_MOST_STAKE: Final = 0.95
"""Largest part of the capital that one request may lose; to lose all of it would end the betting."""
_EDGE: Final = 1e-9
"""Distance of shares from 0 and 1, where no bet is possible."""


class Arm(NamedTuple):
    """Requests of one side in one block, and the number of bad ones."""

    requests: int
    bad: int


class Block(NamedTuple):
    """Both sides over the same time; ``expected`` is the baseline's share of bad requests before the block."""

    candidate: Arm
    baseline: Arm
    expected: float


class Line(NamedTuple):
    """The border: the candidate's share is ``scale`` times the baseline's plus ``shift``."""

    scale: float = 1.0
    shift: float = 0.0


@unique
class Claim(Enum):
    """The claim to show: the candidate's share is above the line, or below it."""

    ABOVE = "above"
    BELOW = "below"


_BETS: Final = {
    Claim.ABOVE: ((1.5, 0.2), (3.0, 0.6), (8.0, 0.2)),
    Claim.BELOW: ((0.25, 0.2), (0.5, 0.6), (0.8, 0.2)),
}
"""Candidate shares to bet on, as multiples of the share on the line, with the part of the capital on each.

The middle one fits a regression that is worth an alarm; the others fit small and total regressions.
"""


def log_evidence(blocks: Iterable[Block], line: Line, claim: Claim) -> Iterator[float]:
    """Natural logarithm of the evidence after each of ``blocks``.

    Against a true hypothesis it ever reaches ``log(1 / alpha)`` with a probability of at most ``alpha``.
    """
    bets = _BETS[claim]
    logs = [0.0] * len(bets)
    for block in blocks:
        # Skip a block with one empty side: the stakes could not be balanced.
        if block.candidate.requests and block.baseline.requests:
            for index, (multiple, _) in enumerate(bets):
                logs[index] += _log_gain(block, line, claim, multiple)
        yield add_capital(logs, [part for _, part in bets])


def add_capital(logs: Sequence[float], parts: Sequence[float]) -> float:
    """Logarithm of the capital in all bets: ``parts`` of it began on each, which multiplied by ``exp(logs)``."""
    top = max(logs)
    return top + math.log(
        sum(part * math.exp(log - top) for log, part in zip(logs, parts, strict=True))
    )


def is_enough(evidence: Iterable[float], *, confidence: float) -> bool:
    """Whether logarithms of evidence ever reach what ``confidence`` asks for."""
    needed = -math.log(1 - confidence)
    return any(one >= needed for one in evidence)


def is_shown(blocks: Iterable[Block], line: Line, claim: Claim, *, confidence: float) -> bool:
    """Whether ``claim`` is shown at any time during ``blocks``; once shown, it stays shown."""
    return is_enough(log_evidence(blocks, line, claim), confidence=confidence)


def _log_gain(block: Block, line: Line, claim: Claim, multiple: float) -> float:
    """Logarithm of the factor by which one bet on one block multiplies the capital."""
    (n_c, bad_c), (n_b, bad_b), expected = block
    low, high = _ends(line)
    at = _within(expected, low, high)
    border = line.scale * at + line.shift
    is_above = claim is Claim.ABOVE
    bet_on = multiple * border
    if is_above:
        bet_on = min(max(bet_on, expected), (1 + border) / 2)
    # The point of the line that is hardest to distinguish from the bet: the baseline's share is not exactly known.
    weight_b = n_b / (at * (1 - at))
    near = max(border, min(bet_on, expected))
    weight_c = n_c * line.scale**2 / (near * (1 - near))
    away = (bet_on - line.shift) / line.scale
    b0 = _within((weight_b * expected + weight_c * away) / (weight_b + weight_c), low, high)
    c0 = line.scale * b0 + line.shift
    sign = 1 if is_above else -1
    u = max(sign * (bet_on - c0), 0.0) / (c0 * (1 - c0))
    v = line.scale * u * n_c / n_b
    most_u = _MOST_STAKE / (c0 if is_above else 1 - c0)
    most_v = _MOST_STAKE / (1 - b0 if is_above else b0)
    factor = min(1.0, most_u / u if u else 1.0, most_v / v if v else 1.0)
    u, v = sign * factor * u, sign * factor * v
    return (
        bad_c * math.log1p(u * (1 - c0))
        + (n_c - bad_c) * math.log1p(-u * c0)
        + bad_b * math.log1p(-v * (1 - b0))
        + (n_b - bad_b) * math.log1p(v * b0)
    )


def _ends(line: Line) -> tuple[float, float]:
    """Range of the baseline's share in which both shares on the line are within 0 and 1."""
    low = max(0.0, -line.shift / line.scale)
    high = min(1.0, (1 - line.shift) / line.scale)
    return low + _EDGE, high - _EDGE


def _within(value: float, low: float, high: float) -> float:
    return min(max(value, low), high)
