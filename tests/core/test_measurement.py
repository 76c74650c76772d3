"""A measurement: created, as JSON, and displayed."""

import json
import math
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_deploygate.core.measurement import Measurement, group_measurements


class Odd(float):
    """A float whose ``repr`` has more than the number, like numpy's."""

    def __repr__(self) -> str:
        return f"Odd({float(self)})"


@pytest.mark.parametrize(
    ("value", "exact"),
    [
        (0.1, Fraction(1, 10)),
        (0.85, Fraction(17, 20)),
        (3, Fraction(3)),
        (-2.5, Fraction(-5, 2)),
        (Fraction(1, 3), Fraction(1, 3)),
        (1e-320, Fraction("1e-320")),
        (10**300, Fraction(10**300)),
        (Odd(0.1), Fraction(1, 10)),
    ],
)
def test_measurement_is_exact_to_its_shortest_text(value: object, exact: Fraction) -> None:
    found = Measurement.of("m", value, unit="s", check="c")
    assert (found.value, found.name, found.unit, found.check) == (exact, "m", "s", "c")


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, Odd("nan")])
def test_measurement_refuses_what_is_not_finite(value: float) -> None:
    with pytest.raises(ValueError, match="measurement 'm' needs a finite number, got"):
        Measurement.of("m", value)


@pytest.mark.parametrize("value", [True, False, "0.9", None, [1], 1j, b"1"])
def test_measurement_refuses_what_is_no_number(value: object) -> None:
    with pytest.raises(
        TypeError, match=f"measurement 'm' needs a number, got {type(value).__name__}: "
    ):
        Measurement.of("m", value)


def test_measurement_has_no_unit_and_no_check_unless_told() -> None:
    found = Measurement.of("m", 1)
    assert (found.unit, found.check) == ("", "")


def test_measurement_refuses_what_no_float_comes_near_to() -> None:
    with pytest.raises(ValueError, match="measurement 'm' needs a number below 1e308"):
        Measurement.of("m", 10**400)


NUMBERS = st.one_of(
    st.integers(-(10**300), 10**300),
    st.floats(allow_nan=False, allow_infinity=False),
    st.fractions(),
)


@given(NUMBERS, st.text(min_size=1), st.text(), st.text(), st.text())
def test_measurement_comes_back_exactly_from_json(
    value: float | Fraction, name: str, unit: str, check: str, revision: str
) -> None:
    made = Measurement.of(name, value, unit=unit, check=check, revision=revision)
    carried = json.loads(json.dumps(made.to_json()))
    assert Measurement.from_json(carried) == made


@pytest.mark.parametrize(
    ("value", "carried"), [(3, 3), (0.1 + 0.2, 0.1 + 0.2), (Fraction(1, 3), "1/3")]
)
def test_json_has_a_number_where_it_is_exact(value: float | Fraction, carried: object) -> None:
    document = Measurement.of("m", value, unit="s").to_json()
    assert document == {"name": "m", "value": carried, "unit": "s"}


@pytest.mark.parametrize(
    "document",
    [
        {"value": 1},
        {"name": "", "value": 1},
        {"name": 3, "value": 1},
        {"name": "m"},
        {"name": "m", "value": None},
        {"name": "m", "value": True},
        {"name": "m", "value": "much"},
        {"name": "m", "value": math.nan},
        {"name": "m", "value": 1, "unit": 5},
        {"name": "m", "value": 1, "phase": "live"},
    ],
)
def test_json_that_is_no_measurement_is_refused(document: dict[str, object]) -> None:
    with pytest.raises((KeyError, TypeError, ValueError)):
        Measurement.from_json(document)


def test_measurement_is_shown_with_its_unit_and_named_with_its_revision() -> None:
    by_check = Measurement.of("processing_time_s", 0.1 + 0.2, unit="s", check="a::b")
    by_platform = Measurement.of("error_rate", 0.0, revision="svc-1")
    assert (by_check.text, by_check.label) == ("0.3 s", "processing_time_s")
    assert (by_platform.text, by_platform.label) == ("0", "error_rate@svc-1")
    assert (by_check.is_by_platform, by_platform.is_by_platform) == (False, True)


def test_a_side_is_one_of_both_and_travels_with_the_number() -> None:
    measured = Measurement.of("accuracy", 0.9, side="baseline")
    assert Measurement.from_json(measured.to_json()) == measured
    assert measured.label == "accuracy@baseline"
    with pytest.raises(ValueError, match='needs side="candidate" or "baseline", got \'live\''):
        Measurement.of("accuracy", 0.9, side="live")


def test_what_one_check_measured_often_is_one_series_a_side() -> None:
    taken = [
        Measurement.of("accuracy", value, unit="%", check="c", side=side)
        for value in (80, 100)
        for side in ("candidate", "baseline")
    ]
    one = Measurement.of("memory", 2, unit="MB", revision="r")
    found = group_measurements([*taken, one])
    assert [(series.text, series.source) for series in found] == [
        ("90 %", "c, candidate, mean of 2"),
        ("90 %", "c, baseline, mean of 2"),
        ("2 MB", "platform: r"),
    ]
