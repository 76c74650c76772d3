"""How much worse a candidate may be, as it is written."""

from fractions import Fraction

import pytest

from pytest_deploygate.core.margin import Margin


@pytest.mark.parametrize(
    ("text", "amount", "is_ratio"),
    [
        ("1pp", Fraction(1, 100), False),
        ("0.5pp", Fraction(1, 200), False),
        ("0pp", Fraction(0), False),
        ("x1.25", Fraction(5, 4), True),
        ("x1", Fraction(1), True),
    ],
)
def test_a_margin_is_exactly_what_is_written(text: str, amount: Fraction, is_ratio: bool) -> None:
    margin = Margin.parse(text)
    assert (margin.amount, margin.is_ratio, str(margin)) == (amount, is_ratio, text)


@pytest.mark.parametrize(
    "text", ["1", "1%", "pp", "x", "x0.5", "-1pp", "99.5pp", "1 pp", "1pp ", ""]
)
def test_what_is_no_margin_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"margin|points"):
        Margin.parse(text)
