"""Every vendor's every document: the right rows for all of them, and no worse than at the last promotion."""

from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction

import pytest

from pytest_deploygate.checks.accuracy import AccuracyReport, compare
from pytest_deploygate.checks.deployment import Deployment
from suites.invoices import Posting, Vendor, contract_violations, golden, vendors
from suites.posting import Poster

TOLERANCE = Fraction("0.02")
"""By how much a vendor's accuracy may be lower than at the last promotion."""
MOST_PIECES = 1000
JUDGED = [vendor for vendor in vendors() if vendor.accuracy is not None]
OTHERS = [vendor for vendor in vendors() if vendor.accuracy is None]
CREATIVE = "creative_coop"


class Postings:
    """Every document is posted once for all checks of this process."""

    def __init__(self, poster: Poster, known: dict[str, Posting]) -> None:
        self._poster = poster
        self._known = known

    def of(self, document: str) -> Posting:
        if document not in self._known:
            self._known[document] = self._poster.post(document)
        return self._known[document]

    def accuracy(self, vendor: Vendor) -> AccuracyReport:
        """Over all documents of a vendor together."""
        postings = [self.of(document) for document in vendor.documents]
        return compare(
            [record for posting in postings for record in posting.golden.records],
            [record for posting in postings for record in posting.records],
        )


@pytest.fixture(scope="module")
def postings(poster: Poster, order: Posting, delivery: Posting) -> Postings:
    return Postings(poster, {posting.document: posting for posting in (order, delivery)})


def by_key(vendor: Vendor) -> str:
    return vendor.key


@pytest.mark.parametrize("vendor", JUDGED, ids=by_key)
def test_vendor_is_recognised(
    vendor: Vendor, postings: Postings, subtests: pytest.Subtests
) -> None:
    for document in vendor.documents:
        with subtests.test(document=document):
            posting, truth = postings.of(document), golden(document)
            assert posting.answer.status == 200, posting.answer.text
            assert contract_violations(posting.answer) == ()
            assert posting.answer.value("vendor") == truth.answer_vendor
            assert {line.vendor for line in posting.lines} == {truth.vendor}


@pytest.mark.parametrize("vendor", JUDGED, ids=by_key)
def test_header_columns_are_right(
    vendor: Vendor, postings: Postings, subtests: pytest.Subtests
) -> None:
    for document in vendor.documents:
        with subtests.test(document=document):
            posting = postings.of(document)
            assert posting.rows
            assert posting.wrong_places() == []
            assert posting.wrong_headers() == []
            assert posting.wrong_types() == []


@pytest.mark.parametrize("vendor", JUDGED, ids=by_key)
def test_items_are_those_of_the_document(
    vendor: Vendor, postings: Postings, subtests: pytest.Subtests
) -> None:
    assert vendor.accuracy is not None
    for document in vendor.documents:
        with subtests.test(document=document):
            report = postings.of(document).accuracy()
            assert report.overall >= vendor.accuracy, report.explain()
            assert report.accuracy("price") >= vendor.accuracy, report.explain()
            assert report.accuracy("quantity") >= vendor.accuracy, report.explain()


@pytest.mark.parametrize("vendor", JUDGED, ids=by_key)
def test_no_line_is_invented_or_written_twice(
    vendor: Vendor, postings: Postings, subtests: pytest.Subtests
) -> None:
    for document in vendor.documents:
        with subtests.test(document=document):
            report = postings.of(document).accuracy()
            assert not report.extra, report.explain()
            assert not report.duplicates, report.explain()


@pytest.mark.parametrize("vendor", JUDGED, ids=by_key)
def test_vendor_is_no_worse_than_at_the_last_promotion(
    vendor: Vendor, postings: Postings, deployment: Deployment, measure: Callable[..., None]
) -> None:
    report, name = postings.accuracy(vendor), f"accuracy_{vendor.key}"
    measure(name, float(report.overall))
    before = deployment.baseline.get(name)
    if before is not None:
        assert report.overall >= Fraction(str(before)) - TOLERANCE, report.explain()
    assert report.overall >= (vendor.accuracy or 0), report.explain()


def test_harpercollins_order_is_whole(postings: Postings) -> None:
    posting = postings.of("harpercollins_NS4435067")
    assert len(posting.rows) == 23
    assert sum(line.quantity or 0 for line in posting.lines) == 63
    assert all(len(line.code) == 13 and line.code.startswith("978") for line in posting.lines)


def test_rifle_paper_has_no_lines_that_are_no_products(postings: Postings) -> None:
    posting = postings.of("rifle_paper_3363053")
    assert len(posting.rows) == 11
    texts = [f"{line.code} {line.description}".casefold() for line in posting.lines]
    assert not [t for t in texts if "not in stock" in t or t.startswith("ship ")]


@pytest.mark.parametrize("vendor", vendors(), ids=by_key)
def test_no_quantity_is_a_year_or_a_code(vendor: Vendor, postings: Postings) -> None:
    """A calendar of 2026 once came to 2026 pieces."""
    lines = [line for document in vendor.documents for line in postings.of(document).lines]
    assert [line for line in lines if not 0 < (line.quantity or Decimal(0)) <= MOST_PIECES] == []


@pytest.mark.parametrize("vendor", OTHERS, ids=by_key)
def test_other_documents_end_in_rows_or_an_honest_answer(
    vendor: Vendor, postings: Postings, subtests: pytest.Subtests
) -> None:
    for document in vendor.documents:
        with subtests.test(document=document):
            posting, truth = postings.of(document), golden(document)
            assert contract_violations(posting.answer) == ()
            if truth.kind == "success" and posting.answer.value("warning") is None:
                assert posting.answer.status == 200, posting.answer.text
                assert posting.rows
                assert posting.is_faithful(), posting.accuracy().explain()
            else:
                assert posting.answer.status in {*truth.statuses, 200}
                assert posting.answer.value("warning") or posting.answer.value("error")
                assert posting.rows == ()


@pytest.mark.parametrize("vendor", vendors(), ids=by_key)
def test_whoever_hears_of_an_error_finds_no_rows(vendor: Vendor, postings: Postings) -> None:
    for document in vendor.documents:
        posting = postings.of(document)
        said = posting.answer.value("rows_added") or posting.answer.value("items_count") or 0
        if posting.answer.status >= 400:
            said = 0
        assert len(posting.rows) == said, f"{document}: {posting.answer.text}"
