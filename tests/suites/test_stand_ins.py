"""The example of the how-to page: Google's own client library reads a document from a stand-in on loopback."""

import hashlib
import importlib
import json
import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
from googleapiclient.errors import HttpError

from fixtures.stand_ins.google_ai import serving_google_ai
from tests.suites.invoice_function import ROOT, pdf

BOOKS = "harpercollins_NS4435067"
PROCESSOR = "projects/p/locations/us/processors/be53c6e3a199a473"
MODEL = "projects/p/locations/us/publishers/google/models/gemini-2.5-flash"
PAGE = ROOT / "docs" / "how-to" / "stand-ins.md"


@pytest.fixture
def reading(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """The module that reads, pointed at a stand-in that knows one document."""
    digest = hashlib.sha256(pdf(BOOKS)).hexdigest()
    recorded = {
        "documentai": {"document": {"text": "Order #: NS4435067"}},
        "gemini": {"candidates": [{"content": {"parts": [{"text": "NS4435067"}]}}]},
    }
    for service, answer in recorded.items():
        (tmp_path / f"{digest}.{service}.json").write_text(json.dumps(answer))
    with serving_google_ai(tmp_path) as url:
        monkeypatch.setenv("DOCUMENT_AI_ENDPOINT", url)
        monkeypatch.setenv("GEMINI_ENDPOINT", url)
        yield importlib.import_module("fixtures.stand_ins.reading")


def test_document_ai_and_gemini_are_read_from_the_stand_in(reading: ModuleType) -> None:
    assert reading.text_by_document_ai(pdf(BOOKS), PROCESSOR) == "Order #: NS4435067"
    assert reading.text_by_gemini(pdf(BOOKS), MODEL, "Which order?") == "NS4435067"


def test_document_that_nobody_recorded_is_an_error_and_no_invention(reading: ModuleType) -> None:
    with pytest.raises(HttpError, match="nothing was recorded"):
        reading.text_by_document_ai(b"%PDF-1.4 another", PROCESSOR)


def test_endpoint_elsewhere_is_refused(
    reading: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCUMENT_AI_ENDPOINT", "https://example.org")
    with pytest.raises(ValueError, match="for stand-ins on this machine"):
        reading.text_by_document_ai(pdf(BOOKS), PROCESSOR)


def test_page_names_the_files_and_variables_of_the_example() -> None:
    text = PAGE.read_text("utf-8")
    for path in re.findall(r"`(fixtures/[\w/.]+|tests/[\w/.]+)`", text):
        assert (ROOT / path).exists(), path
    for name in ("DOCUMENT_AI_ENDPOINT", "GEMINI_ENDPOINT", "serving_google_ai"):
        assert name in text
