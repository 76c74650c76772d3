"""Compares what the checks of a step measured of the candidate and of the baseline.

A check measures both sides, ``measure(NAME, value, side="candidate")`` and ``side="baseline"``, equally often; its
n-th value of one side is paired with its n-th of the other. What cannot be paired, or is outside 0 and ``up-to``,
is no evidence, and the objective cannot be judged: the step holds.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from pytest_deploygate.core.comparison import EffectComparison, ObjectiveResult
from pytest_deploygate.core.mean_test import Pair, is_mean_shown
from pytest_deploygate.core.measurement import BASELINE_SIDE, CANDIDATE_SIDE, Measurement
from pytest_deploygate.core.objective import Objective
from pytest_deploygate.core.sequential_test import Claim, Line


class MeasuredPairs(NamedTuple):
    """What was measured of one metric, paired; no pairs if it cannot be judged, and ``problem`` says why."""

    pairs: tuple[Pair, ...] = ()
    problem: str = ""


def pair_measurements(objective: Objective, measured: Iterable[Measurement]) -> MeasuredPairs:
    """The pairs of the objective's metric, scaled to 0..1, in the order in which they were measured."""
    name, highest = objective.metric, objective.up_to
    by_check: Mapping[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for one in measured:
        if one.name != name or one.is_by_platform:
            continue
        if not one.side:
            return _problem(
                objective, f'{one.check} measured {name} without side="candidate" or "baseline"'
            )
        if not 0 <= one.value <= highest:
            return _problem(
                objective,
                f"{one.check} measured {name} {one.text}, outside 0 and {float(highest):g}",
            )
        by_check[one.check][one.side].append(float(one.value / highest))
    pairs: list[Pair] = []
    for check, sides in by_check.items():
        candidate, baseline = sides[CANDIDATE_SIDE], sides[BASELINE_SIDE]
        if len(candidate) != len(baseline):
            told = (
                f"{len(candidate)} times of the candidate and {len(baseline)} times of the baseline"
            )
            return _problem(objective, f"{check} measured {name} {told}")
        pairs += map(Pair, candidate, baseline)
    return (
        MeasuredPairs(tuple(pairs)) if pairs else _problem(objective, f"no check measured {name}")
    )


def _problem(objective: Objective, cause: str) -> MeasuredPairs:
    return MeasuredPairs(problem=f"{objective.name}: {cause}")


def compare_measured(objective: Objective, pairs: tuple[Pair, ...]) -> ObjectiveResult:
    """Judge ``objective`` on ``pairs``."""
    return _Mean(objective, pairs).result(0)


class _Mean(EffectComparison):
    """Compares two means of what checks measured."""

    def __init__(self, objective: Objective, pairs: tuple[Pair, ...]) -> None:
        super().__init__(objective)
        self._pairs = pairs

    @property
    def counts(self) -> tuple[int, int]:
        return len(self._pairs), len(self._pairs)

    def is_effect_shown(self, claim: Claim, effect: float) -> bool:
        ratio, is_higher = self.objective.worse_by.is_ratio, self.objective.better == "higher"
        if is_higher:  # worse is below the line
            claim = Claim.BELOW if claim is Claim.ABOVE else Claim.ABOVE
            line = Line(scale=1 / effect) if ratio else Line(shift=-effect)
        else:
            line = Line(scale=effect) if ratio else Line(shift=effect)
        return is_mean_shown(self._pairs, line, claim, confidence=self._confidence)

    def estimates(self) -> tuple[float, float]:
        highest, count = float(self.objective.up_to), len(self._pairs)
        return (
            highest * sum(pair.candidate for pair in self._pairs) / count,
            highest * sum(pair.baseline for pair in self._pairs) / count,
        )
