"""The largest order, whose rows were placeholders for weeks: every row in the sink is held against the document."""

from collections import Counter
from collections.abc import Callable
from decimal import Decimal

import pytest

from suites.invoices import Posting, contract_violations, count_said, total_of, upload
from suites.posting import Poster
from suites.support.placeholder import find_placeholders
from suites.support.profile import profile

FIELDS = ("code", "description", "price", "quantity", "upc")


def test_answer_is_success_and_keeps_the_contract(order: Posting) -> None:
    assert order.answer.status == 200, order.answer.text
    assert not order.is_warning
    assert order.answer.value(profile().answer.error) is None
    assert contract_violations(order.answer) == ()


def test_answer_names_vendor_number_and_date(order: Posting) -> None:
    assert order.wrong_names() == []


def test_sink_gained_as_many_rows_as_the_answer_says(order: Posting) -> None:
    assert len(order.rows) == count_said(order.answer)


def test_enough_items_are_in_the_sink(order: Posting, measure: Callable[..., None]) -> None:
    measure("line_items", len(order.rows))
    assert len(order.rows) >= profile().limit("least-items")


def test_no_product_is_invented_or_there_twice(order: Posting) -> None:
    report = order.accuracy()
    assert order.rows
    assert not report.extra, report.explain()
    assert not report.duplicates, report.explain()


def test_overall_accuracy(order: Posting, measure: Callable[..., None]) -> None:
    report = order.accuracy()
    measure("accuracy_score", float(report.overall))
    assert report.overall >= profile().limit("least-overall"), report.explain()


@pytest.mark.parametrize("field", FIELDS)
def test_accuracy_of_field(order: Posting, field: str, measure: Callable[..., None]) -> None:
    report = order.accuracy()
    measure(f"{field}_accuracy", float(report.accuracy(field)))
    assert report.accuracy(field) >= profile().limit(f"least-{field}"), report.explain()


def test_rows_stand_in_their_columns(order: Posting) -> None:
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
    real = profile().facts_of(order.document).line
    (line,) = [line for line in order.lines if line.code == real["code"]]
    found = {"code": line.code, "price": line.price, "quantity": line.quantity, "upc": line.upc}
    wanted = {"price": Decimal(real["price"]), "quantity": Decimal(real["quantity"])}
    assert found == {"upc": None, **real, **wanted}


def test_rows_are_in_their_order(order: Posting) -> None:
    codes = [line.code for line in order.lines]
    assert len(codes) >= profile().limit("least-items")
    is_sorted = profile().facts_of(order.document).order == "code"
    printed = [record["code"] for record in order.golden.records]
    assert codes == (sorted(codes) if is_sorted else printed)


def test_totals_are_those_of_the_document(order: Posting) -> None:
    """Nearly: some values may be wrong, as the accuracy allows, but not all of them in one direction."""
    allowance = profile().limit("total-allowance")
    pieces = sum((line.quantity or Decimal(0) for line in order.lines), Decimal(0))
    true_pieces = sum(int(str(record["quantity"])) for record in order.golden.records)
    total, true_total = total_of(order.records), order.golden.total
    assert abs(float(pieces) - true_pieces) <= true_pieces * allowance, (pieces, true_pieces)
    assert abs(float(total - true_total)) <= float(true_total) * allowance, (total, true_total)


def test_every_upc_has_a_right_check_digit(order: Posting) -> None:
    wrong = [line.upc for line in order.lines if line.upc and not _has_right_check_digit(line.upc)]
    assert wrong == []


def _has_right_check_digit(upc: str) -> bool:
    digits = [int(digit) for digit in upc]
    return (3 * sum(digits[::2]) + sum(digits[1::2])) % 10 == 0


def test_processing_time(order: Posting, measure: Callable[..., None]) -> None:
    measure("processing_time_s", order.answer.elapsed_s, unit="s")
    assert order.answer.elapsed_s < profile().limit("longest-s")


def test_the_same_document_gives_the_same_rows_again(order: Posting, poster: Poster) -> None:
    again = poster.post(order.document, upload(order.document))
    assert [row.cells for row in again.rows] == [row.cells for row in order.rows]
    assert Counter(line.code for line in again.lines).most_common(1)[0][1] == 1
