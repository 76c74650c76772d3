"""CI004848705: 52 products of which 28 were delivered, tariff and freight lines, another order of columns."""

from fractions import Fraction

import pytest

from suites.invoices import Posting, contract_violations, golden, total_of
from suites.posting import Poster

DELIVERED = 28
LEAST_OVERALL = Fraction("0.90")


def test_answer_is_success_and_keeps_the_contract(delivery: Posting) -> None:
    assert delivery.answer.status == 200, delivery.answer.text
    assert delivery.answer.value("warning") is None
    assert contract_violations(delivery.answer) == ()
    assert delivery.answer.value("invoice_number") == "CI004848705"


def test_only_what_was_delivered_is_in_the_sheet(delivery: Posting) -> None:
    report = delivery.accuracy()
    assert len(delivery.rows) == DELIVERED, report.explain()
    assert not report.missing, report.explain()
    assert not report.extra, report.explain()
    assert all(line.quantity for line in delivery.lines)


def test_tariff_and_freight_are_no_products(delivery: Posting) -> None:
    assert delivery.rows
    texts = [f"{line.code} {line.description}".casefold() for line in delivery.lines]
    assert not [text for text in texts if "trf-ccoi" in text or "tariff" in text]


def test_accuracy(delivery: Posting) -> None:
    report = delivery.accuracy()
    assert report.overall >= LEAST_OVERALL, report.explain()
    assert report.accuracy("price") >= Fraction("0.95"), report.explain()
    assert report.accuracy("quantity") >= LEAST_OVERALL, report.explain()


def test_total_is_that_of_the_document(delivery: Posting) -> None:
    assert total_of(delivery.records) == delivery.golden.total


def test_rows_stand_in_columns_b_to_g_with_date_vendor_and_number(delivery: Posting) -> None:
    assert delivery.rows
    assert delivery.wrong_places() == []
    assert delivery.wrong_headers() == []
    assert delivery.wrong_types() == []


@pytest.mark.parametrize("document", ["truncated"])
def test_broken_copy_of_the_document_writes_nothing_wrong(poster: Poster, document: str) -> None:
    """Either an error and no row, or rows of which every one is right."""
    posting = poster.post(document)
    if posting.answer.status >= 400:
        assert posting.rows == ()
        return
    assert posting.answer.status in golden(document).statuses, posting.answer.text
    assert posting.rows == ()
