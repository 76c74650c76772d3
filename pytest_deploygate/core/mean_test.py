"""A sequential test of two means of values between 0 and 1, measured in pairs (ADR 30).

The hypothesis is a line: the candidate's mean is at most (or at least) ``scale`` times the baseline's plus ``shift``.
Each pair is a bet on its difference ``d = candidate - scale * baseline - shift``: the capital is multiplied by
``1 + stake * d``, which on average is at most 1 if the hypothesis is true, whatever the distribution of the values and
however both sides of a pair depend on each other. By Ville's inequality the capital ever exceeds ``1 / alpha`` with a
probability of at most ``alpha`` (Waudby-Smith and Ramdas, "Estimating means of bounded random variables by betting",
arXiv 2010.09686).
"""

import math
from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

from pytest_deploygate.core.sequential_test import Claim, Line, add_capital, is_enough

_STAKES: Final = ((0.05, 0.1), (0.2, 0.15), (0.5, 0.25), (0.95, 0.5))
"""Parts of the largest possible stake, with the part of the capital on each: what is measured often varies little, and
then the largest wins most; where single values fail totally, the small ones do."""
_LEAST_LOSS: Final = 1e-9
"""A claim that no pair can contradict is a bet that cannot lose; its stake stays finite."""


class Pair(NamedTuple):
    """One value of each side, 0..1, measured by the same check."""

    candidate: float
    baseline: float


def log_evidence(pairs: Iterable[Pair], line: Line, claim: Claim) -> Iterator[float]:
    """Natural logarithm of the evidence after each of ``pairs``.

    Against a true hypothesis it ever reaches ``log(1 / alpha)`` with a probability of at most ``alpha``.
    """
    sign = 1 if claim is Claim.ABOVE else -1
    worst = -line.scale - line.shift if claim is Claim.ABOVE else line.shift - 1
    largest = 1 / max(-worst, _LEAST_LOSS)
    logs = [0.0] * len(_STAKES)
    for candidate, baseline in pairs:
        difference = sign * (candidate - line.scale * baseline - line.shift)
        logs = [
            log + math.log1p(part * largest * difference)
            for log, (part, _) in zip(logs, _STAKES, strict=True)
        ]
        yield add_capital(logs, [part for _, part in _STAKES])


def is_mean_shown(pairs: Iterable[Pair], line: Line, claim: Claim, *, confidence: float) -> bool:
    """Whether ``claim`` is shown at any time during ``pairs``; once shown, it stays shown."""
    return is_enough(log_evidence(pairs, line, claim), confidence=confidence)
