"""The second function keeps to the same contract, by other means: it is what suites are held against."""

import json
from collections.abc import Iterator
from typing import cast

import jsonschema
import pytest
import requests

from tests.suites.invoice_function import (
    EXPECTED,
    OTHER_FUNCTION,
    SCHEMAS,
    TAB,
    Function,
    KeptSheet,
    golden,
    golden_rows,
    outcome_of,
    pdf,
    running,
)

NAMES = sorted(path.stem for path in EXPECTED.glob("*.json"))
READABLE = [name for name in NAMES if outcome_of(name)["kind"] == "success"]
UNREADABLE = [name for name in NAMES if "line_items" not in golden(name)]
ANSWER = jsonschema.Draft202012Validator(
    json.loads((SCHEMAS / "answer.schema.json").read_text("utf-8"))
)


@pytest.fixture(scope="module")
def other(sheet_of_session: KeptSheet, files: str) -> Iterator[Function]:
    """The second function, running."""
    with running(OTHER_FUNCTION, sheet_of_session, files) as function:
        yield function


@pytest.mark.parametrize("name", READABLE)
def test_invoice_gives_its_golden_rows_and_an_answer_without_line_items(
    other: Function, sheet: KeptSheet, name: str
) -> None:
    truth = golden(name)
    with sheet.watched() as appends:
        response = other.upload(pdf(name))
    assert [append.text for append in appends] == [golden_rows(name)]
    assert appends[0].range == f"'{TAB}'!B:G"
    assert "X-Revision" not in response.headers
    body = response.json()
    ANSWER.validate(body)
    assert body == {
        "message": "Invoice processed and added to sheet",
        "rows_added": len(golden_rows(name)),
        "vendor": truth["answer_vendor"],
        "invoice_number": truth["invoice_number"],
        "invoice_date": truth["date_text"],
    }


@pytest.mark.parametrize("name", UNREADABLE)
def test_unreadable_document_writes_nothing(other: Function, sheet: KeptSheet, name: str) -> None:
    outcome = cast("dict[str, list[int]]", golden(name)["outcome"])
    with sheet.watched() as appends:
        response = other.upload(pdf(name))
    assert response.status_code in outcome["statuses"]
    assert str(outcome["kind"]) in response.json()
    ANSWER.validate(response.json())
    assert appends == []


def test_requests_that_carry_no_document_are_refused(other: Function) -> None:
    got = requests.get(other.url, timeout=10)
    assert (got.status_code, got.json()) == (405, {"error": "Method Not Allowed"})
    for body in ({}, {"json": [1]}, {"data": b"{"}):
        missing = requests.post(other.url, timeout=10, **body)
        assert missing.json() == {"error": "Missing invoice_file or file_url"}
        assert missing.status_code == 400


def test_documents_behind_urls_are_read_and_inner_addresses_refused(
    other: Function, sheet: KeptSheet
) -> None:
    url = f"{other.files}/moved?to=/typed/rifle_paper_3363053"
    with sheet.watched() as appends:
        for way in ({"data": {"file_url": url}}, {"json": {"file_url": url}}):
            assert requests.post(other.url, timeout=60, **way).status_code == 200  # type: ignore[arg-type] # as above
    assert [append.text for append in appends] == [golden_rows("rifle_paper_3363053")] * 2
    for refused in (
        f"{sheet.url}/a.pdf",
        f"{other.files}/moved?to={sheet.url}",
        "file:///etc/passwd",
    ):
        response = requests.post(other.url, json={"file_url": refused}, timeout=60)
        assert response.status_code == 400
    failed = requests.post(other.url, json={"file_url": f"{other.files}/status/404"}, timeout=60)
    assert failed.status_code == 500
    assert failed.json()["error"].startswith("Failed to download PDF: ")


def test_append_that_fails_is_an_error(other: Function, sheet: KeptSheet) -> None:
    sheet.answer = (503, b"{}")
    with sheet.watched() as appends:
        response = other.upload(pdf("rifle_paper_3363053"))
    assert response.status_code == 500
    assert response.json()["error"].startswith("Failed to write to Google Sheets: ")
    assert len(appends) == 1
