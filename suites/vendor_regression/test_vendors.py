"""Every vendor's every document: the right rows, no line dropped in silence, no worse than at the last promotion."""

from collections.abc import Callable
from decimal import Decimal

import pytest

from pytest_deploygate.checks.accuracy import AccuracyReport
from pytest_deploygate.checks.deployment import Deployment
from suites.invoices import (
    Posting,
    VendorProfile,
    contract_violations,
    count_said,
    golden,
    vendors,
    warnings_of,
)
from suites.posting import Poster, Postings
from suites.support.profile import profile
from suites.support.rows import compare_lines

JUDGED = [vendor for vendor in vendors() if vendor.accuracy is not None]
EVERY = [document for vendor in vendors() for document in vendor.documents]
BY_VENDOR = {document: vendor for vendor in vendors() for document in vendor.documents}
JUDGED_DOCUMENTS = [document for vendor in JUDGED for document in vendor.documents]
OTHERS = [d for d in EVERY if d not in JUDGED_DOCUMENTS and golden(d).kind != "doubtful"]
DOUBTFUL = [document for document in EVERY if golden(document).kind == "doubtful"]
RIGHT = [document for document in EVERY if golden(document).kind == "success"]


@pytest.fixture(scope="module")
def prepared(postings: Postings, order: Posting) -> Postings:
    """All documents, posted at once; the order by itself before."""
    assert order.document in EVERY
    postings.prepare(EVERY)
    return postings


@pytest.fixture
def posting(request: pytest.FixtureRequest, prepared: Postings) -> Posting:
    """The posting of the document that the check is about."""
    return prepared.of(request.param)


def of_each(documents: list[str]) -> pytest.MarkDecorator:
    """Run the check for each of the documents."""
    return pytest.mark.parametrize("posting", documents, indirect=True)


def by_key(vendor: VendorProfile) -> str:
    return vendor.key


@of_each(JUDGED_DOCUMENTS)
def test_vendor_is_recognised(posting: Posting) -> None:
    assert posting.answer.status == 200, posting.answer.text
    assert contract_violations(posting.answer) == ()
    assert posting.answer.value(profile().answer.vendor) == posting.golden.answer_vendor
    assert {line.vendor for line in posting.lines} == {posting.golden.vendor}


@of_each(RIGHT)
def test_answer_names_vendor_number_and_date(posting: Posting) -> None:
    """The answer of every document, not of a few: what callers show is the answer."""
    if not posting.is_warning:
        assert posting.wrong_names() == []


@of_each(JUDGED_DOCUMENTS)
def test_header_columns_are_right(posting: Posting) -> None:
    assert posting.rows
    assert posting.wrong_places() == []
    assert posting.wrong_headers() == []
    assert posting.wrong_types() == []


@of_each(JUDGED_DOCUMENTS)
def test_items_are_those_of_the_document(posting: Posting) -> None:
    least, report = BY_VENDOR[posting.document].accuracy, posting.accuracy()
    assert least is not None
    assert report.overall >= least, report.explain()
    assert report.accuracy("price") >= least, report.explain()
    assert report.accuracy("quantity") >= least, report.explain()


@of_each(JUDGED_DOCUMENTS)
def test_no_line_is_invented_or_written_twice(posting: Posting) -> None:
    report = posting.accuracy()
    assert not report.extra, report.explain()
    assert not report.duplicates, report.explain()


@pytest.mark.parametrize("vendor", JUDGED, ids=by_key)
def test_vendor_is_no_worse_than_at_the_last_promotion(
    vendor: VendorProfile, prepared: Postings, deployment: Deployment, measure: Callable[..., None]
) -> None:
    report, name = accuracy_of(vendor, prepared), f"accuracy_{vendor.key}"
    measure(name, float(report.overall))
    before = deployment.baseline.get(name)
    if before is not None:
        tolerance = float(profile().limit("vendor-tolerance"))
        assert float(report.overall) >= before - tolerance, report.explain()
    assert report.overall >= (vendor.accuracy or 0), report.explain()


def accuracy_of(vendor: VendorProfile, prepared: Postings) -> AccuracyReport:
    """Over all documents of a vendor together."""
    found = [prepared.of(document) for document in vendor.documents]
    return compare_lines(
        [record for posting in found for record in posting.golden.records],
        [record for posting in found for record in posting.records],
    )


@of_each(sorted(profile().facts))
def test_what_is_known_of_the_document_holds(posting: Posting) -> None:
    facts = profile().facts_of(posting.document)
    texts = [f"{line.code} {line.description}".casefold() for line in posting.lines]
    assert not [text for text in texts for word in facts.never if word in text]
    if facts.rows is not None:
        assert len(posting.rows) == facts.rows
    if facts.pieces is not None:
        assert sum(line.quantity or 0 for line in posting.lines) == facts.pieces
    if facts.code is not None:
        pattern = facts.code
        assert [line.code for line in posting.lines if not pattern.fullmatch(line.code)] == []


@of_each(EVERY)
def test_no_quantity_is_a_year_or_a_code(posting: Posting) -> None:
    """A calendar of 2026 once came to 2026 pieces."""
    most = profile().limit("most-pieces")
    assert [line for line in posting.lines if not 0 < (line.quantity or Decimal(0)) <= most] == []


@of_each(OTHERS)
def test_other_documents_end_in_rows_or_an_honest_answer(posting: Posting) -> None:
    truth = posting.golden
    assert contract_violations(posting.answer) == ()
    if truth.kind == "success" and not posting.is_warning:
        assert posting.answer.status == 200, posting.answer.text
        assert posting.rows
        assert posting.is_faithful(), posting.accuracy().explain()
    else:
        assert posting.answer.status in {*truth.statuses, 200}
        assert posting.is_warning or posting.is_error
        assert posting.rows == ()


@of_each(DOUBTFUL)
def test_no_line_is_dropped_in_silence(posting: Posting) -> None:
    """A line that cannot be read, or a total that the lines do not add up to: somebody must hear of it."""
    assert posting.dishonesty() == ""
    if posting.is_error or posting.is_warning:
        assert posting.rows == ()
        return
    is_whole = posting.golden.rows > 0 and posting.is_faithful()
    assert is_whole or warnings_of(posting.answer), (
        f"{len(posting.rows)} rows, and {posting.answer.text[:300]}"
    )


@of_each(EVERY)
def test_whoever_hears_of_an_error_finds_no_rows(posting: Posting) -> None:
    said = 0 if posting.is_error else count_said(posting.answer) or 0
    assert len(posting.rows) == said, f"{posting.document}: {posting.answer.text}"


def test_rows_that_go_astray_are_told_of(
    poster: Poster, remark: Callable[[str, str], None]
) -> None:
    """An append goes to the last table of the tab; if its last row has a gap, rows begin in another column."""
    if not poster.sink.can_go_astray:
        remark("not_tried", "a tab with a gap: the sink has no columns")
        return
    if poster.is_shared:
        remark("not_tried", "a tab with a gap: the tab is shared with production")
        return
    posting = poster.post_beside_a_gap(profile().roles.small)
    is_right = not posting.wrong_places() and posting.rows
    is_told = warnings_of(posting.answer) or (posting.is_error and not posting.rows)
    assert is_right or is_told, f"{posting.wrong_places()[:2]}, and {posting.answer.text[:300]}"
