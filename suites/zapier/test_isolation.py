"""What the checks post never reaches the tab that production writes to."""

from suites.invoices import SMALL, contract_violations, upload
from suites.posting import Bystander, Poster
from suites.support.sheet import SheetReader


def test_production_tab_is_as_before_a_posting(
    poster: Poster, production_sheet: SheetReader
) -> None:
    """Byte for byte where nobody else writes; where real invoices arrive meanwhile, none of them is ours."""
    bystander = Bystander(production_sheet)
    posting = poster.post(SMALL)
    assert posting.rows, "nothing was written, so nothing is proved"
    assert bystander.traces_of(posting) == []


def test_rows_of_a_check_are_removed_again(poster: Poster) -> None:
    """Two postings begin at one watermark, because the rows of the first are gone."""
    first, second = poster.post(SMALL), poster.post(SMALL)
    assert first.rows
    assert [row.number for row in first.rows] == [row.number for row in second.rows]


def test_failed_call_leaves_no_rows(poster: Poster) -> None:
    posting = poster.post("truncated", upload("truncated"))
    assert posting.answer.status >= 400
    assert contract_violations(posting.answer) == ()
    assert posting.rows == ()
