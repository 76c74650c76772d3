"""A delivery in part: only what came is in the sink, and nothing that is no product."""

from suites.invoices import Posting, contract_violations, total_of
from suites.posting import Postings
from suites.support.profile import profile


def test_answer_is_success_and_keeps_the_contract(delivery: Posting) -> None:
    assert delivery.answer.status == 200, delivery.answer.text
    assert not delivery.is_warning
    assert contract_violations(delivery.answer) == ()
    assert delivery.wrong_names() == []


def test_only_what_was_delivered_is_in_the_sink(delivery: Posting) -> None:
    report = delivery.accuracy()
    assert len(delivery.rows) == profile().facts_of(delivery.document).rows, report.explain()
    assert not report.missing, report.explain()
    assert not report.extra, report.explain()
    assert all(line.quantity for line in delivery.lines)


def test_surcharges_are_no_products(delivery: Posting) -> None:
    assert delivery.rows
    never = profile().facts_of(delivery.document).never
    texts = [f"{line.code} {line.description}".casefold() for line in delivery.lines]
    assert not [text for text in texts for word in never if word in text]


def test_accuracy(delivery: Posting) -> None:
    report = delivery.accuracy()
    assert report.overall >= profile().limit("least-overall"), report.explain()
    for field in ("price", "quantity"):
        assert report.accuracy(field) >= profile().limit(f"least-{field}"), report.explain()


def test_total_is_that_of_the_document(delivery: Posting) -> None:
    assert total_of(delivery.records) == delivery.golden.total


def test_rows_stand_in_their_columns_with_date_vendor_and_number(delivery: Posting) -> None:
    assert delivery.rows
    assert delivery.wrong_places() == []
    assert delivery.wrong_headers() == []
    assert delivery.wrong_types() == []


def test_broken_copy_of_a_document_writes_nothing_wrong(postings: Postings) -> None:
    """Either an error and no row, or a warning; never some of the rows."""
    posting = postings.of(profile().roles.truncated)
    assert posting.answer.status in {*posting.golden.statuses, 200}, posting.answer.text
    assert posting.is_error or posting.is_warning, posting.answer.text
    assert posting.rows == ()
