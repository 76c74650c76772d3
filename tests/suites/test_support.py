"""What the suites stand on: attribution of rows, imports, leaks, profiles, the records of another sink."""

import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from textwrap import dedent

import pytest

from fixtures.second_function.record_store import serving_records
from pytest_deploygate.checks.probe import Answer, WouldWrite
from pytest_deploygate.core.errors import ConfigError
from suites.faulty_postings import FaultyPostings
from suites.invoices import Posting, golden, vendors
from suites.posting import Poster, Postings, batches, sort_rows
from suites.support.answer_leaks import AnswerLeaks
from suites.support.imported_modules import imported_packages
from suites.support.json_sink import RecordReader
from suites.support.known_defects import known_defects
from suites.support.profile import ROOT, load_profile
from suites.support.rows import RowLayout, SheetRow
from suites.support.sheet_reader import SheetDisturbed
from suites.support.sink_faults import SINK_FAULTS, failing
from suites.support.zapier import ZapierCall
from tests.suites.invoice_function import golden_rows

BOOKS, PAPER = "harpercollins_NS4435067", "rifle_paper_3363053"
LAYOUT = RowLayout(columns=("code", "description", "date", "vendor", "number", "price", "quantity"))
DEFECT = '[[defects]]\nfunction = "f"\ncheck = "c"\nreason = "r"\n'
RECORD = {
    "code": "007",
    "description": "Card",
    "date": "2025-03-04",
    "vendor": "V",
    "number": "N1",
    "price": 1.5,
    "quantity": 2,
}


def rows_of(*names: str) -> list[SheetRow]:
    found = [row for name in names for row in golden_rows(name)]
    return [SheetRow(number=n, cells=("", *row, "")) for n, row in enumerate(found, start=1)]


def test_rows_of_documents_posted_at_once_are_told_apart() -> None:
    owners = sort_rows(rows_of(PAPER, BOOKS, PAPER), [golden(BOOKS), golden(PAPER)])
    assert owners == [PAPER] * 11 + [BOOKS] * 23 + [PAPER] * 11


def test_row_that_names_nothing_is_of_the_document_above_it() -> None:
    rows = rows_of(PAPER, BOOKS)
    rows[20] = SheetRow(number=21, cells=("", "x", "x", "Unknown", "x - y", 1, 1, ""))
    assert sort_rows(rows, [golden(BOOKS), golden(PAPER)])[20] == BOOKS


def test_documents_of_one_number_are_never_posted_at_once() -> None:
    names = ["unknown_vendor", "credit_generic", BOOKS, "higher_total_generic"]
    found = batches([golden(name) for name in names])
    assert found == [["unknown_vendor", BOOKS], ["credit_generic"], ["higher_total_generic"]]


def test_only_what_the_function_cannot_do_without_is_imported(tmp_path: Path) -> None:
    files = {
        "main.py": dedent("""
            import own, package.part
            from typing import TYPE_CHECKING
            import flask
            try:
                import orjson
            except ImportError:
                orjson = None
            if TYPE_CHECKING:
                import numpy
        """),
        "own.py": """\
def f():
    import requests.adapters
""",
        "package/part.py": "from . import other\n",
        "package/other.py": "import google.auth\n",
        "script.py": "import pytest\n",
    }
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    assert imported_packages(tmp_path) == {"typing", "flask", "requests", "google"}


def answer(text: str, json: dict[str, str] | None = None) -> Answer:
    return Answer(status=500, headers={}, text=text, json=json, elapsed_s=0, revision="")


@pytest.mark.parametrize(
    "text",
    ["at spreadsheet-4711", "Traceback (most recent call last)", "ghp_" + "a1B2c3D4e5F6" * 3],
    ids=["variable", "traceback", "token"],
)
def test_answer_that_shows_the_inside_is_noted_once(text: str) -> None:
    leaks = AnswerLeaks(frozenset({"spreadsheet-4711"}))
    leaks.look_at(answer(text))
    assert len(leaks.take()) == 1
    assert leaks.take() == []


def test_place_of_the_rows_may_be_told() -> None:
    leaks = AnswerLeaks(frozenset({"Update 20230525"}), shown=("updated_range",))
    place = "'Update 20230525'!B2:G3"
    leaks.look_at(answer(f'{{"updated_range": "{place}"}}', {"updated_range": place}))
    assert leaks.take() == []


def test_profile_that_is_none_is_refused_with_its_file(tmp_path: Path) -> None:
    path = tmp_path / "p.toml"
    path.write_text('name = "x"')
    with pytest.raises(ConfigError, match=r"p\.toml is no suite profile: KeyError"):
        load_profile(path)
    known = load_profile(ROOT / "fixtures/second_function.toml")
    with pytest.raises(ConfigError, match="has no limit longest-s"):
        replace(known, limits={}).limit("longest-s")


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("[[defects]", "cannot be read"),
        ('defects = ["x"]', "defects is no list of tables"),
        (
            '[[defects]]\nfunction = "f"\ncheck = "c"\nuntil = 2026-12-31',
            "a defect has no 'reason'",
        ),
        (DEFECT + 'until = "soon"', "until of c is no date"),
        (DEFECT + "until = 2026-12-31T00:00:00", "until of c is no date"),
    ],
)
def test_known_defects_that_cannot_be_read_are_refused_with_their_file(
    text: str, cause: str, tmp_path: Path
) -> None:
    path = tmp_path / "known.toml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=rf"known\.toml:? {cause}"):
        known_defects(path)


