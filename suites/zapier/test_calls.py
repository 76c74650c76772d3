"""Zapier's calls: whichever way it hands over the document, its rows appear where they belong, in time."""

from collections.abc import Callable, Mapping

import pytest

from pytest_deploygate.checks.file_server import FileHost
from pytest_deploygate.checks.probe import Probe, WouldWrite
from suites.invoices import (
    Posting,
    contract_violations,
    count_said,
    document_path,
    header_sets,
    upload,
)
from suites.posting import Poster
from suites.support.profile import profile
from suites.support.zapier import ZapierCall, url_call

ODD_NAME = f"Rechnung März & Söhne #7 (1){profile().suffix.upper()}"
URLS = profile().url_fields
BY_URL: Mapping[str, tuple[str, str]] = (
    {
        "form_url": ("webhooks_post_form", URLS[0]),
        "json_url": ("webhooks_post_json", URLS[0]),
        "custom_request_json": ("webhooks_custom_request", URLS[0]),
        "code_step_form": ("code_step_fetch", URLS[0]),
        **{f"form_{field}_url": ("webhooks_post_form", field) for field in URLS[1:]},
    }
    if URLS
    else {}
)
"""Header set and field of the ways that name a URL."""
WAYS = ("multipart_file", "odd_file_name", *BY_URL)


@pytest.fixture(scope="module")
def posted(request: pytest.FixtureRequest, poster: Poster) -> Mapping[str, Posting]:
    """Each way with a document of its own, all at once."""
    names = dict(zip(WAYS, profile().roles.various, strict=False))
    assert len(names) == len(WAYS), "the profile names too few various documents"

    def call(way: str) -> ZapierCall:
        document = names[way]
        if way not in BY_URL:
            return upload(document, file_name=ODD_NAME if way == "odd_file_name" else "")
        host: FileHost = request.getfixturevalue("documents")
        headers, field = BY_URL[way]
        url = host.url(document_path(document).name)
        return url_call(header_sets()[headers], url, field=field)

    found = poster.post_all({names[way]: call(way) for way in WAYS})
    return {way: found[names[way]] for way in WAYS}


@pytest.fixture(params=WAYS)
def posting(request: pytest.FixtureRequest, posted: Mapping[str, Posting]) -> Posting:
    """One way."""
    return posted[request.param]


def test_call_is_answered_with_success(posting: Posting, measure: Callable[..., None]) -> None:
    answer = posting.answer
    is_success = answer.status == 200 and not posting.is_warning
    measure("webhook_responsive", int(answer.elapsed_s < profile().limit("longest-call-s")))
    measure("processing_successful", int(is_success))
    assert answer.status == 200, answer.text
    assert answer.content_type == "application/json"
    assert contract_violations(answer) == ()
    assert count_said(answer)
    assert posting.wrong_names() == []


def test_rows_appear_in_the_sink_in_their_columns(
    posting: Posting, measure: Callable[..., None]
) -> None:
    measure("google_sheets_updated", int(posting.is_faithful()))
    assert posting.wrong_places() == []
    assert posting.wrong_headers() == []
    assert posting.accuracy().is_perfect, posting.accuracy().explain()


def test_rows_are_in_the_order_of_the_document(posting: Posting) -> None:
    assert [line.code for line in posting.lines] == [r["code"] for r in posting.golden.records]


def test_answer_names_the_rows_that_the_sink_gained(posting: Posting) -> None:
    """The range is optional; what it says must be true."""
    first, last = posting.rows[0].number, posting.rows[-1].number
    assert [row.number for row in posting.rows] == list(range(first, last + 1))
    said, layout = posting.answer.value(profile().answer.range), profile().sink.layout
    if said is not None:
        cells = f"{layout.first}{first}:{layout.last}{last}"
        assert str(said).rpartition("!")[2] == cells
    assert count_said(posting.answer) == len(posting.rows)


def test_answer_comes_before_zapier_gives_up(
    posting: Posting, measure: Callable[..., None]
) -> None:
    measure("zapier_answer_s", posting.answer.elapsed_s, unit="s")
    assert posting.answer.elapsed_s < profile().limit("longest-call-target-s")


def test_call_for_production_is_not_made_by_a_check(candidate: Probe) -> None:
    """The guard that keeps checks from writing to production holds for Zapier's calls too."""
    with pytest.raises(WouldWrite):
        upload(profile().roles.small).send(candidate)
