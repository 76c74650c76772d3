"""What the checks post never reaches what production writes to, and they leave nothing where they write."""

from dataclasses import dataclass

import pytest

from suites.invoices import Posting, Sink
from suites.posting import Bystander, Poster, Postings
from suites.support.profile import profile
from suites.support.sheet_reader import Watermark


@dataclass(frozen=True, slots=True, kw_only=True)
class Deliveries:
    """One document, delivered twice; the second time is looked at closely."""

    first: Posting
    second: Posting
    before: Watermark
    after: Watermark
    traces: tuple[str, ...]
    """What the second delivery changed in production's sink."""


@pytest.fixture(scope="module")
def deliveries(poster: Poster, postings: Postings, production_sink: Sink) -> Deliveries:
    small = profile().roles.small
    first = postings.of(small)
    bystander, before = Bystander(production_sink), poster.watermark()
    second = poster.post(small)
    postings.keep(second)
    return Deliveries(
        first=first,
        second=second,
        before=before,
        after=poster.watermark(),
        traces=tuple(bystander.traces_of(second)),
    )


def test_production_is_as_before_a_posting(deliveries: Deliveries) -> None:
    """Byte for byte where nobody else writes; where real invoices arrive meanwhile, none of them is ours."""
    assert deliveries.second.rows, "nothing was written, so nothing is proved"
    assert deliveries.traces == ()


def test_rows_of_a_check_are_removed_again(deliveries: Deliveries) -> None:
    assert deliveries.second.rows
    assert deliveries.before.digest == deliveries.after.digest


def test_second_delivery_is_whole_or_refused(deliveries: Deliveries) -> None:
    """Zapier delivers at least once. Until the function knows a delivery again, rows come twice, never in part."""
    assert deliveries.first.is_faithful()
    assert deliveries.second.is_faithful() or deliveries.second.rows == ()


def test_failed_call_leaves_no_rows(postings: Postings) -> None:
    posting = postings.of(profile().roles.truncated)
    assert posting.is_error
    assert posting.dishonesty() == ""
    assert posting.rows == ()
