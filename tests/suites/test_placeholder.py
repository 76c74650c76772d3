"""Copied runs of values are found; real values that repeat are not."""

import pytest

from pytest_deploygate.checks.accuracy import Record
from suites.support.placeholder import find_placeholders


def order(count: int = 135) -> list[Record]:
    """Lines as on a real order: XS9826A first, 38 distinct prices, few quantities."""
    real: Record = {"code": "XS9826A", "price": "1.60", "quantity": 24, "description": "Ballerina"}
    return [real] + [
        {
            "code": f"XS{n:04d}A",
            "price": f"{2 + n % 37}.40",
            "quantity": (2, 4, 6, 8, 12, 24)[n % 6],
            "description": f"Item {n}",
        }
        for n in range(1, count)
    ]


def test_real_rows_are_clean_with_the_real_xs9826a() -> None:
    report = find_placeholders(order(), order())
    assert report.is_clean
    assert report.distinct_prices == 38
    assert report.longest_run == 1


def test_the_lone_real_line_is_clean() -> None:
    assert find_placeholders(order(1), order(1)).is_clean


@pytest.mark.parametrize("source", [0, 42])
def test_a_run_of_copied_values_is_found_whichever_row_it_copies(source: int) -> None:
    rows = order()
    copied = {"price": rows[source]["price"], "quantity": rows[source]["quantity"]}
    found = rows[:43] + [{**r, **copied} for r in rows[43:]]
    report = find_placeholders(rows, found)
    assert not report.is_clean
    assert any("one and the same price and quantity" in f for f in report.findings)
    assert report.longest_run >= 92


def test_copies_of_row_one_are_named() -> None:
    rows = order()
    found = rows[:120] + [{**r, "price": 1.6, "quantity": "24"} for r in rows[120:]]
    assert any("row 1" in f for f in find_placeholders(rows, found).findings)


def test_copied_prices_with_real_quantities_are_found_by_distinct_prices() -> None:
    rows = order()
    found = [{**r, "price": "1.60" if n % 2 else "2.40"} for n, r in enumerate(rows)]
    assert any("distinct prices" in f for f in find_placeholders(rows, found).findings)


def test_the_placeholder_text_is_found_in_any_case() -> None:
    rows = order()
    found = [*rows[:-1], {**rows[-1], "description": "TRADITIONAL D-code Format"}]
    (finding,) = find_placeholders(rows, found).findings
    assert "row 135" in finding


def test_no_rows_are_not_clean() -> None:
    assert not find_placeholders(order(), []).is_clean
    assert not find_placeholders([], []).is_clean
