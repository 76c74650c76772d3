"""Every kind of error, and what its answer shows: a document, a URL, or the sink is at fault.

All answers are looked at, here and in every other gate (``suites/conftest.py``); these checks make the errors that no
other request would.
"""

from collections.abc import Callable

import pytest

from pytest_deploygate.checks.deployment import Deployment
from pytest_deploygate.checks.probe import Probe
from suites.faulty_postings import FaultyPostings
from suites.invoices import contract_violations, header_sets, service_of
from suites.posting import Postings
from suites.support.profile import profile
from suites.support.sink_faults import can_fail
from suites.support.zapier import url_call

URLS = (
    "http://127.0.0.2:9/a.pdf",
    "http://no-such-host.invalid/a.pdf?token=planted-4711",
    "file:///etc/passwd",
    "not a url",
)


@pytest.mark.parametrize("document", profile().roles.unreadable)
def test_error_for_a_bad_document_shows_nothing(postings: Postings, document: str) -> None:
    postings.prepare(profile().roles.unreadable)
    posting = postings.of(document)
    assert posting.dishonesty() == ""
    assert posting.rows == ()


def test_error_for_a_bad_url_shows_nothing(verification: Probe) -> None:
    known = profile()
    for field in known.url_fields[:1]:
        for url in URLS:
            answer = url_call(header_sets()["webhooks_post_json"], url, field=field).send(
                verification
            )
            assert 400 <= answer.status < 600, answer
            assert contract_violations(answer) == ()
            assert "4711" not in answer.text


def test_error_for_a_failing_sink_shows_nothing(
    faulty: FaultyPostings, deployment: Deployment, remark: Callable[[str, str], None]
) -> None:
    if not can_fail(service_of(deployment)):
        remark("not_tried", "a sink that fails: no fault can be put into a service in the cloud")
        return
    for posting in map(faulty.of, ("forbidden", "unavailable")):
        assert posting.is_error, posting.answer.text
        assert posting.dishonesty() == ""


def test_json_that_is_nested_deeply_is_the_callers_fault(verification: Probe) -> None:
    answer = verification.post(
        data=b"[" * 100_000 + b"]" * 100_000, headers={"Content-Type": "application/json"}
    )
    assert 400 <= answer.status < 500, answer
    assert contract_violations(answer) == ()