@pytest.mark.parametrize("option", ["suite_profile=nowhere.toml", "suite_profile=tox.ini"])
def test_session_without_a_profile_ends_with_an_error_and_no_traceback(option: str) -> None:
    command = [sys.executable, "-m", "pytest", "--co", "-q", "-p", "no:cacheprovider", "-o", option]
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("PYTEST_")}
    run = subprocess.run(
        [*command, "suites/health"],
        cwd=ROOT,
        env=inherited,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert run.returncode == pytest.ExitCode.USAGE_ERROR
    assert "is no suite profile" in run.stderr
    assert "Traceback" not in run.stdout + run.stderr


def test_records_are_read_as_rows_and_taken_back() -> None:
    import requests

    with serving_records() as service:
        reader = RecordReader(service, "TEST", layout=LAYOUT, fields={}, may_write=True)
        url = f"{service}/collections/TEST/records"
        requests.post(url, json={"records": [RECORD]}, timeout=5)
        mark = reader.watermark()
        requests.post(url, json={"records": [RECORD, RECORD | {"x": 1}]}, timeout=5)
        first, second = reader.rows_since(mark)
        assert (first.is_in_place, second.is_in_place) == (True, False)
        with pytest.raises(WouldWrite):
            RecordReader(service, "TEST", layout=LAYOUT, fields={}).remove([first])
        with pytest.raises(SheetDisturbed):
            reader.remove([first, replace(second, cells=first.cells)])
        reader.remove([first, second])
        assert reader.watermark() == mark


@pytest.mark.parametrize("fault", SINK_FAULTS)
def test_stand_in_of_the_record_service_fails_as_asked_and_only_meanwhile(fault: str) -> None:
    import requests

    with serving_records() as service:
        url = f"{service}/collections/TEST/records"
        with failing(service, {"": fault}, place="TEST"):
            try:
                status = requests.post(url, json={"records": [RECORD]}, timeout=5).status_code
            except requests.ConnectionError:
                status = 0
        kept = requests.get(url, timeout=5).json()["records"]
        rule = SINK_FAULTS[fault]
        assert status == rule.get("http", 0 if "drop" in rule else 201)
        assert bool(kept) == ("http" not in rule or rule.get("applied") is True)
        assert requests.post(url, json={"records": [RECORD]}, timeout=5).status_code == 201


def test_faults_of_several_documents_are_told_apart_by_a_text_of_theirs() -> None:
    import requests

    with serving_records() as service:
        url = f"{service}/collections/TEST/records"
        faults = {"4711": "forbidden", "4712": "unavailable", "4714": "slow"}
        with failing(service, faults, place="TEST") as met:
            found = [
                requests.post(url, json={"records": [{"note": n}]}, timeout=5).status_code
                for n in ("4712", "4711", "4713")
            ]
        assert found == [503, 403, 201]
        assert met == {"4711", "4712"}


class IdlePoster(Poster):
    """Answers as if every document had been posted, and writes what ``writes`` does."""

    def __init__(self, service: str, writes: Callable[[str], None]) -> None:
        self.sink = RecordReader(service, "TEST", layout=LAYOUT, fields={})
        self._writes = writes

    def post_all(
        self, calls: Mapping[str, ZapierCall], *, late_s: float = 0.0
    ) -> dict[str, Posting]:
        assert late_s >= 0
        for name in calls:
            self._writes(name)
        return {n: Posting(document=n, answer=answer(n), rows=(), shown=()) for n in calls}


def test_fault_that_no_write_met_is_no_evidence() -> None:
    import requests

    def write(name: str) -> None:
        records = [RECORD | {"number": number} for number in golden(name).numbers]
        with suppress(requests.ConnectionError):
            requests.post(
                f"{service}/collections/TEST/records", json={"records": records}, timeout=5
            )

    with serving_records() as service:
        written = FaultyPostings(IdlePoster(service, write), service)
        assert len({written.of(fault).document for fault in SINK_FAULTS}) == len(SINK_FAULTS)
        unwritten = FaultyPostings(IdlePoster(service, lambda _: None), service)
        with pytest.raises(AssertionError, match="no write met the fault forbidden"):
            unwritten.of("slow")


def test_documents_that_wait_for_each_other_cost_no_more_rounds_than_they_must() -> None:
    every = [golden(document) for vendor in vendors() for document in vendor.documents]
    most_of_one_number = max(Counter(n for d in every for n in set(d.numbers)).values())
    assert len(batches(every)) == most_of_one_number
    assert sorted(n for batch in batches(every) for n in batch) == sorted(d.name for d in every)


class CountingPoster(Poster):
    """Posts nothing, and says what was asked of it."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, ...]] = []

    def post(self, document: str, call: ZapierCall | None = None) -> Posting:
        assert call is None
        self.asked.append((document,))
        return Posting(
            document=document, answer=answer(f"alone {len(self.asked)}"), rows=(), shown=()
        )

    def post_all(
        self, calls: Mapping[str, ZapierCall], *, late_s: float = 0.0
    ) -> dict[str, Posting]:
        assert late_s == 0
        self.asked.append(tuple(calls))
        return {
            name: Posting(document=name, answer=answer("at once"), rows=(), shown=())
            for name in calls
        }


def test_document_is_posted_once_and_once_more_where_its_time_counts() -> None:
    poster = CountingPoster()
    postings = Postings(poster)
    assert postings.alone(BOOKS).answer.text == "alone 1"
    postings.prepare([BOOKS, PAPER])
    postings.prepare([BOOKS, PAPER])
    assert postings.of(BOOKS).answer.text == "alone 1"
    assert postings.of(PAPER).answer.text == "at once"
    postings.keep(Posting(document=PAPER, answer=answer("made by a check"), rows=(), shown=()))
    assert postings.alone(PAPER).answer.text == "made by a check"
    assert [names for names in poster.asked if names] == [(BOOKS,), (PAPER,)]
