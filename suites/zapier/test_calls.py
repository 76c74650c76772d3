"""Zapier's calls: whichever way it names the document, the same rows appear where they belong, in time."""

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import pytest

from pytest_deploygate.checks.file_server import FileHost
from pytest_deploygate.checks.probe import Answer, Probe, WouldWrite
from suites.invoices import SMALL, Posting, contract_violations, header_sets, upload
from suites.posting import Poster
from suites.support.zapier import Call, url_call

LONGEST_S = 160
"""Zapier waits no longer, and sends again."""
TARGET_S = 60
FILE = f"{SMALL}.pdf"


@dataclass(frozen=True, slots=True)
class Way:
    """One way to call: with the document, or with its URL in a field."""

    headers: str
    field: str = "file_url"

    def call(self, documents: FileHost) -> Call:
        return url_call(header_sets()[self.headers], documents.url(FILE), field=self.field)


WAYS = {
    "multipart_invoice_file": Way("webhooks_post_file", "(file)"),
    "form_file_url": Way("webhooks_post_form"),
    "form_invoice_file_url": Way("webhooks_post_form", "invoice_file"),
    "json_file_url": Way("webhooks_post_json"),
    "custom_request_json": Way("webhooks_custom_request"),
    "code_step_form": Way("code_step_fetch"),
}


@pytest.fixture(scope="module", params=WAYS)
def posting(request: pytest.FixtureRequest, poster: Poster) -> Posting:
    """The same document, posted once for each way."""
    way = WAYS[request.param]
    if way.field == "(file)":
        return poster.post(SMALL, upload(SMALL))
    return poster.post(SMALL, way.call(request.getfixturevalue("documents")))


def test_call_is_answered_with_success(posting: Posting, measure: Callable[..., None]) -> None:
    answer = posting.answer
    measure("webhook_responsive", int(answer.elapsed_s < LONGEST_S))
    measure("processing_successful", int(answer.status == 200 and not answer.value("warning")))
    assert answer.status == 200, answer.text
    assert answer.content_type == "application/json"
    assert contract_violations(answer) == ()
    assert answer.value("rows_added") or answer.value("items_count")
    assert (answer.value("vendor"), answer.value("invoice_number")) == (
        posting.golden.answer_vendor,
        posting.golden.invoice_number,
    )


def test_rows_appear_in_the_sheet_in_columns_b_to_g(
    posting: Posting, measure: Callable[..., None]
) -> None:
    measure("google_sheets_updated", int(posting.is_faithful()))
    assert posting.wrong_places() == []
    assert posting.wrong_headers() == []
    assert posting.accuracy().is_perfect, posting.accuracy().explain()


def test_rows_are_in_the_order_of_the_document(posting: Posting) -> None:
    assert [line.code for line in posting.lines] == [r["code"] for r in posting.golden.records]


def test_answer_names_the_rows_that_the_sheet_gained(posting: Posting) -> None:
    """``updated_range`` is optional; what it says must be true."""
    first, last = posting.rows[0].number, posting.rows[-1].number
    assert [row.number for row in posting.rows] == list(range(first, last + 1))
    said = posting.answer.value("updated_range")
    if said is not None:
        assert str(said).rpartition("!")[2] == f"B{first}:G{last}"
    count = posting.answer.value("rows_added") or posting.answer.value("items_count")
    assert count == len(posting.rows)


def test_answer_comes_before_zapier_gives_up(
    posting: Posting, measure: Callable[..., None]
) -> None:
    measure("zapier_answer_s", posting.answer.elapsed_s, unit="s")
    assert posting.answer.elapsed_s < TARGET_S


def test_a_name_with_spaces_and_umlauts_is_no_obstacle(poster: Poster, documents: FileHost) -> None:
    name = "Rechnung März & Söhne #7 (1).PDF"
    uploaded = poster.post(SMALL, upload(SMALL, file_name=name))
    assert uploaded.is_faithful(), uploaded.answer.text
    url = documents.typed(FILE, "application/pdf", called=name)
    fetched = poster.post(SMALL, url_call(header_sets()["webhooks_post_form"], url))
    assert fetched.is_faithful(), fetched.answer.text


@pytest.mark.parametrize("kind", ["query", "octets", "redirect"])
def test_unusual_but_good_url_is_fetched(poster: Poster, documents: FileHost, kind: str) -> None:
    urls: Mapping[str, Callable[[], str]] = {
        "query": lambda: documents.url(FILE, query="signature=a%2Bb&expires=1"),
        "octets": lambda: documents.typed(FILE, "application/octet-stream"),
        "redirect": lambda: documents.redirect(documents.url(FILE)),
    }
    call = url_call(header_sets()["webhooks_post_json"], urls[kind]())
    posting = poster.post(SMALL, call)
    assert posting.answer.status == 200, posting.answer.text
    assert posting.is_faithful()


def test_slow_document_is_waited_for(
    poster: Poster, verification: Probe, documents: FileHost
) -> None:
    held = documents.held(FILE)
    call = url_call(header_sets()["webhooks_post_json"], held.url)
    answers: list[Answer] = []

    def act() -> Answer:
        sender = threading.Thread(target=lambda: answers.append(call.send(verification)))
        sender.start()
        has_arrived = held.arrived.wait(20)
        was_early = bool(answers)
        held.release.set()
        sender.join(60)
        assert has_arrived, "the function never asked for the document"
        assert not was_early, "the function answered before it had the document"
        return answers[0]

    posting = poster.during(SMALL, act)
    assert posting.answer.status == 200, posting.answer.text
    assert posting.is_faithful()


def test_second_delivery_is_whole_or_refused(poster: Poster, measure: Callable[..., None]) -> None:
    """Zapier delivers at least once. Until the function knows a delivery again, rows come twice, never in part."""
    first, second = poster.post(SMALL), poster.post(SMALL)
    measure("second_delivery_rows", len(second.rows))
    assert first.is_faithful()
    assert second.is_faithful() or second.rows == ()


def test_call_for_production_is_not_made_by_a_check(candidate: Probe) -> None:
    """The guard that keeps checks from writing to production holds for Zapier's calls too."""
    with pytest.raises(WouldWrite):
        upload(SMALL).send(candidate)
