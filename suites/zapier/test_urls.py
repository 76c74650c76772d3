"""Documents behind URLs that are unusual, or slow, but good."""

import threading
from collections.abc import Callable, Mapping

import pytest

from pytest_deploygate.checks.file_server import FileHost
from pytest_deploygate.checks.probe import Answer, Probe
from suites.invoices import Posting, document_path, header_sets
from suites.posting import Poster
from suites.support.profile import profile
from suites.support.zapier import ZapierCall, url_call

ODD_NAME = f"Rechnung März & Söhne #7 (1){profile().suffix.upper()}"
KINDS: Mapping[str, Callable[[FileHost, str], str]] = {
    "query": lambda host, file: host.url(file, query="signature=a%2Bb&expires=1"),
    "octets": lambda host, file: host.with_type(file, "application/octet-stream"),
    "redirect": lambda host, file: host.redirect(host.url(file)),
    "odd_name": lambda host, file: host.with_type(file, profile().media_type, called=ODD_NAME),
}


def url_of(url: str) -> ZapierCall:
    return url_call(header_sets()["webhooks_post_json"], url, field=profile().url_fields[0])


@pytest.fixture(scope="module")
def posted(poster: Poster, documents: FileHost) -> Mapping[str, Posting]:
    """Each kind of URL with a document of its own, all at once."""
    names = dict(zip(KINDS, profile().roles.various, strict=False))
    calls = {
        name: url_of(KINDS[kind](documents, document_path(name).name))
        for kind, name in names.items()
    }
    found = poster.post_all(calls)
    return {kind: found[name] for kind, name in names.items()}


@pytest.mark.parametrize("kind", KINDS)
def test_unusual_but_good_url_is_fetched(posted: Mapping[str, Posting], kind: str) -> None:
    posting = posted[kind]
    assert posting.answer.status == 200, posting.answer.text
    assert posting.is_faithful()


def test_slow_document_is_waited_for(
    poster: Poster, verification: Probe, documents: FileHost
) -> None:
    small = profile().roles.small
    held = documents.delayed(document_path(small).name)
    call = url_of(held.url)
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

    posting = poster.during(small, act)
    assert posting.answer.status == 200, posting.answer.text
    assert posting.is_faithful()
