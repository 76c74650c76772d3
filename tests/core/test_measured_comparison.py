"""What checks measure of both sides of a step: paired, compared in the direction that is better, or no evidence."""

from fractions import Fraction

import pytest

from pytest_deploygate.core.comparison import StepDecision
from pytest_deploygate.core.margin import Margin
from pytest_deploygate.core.mean_test import Pair
from pytest_deploygate.core.measured_comparison import compare_measured, pair_measurements
from pytest_deploygate.core.measurement import Measurement
from pytest_deploygate.core.objective import Objective

ACCURACY = Objective(
    name="accuracy", metric="price_accuracy", worse_by=Margin.parse("5pp"), better="higher"
)
ROWS = Objective(
    name="rows", metric="wrong_rows", worse_by=Margin.parse("x1.5"), up_to=Fraction(20)
)
DECLINE = Objective(
    name="found", metric="found_rows", worse_by=Margin.parse("x1.5"), better="higher", up_to=Fraction(20)
)  # fmt: skip
LOSS = Objective(name="loss", metric="loss", worse_by=Margin.parse("5pp"))


def measured(name: str, value: float, side: str, check: str = "t.py::test_it") -> Measurement:
    return Measurement.of(name, value, check=check, side=side)


def both(name: str, candidate: float, baseline: float, count: int) -> list[Measurement]:
    return [
        measured(name, value, side)
        for _ in range(count)
        for value, side in ((candidate, "candidate"), (baseline, "baseline"))
    ]


@pytest.mark.parametrize(
    ("objective", "candidate", "baseline", "decision"),
    [
        (ACCURACY, 0.97, 0.97, StepDecision.ADVANCE),
        (ACCURACY, 1.0, 0.6, StepDecision.ADVANCE),
        (ACCURACY, 0.7, 0.97, StepDecision.ABORT),
        (ACCURACY, 0.93, 0.97, StepDecision.HOLD),
        (LOSS, 0.02, 0.02, StepDecision.ADVANCE),
        (LOSS, 0.0, 0.4, StepDecision.ADVANCE),
        (LOSS, 0.3, 0.02, StepDecision.ABORT),
        (ROWS, 10, 10, StepDecision.ADVANCE),
        (ROWS, 18, 8, StepDecision.ABORT),
        (ROWS, 0.4, 0.3, StepDecision.HOLD),
        (ROWS, 0, 0, StepDecision.HOLD),
        (DECLINE, 15, 15, StepDecision.ADVANCE),
        (DECLINE, 5, 15, StepDecision.ABORT),
        (DECLINE, 15, 5, StepDecision.ADVANCE),
    ],
)
def test_means_are_compared_in_the_direction_that_is_better(
    objective: Objective, candidate: float, baseline: float, decision: StepDecision
) -> None:
    found = pair_measurements(objective, both(objective.metric, candidate, baseline, 80))
    assert (len(found.pairs), found.problem) == (80, "")
    result = compare_measured(objective, found.pairs)
    assert result.decision is decision
    assert (result.candidate, result.baseline) == pytest.approx((candidate, baseline))
    assert result.low <= result.high


def test_the_sentence_tells_means_difference_interval_and_how_much_was_measured() -> None:
    found = pair_measurements(ACCURACY, both("price_accuracy", 0.7, 0.97, 80))
    told = compare_measured(ACCURACY, found.pairs).sentence
    assert told.startswith("accuracy: worse by more than 5pp: 0.7 against 0.97, +27.00pp [+")
    assert told.endswith("(80 measurements of each side, confidence 0.95)")
    ratio = compare_measured(
        DECLINE, pair_measurements(DECLINE, both("found_rows", 5, 15, 80)).pairs
    )
    assert "5 against 15, x3.00 [x2." in ratio.sentence


@pytest.mark.parametrize(
    ("some", "cause"),
    [
        ([], "accuracy: no check measured price_accuracy"),
        (both("another", 1, 1, 9), "accuracy: no check measured price_accuracy"),
        (
            [measured("price_accuracy", 0.9, "")],
            't.py::test_it measured price_accuracy without side="candidate" or "baseline"',
        ),
        (
            [*both("price_accuracy", 1, 1, 2), measured("price_accuracy", 1, "candidate")],
            "test_it measured price_accuracy 3 times of the candidate and 2 times of the baseline",
        ),
        (
            [measured("price_accuracy", 1, "candidate", "a"), measured("price_accuracy", 1, "baseline", "b")],
            "a measured price_accuracy 1 times of the candidate and 0 times of the baseline",
        ),
        (both("price_accuracy", 1.5, 1, 1), "test_it measured price_accuracy 1.5, outside 0 and 1"),
        (both("price_accuracy", 0.9, -1, 1), "measured price_accuracy -1, outside 0 and 1"),
    ],
)  # fmt: skip
def test_what_cannot_be_paired_or_is_out_of_range_is_no_evidence(
    some: list[Measurement], cause: str
) -> None:
    found = pair_measurements(ACCURACY, some)
    assert found.pairs == ()
    assert cause in found.problem


def test_values_are_paired_by_check_and_order_and_the_platform_s_are_left_out() -> None:
    some = [
        measured("wrong_rows", 4, "candidate", "a"),
        measured("wrong_rows", 10, "candidate", "b"),
        measured("wrong_rows", 2, "baseline", "a"),
        measured("wrong_rows", 20, "candidate", "a"),
        measured("wrong_rows", 0, "baseline", "b"),
        measured("wrong_rows", 10, "baseline", "a"),
        Measurement.of("wrong_rows", 99, revision="svc-1"),
    ]
    assert pair_measurements(ROWS, some).pairs == (Pair(0.2, 0.1), Pair(1.0, 0.5), Pair(0.5, 0.0))
