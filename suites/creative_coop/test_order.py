"""CS003837319, the order whose rows were placeholders for weeks: every row in the sheet is held against the document.

Thresholds: overall 0.90, prices 0.95, quantities 0.90, descriptions 0.95, at least 130 items, less than 120 s.
"""

from collections import Counter
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction

import pytest

from suites.invoices import ORDER, Posting, contract_violations, total_of
from suites.posting import Poster
from suites.support.placeholder import find_placeholders

LEAST_ITEMS = 130
LEAST_OVERALL = Fraction("0.90")
LEAST = {
    "price": Fraction("0.95"),
    "quantity": Fraction("0.90"),
    "description": Fraction("0.95"),
    "upc": Fraction("0.95"),
    "code": Fraction("0.95"),
}
LONGEST_S = 120
ALLOWANCE = Decimal("0.05")


def test_answer_is_success_and_keeps_the_contract(order: Posting) -> None:
    assert order.answer.status == 200, order.answer.text
    assert order.answer.value("warning") is None
    assert order.answer.value("error") is None
    assert contract_violations(order.answer) == ()


def test_answer_names_vendor_number_and_date(order: Posting) -> None:
    assert order.answer.value("vendor") == "Creative Co-op"
    assert order.answer.value("invoice_number") == "CS003837319"
    assert order.answer.value("invoice_date") == "1/17/2025"


def test_sheet_gained_as_many_rows_as_the_answer_says(order: Posting) -> None:
    said = order.answer.value("rows_added") or order.answer.value("items_count")
    assert len(order.rows) == said


def test_at_least_130_items_are_in_the_sheet(order: Posting, measure: Callable[..., None]) -> None:
    measure("line_items", len(order.rows))
    assert len(order.rows) >= LEAST_ITEMS


def test_no_product_is_invented_or_there_twice(order: Posting) -> None:
    report = order.accuracy()
    assert order.rows
    assert not report.extra, report.explain()
    assert not report.duplicates, report.explain()


def test_overall_accuracy(order: Posting, measure: Callable[..., None]) -> None:
    report = order.accuracy()
    measure("accuracy_score", float(report.overall))
    assert report.overall >= LEAST_OVERALL, report.explain()


@pytest.mark.parametrize("field", sorted(LEAST))
def test_accuracy_of_field(order: Posting, field: str, measure: Callable[..., None]) -> None:
    report = order.accuracy()
    measure(f"{field}_accuracy", float(report.accuracy(field)))
    assert report.accuracy(field) >= LEAST[field], report.explain()


def test_rows_stand_in_columns_b_to_g(order: Posting) -> None:
    assert order.rows
    assert order.wrong_places() == []


def test_every_row_has_date_vendor_and_number(order: Posting) -> None:
    assert order.rows
    assert order.wrong_headers() == []


def test_prices_and_quantities_are_numbers(order: Posting) -> None:
    assert order.rows
    assert order.wrong_types() == []


def test_no_row_copies_another_ones_values(order: Posting) -> None:
    report = find_placeholders(order.golden.records, order.records)
    assert report.is_clean, report.findings


def test_the_product_whose_values_were_copied_has_its_real_ones(order: Posting) -> None:
    (line,) = [line for line in order.lines if line.code == "XS9826A"]
    assert (str(line.price), str(line.quantity), line.upc) == ("1.6", "24", "191009727774")


def test_rows_are_sorted_by_code(order: Posting) -> None:
    codes = [line.code for line in order.lines]
    assert len(codes) >= LEAST_ITEMS
    assert codes == sorted(codes)


def test_totals_are_those_of_the_document(order: Posting) -> None:
    """To 5 %: some values may be wrong, as the accuracy allows, but not all of them in one direction."""
    pieces = sum((line.quantity or Decimal(0) for line in order.lines), Decimal(0))
    true_pieces = sum(int(str(record["quantity"])) for record in order.golden.records)
    total, true_total = total_of(order.records), order.golden.total
    assert abs(pieces - true_pieces) <= true_pieces * ALLOWANCE, (pieces, true_pieces)
    assert abs(total - true_total) <= true_total * ALLOWANCE, (total, true_total)


def test_every_upc_has_a_right_check_digit(order: Posting) -> None:
    wrong = [line.upc for line in order.lines if line.upc and not _has_right_check_digit(line.upc)]
    assert wrong == []


def _has_right_check_digit(upc: str) -> bool:
    digits = [int(digit) for digit in upc]
    return (3 * sum(digits[::2]) + sum(digits[1::2])) % 10 == 0


def test_processing_time(order: Posting, measure: Callable[..., None]) -> None:
    measure("processing_time_s", order.answer.elapsed_s, unit="s")
    assert order.answer.elapsed_s < LONGEST_S


def test_the_same_document_gives_the_same_rows_again(order: Posting, poster: Poster) -> None:
    again = poster.post(ORDER)
    assert [row.cells for row in again.rows] == [row.cells for row in order.rows]
    assert Counter(line.code for line in again.lines).most_common(1)[0][1] == 1
