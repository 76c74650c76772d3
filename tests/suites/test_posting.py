"""Rows that a check made are removed again, and only those: also by the next run, when the one that made them died."""

import signal
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import pytest

from pytest_deploygate.checks.endpoint import Endpoint
from pytest_deploygate.checks.probe import Probe
from suites.invoices import golden, vendors
from suites.posting import Poster, batches
from suites.support.profile import ROOT, profile
from suites.support.rows import SheetRow
from suites.support.sheet_reader import SheetDisturbed, SheetReader
from suites.support.write_intents import WriteIntent, WriteIntentDamaged, WriteIntentLog
from tests.loopback_server import serving
from tests.suites.fake_sheets import FakeSheets, FakeTab, Value
from tests.suites.invoice_function import golden_rows

SMALL = "harpercollins_NS4435067"
SHEET, NAME = "1sheet", "Update 20230525"
REAL: list[Value] = ["", "11/24/2025", "HarperCollins", "NS9999999", "978 - a title", 5, 2]
"""A row of a real invoice."""


def ours(count: int = 23) -> list[list[Value]]:
    """The rows of the document SMALL as the sheet has them."""
    rows = golden_rows(SMALL)[:count]
    return [["", 45776, *row[1:4], float(row[4]), int(row[5])] for row in rows]


class PostingContext:
    """A tab with 3 real rows, and posters to it."""

    def __init__(self, url: str, tab: FakeTab, traces: WriteIntentLog) -> None:
        self.tab = tab
        self.traces = traces
        self.url = url

    def poster(self, *, is_shared: bool = True) -> Poster:
        sink = SheetReader(self.url, SHEET, NAME, may_write=True)
        return Poster(Probe(Endpoint(url=self.url)), sink, self.traces, is_shared=is_shared)

    def left(self) -> list[list[Value]]:
        return [row for row in self.tab.rows if any(cell != "" for cell in row)]

    def next_run(self, *, is_shared: bool = True) -> None:
        self.poster(is_shared=is_shared).gain((SMALL,), lambda: None)


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[PostingContext]:
    """A bench of its own for each test."""
    with serving() as start:
        tab = FakeTab(rows=[list(REAL) for _ in range(3)])
        sheets = FakeSheets(SHEET, {NAME: tab})
        traces = WriteIntentLog(tmp_path / "rows", spreadsheet_id=SHEET, tab=NAME)
        yield PostingContext(start(sheets.respond).url.rstrip("/"), tab, traces)


def died(ago: timedelta = timedelta(), *, rows: tuple[SheetRow, ...] | None = None) -> WriteIntent:
    """What a run left that died in a posting of SMALL, when the tab had 3 rows."""
    return WriteIntent(began_at=datetime.now(UTC) - ago, above=3, documents=(SMALL,), rows=rows)


def test_posting_is_noted_before_anything_is_sent_and_forgotten_when_its_rows_are_gone(
    bench: PostingContext,
) -> None:
    def act() -> WriteIntent | None:
        bench.tab.rows += ours()
        return bench.traces.read()

    noted, rows, shown = bench.poster().gain((SMALL,), act)
    assert noted is not None
    assert (noted.above, noted.documents, noted.rows) == (3, (SMALL,), None)
    assert len(rows) == len(shown) == 23
    assert bench.left() == [REAL] * 3
    assert bench.traces.read() is None


@pytest.mark.parametrize("is_shared", [True, False])
def test_real_rows_that_come_meanwhile_stay_in_a_shared_tab(
    bench: PostingContext, is_shared: bool
) -> None:
    def act() -> None:
        bench.tab.rows += [list(REAL), *ours(), list(REAL)]

    _, rows, shown = bench.poster(is_shared=is_shared).gain((SMALL,), act)
    assert len(rows) == len(shown) == (23 if is_shared else 25)
    assert bench.left() == [REAL] * (5 if is_shared else 3)


@pytest.mark.parametrize("count", [23, 9])
def test_rows_of_a_run_that_died_before_it_read_them_are_removed(
    bench: PostingContext, count: int
) -> None:
    bench.traces.write(died())
    bench.tab.rows += [list(REAL), *ours(count), list(REAL)]
    bench.next_run()
    assert bench.left() == [REAL] * 5
    assert bench.traces.read() is None


def test_documents_that_take_longer_than_they_may_end_the_posting_with_that_limit(
    bench: PostingContext,
) -> None:
    poster = bench.poster()
    quick = Probe(Endpoint(url=bench.url)).get("/")
    for seconds in (59.0, 60.0, 60.0, 61.0):
        slow = replace(quick, elapsed_s=seconds)
        poster.during(SMALL, partial(replace, slow))
    with pytest.raises(AssertionError, match=r"take 60\.0 s on average, their limit is 60 s"):
        poster.during(SMALL, lambda: quick)


def test_gate_has_the_time_that_its_documents_may_take() -> None:
    """Else its budget would end it before the limit could be the reason."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    deploygate = settings["tool"]["deploygate"]
    needs = {name: gate["needs-at-most-s"] for name, gate in deploygate["gates"].items()}
    every = [golden(document) for vendor in vendors() for document in vendor.documents]
    postings = len(batches(every)) + 1  # and the one to a tab with a gap
    assert needs["vendor_regression"] >= postings * profile().limit("longest-mean-s")


def test_rows_that_only_resemble_those_of_the_dead_run_stay(bench: PostingContext) -> None:
    """The same number with another price, another place, or a second time: somebody else's."""
    real = [*ours(1), *ours(2)[1:]]
    real[0][5] = 77.0
    moved = ["", *ours(3)[2]]
    noted = ["seen", *ours(4)[3][1:]]
    bench.traces.write(died())
    bench.tab.rows += [real[0], moved, noted, *ours(), real[1]]
    bench.next_run()
    assert bench.left() == [*[REAL] * 3, real[0], moved, noted, real[1]]


def test_rows_that_were_read_are_removed_whatever_they_say(bench: PostingContext) -> None:
    """A wrong function wrote them, so they are no golden rows."""
    wrong: list[Value] = ["Unknown", "", "Unknown", 1.6, 24, "", "", ""]
    rows = (SheetRow(number=4, cells=tuple(wrong)), SheetRow(number=5, cells=tuple(wrong)))
    bench.traces.write(died(rows=rows))
    bench.tab.rows += [list(wrong), [""] * 8, list(REAL)]  # it died while it removed them
    bench.next_run()
    assert bench.left() == [REAL] * 4


def test_row_that_is_not_as_it_was_read_stops_the_next_run_and_nothing_is_removed(
    bench: PostingContext,
) -> None:
    rows = tuple(SheetRow(number=4 + n, cells=(*row, "")) for n, row in enumerate(ours(2)))
    bench.traces.write(died(rows=rows))
    bench.tab.rows += [*ours(1), list(REAL)]
    for _ in range(2):
        with pytest.raises(SheetDisturbed, match=r"a check that died at .* left rows") as caught:
            bench.next_run()
        assert str(bench.traces.path) in caught.value.hint
    assert bench.left() == [*[REAL] * 3, *ours(1), REAL]


def test_rows_that_may_still_come_are_waited_for_in_a_shared_tab_alone(
    bench: PostingContext,
) -> None:
    bench.traces.write(died())
    with pytest.raises(SheetDisturbed, match="may still write rows"):
        bench.next_run()
    bench.next_run(is_shared=False)
    bench.traces.write(died(timedelta(minutes=11)))
    bench.next_run()
    assert bench.traces.read() is None


def test_call_without_an_answer_leaves_its_note_until_its_rows_are_found(
    bench: PostingContext,
) -> None:
    def act() -> None:
        raise TimeoutError

    with pytest.raises(TimeoutError):
        bench.poster().gain((SMALL,), act)
    assert bench.traces.read() is not None
    bench.tab.rows += ours()
    bench.next_run()
    assert bench.left() == [REAL] * 3


@pytest.mark.parametrize("text", ["", "{", "[]", '{"began_at": "x"}'])
def test_note_that_cannot_be_read_stops_the_next_run(bench: PostingContext, text: str) -> None:
    bench.traces.path.write_text(text)
    with pytest.raises(WriteIntentDamaged) as caught:
        bench.next_run()
    assert "by hand" in caught.value.hint


def test_row_of_a_test_document_that_stays_in_the_production_tab_fails_the_session(
    bench: PostingContext,
) -> None:
    """Whatever the checks found, and whatever people did to the tab meanwhile."""
    poster = bench.poster()
    production = SheetReader(bench.url, SHEET, NAME)
    with poster.watching(production):
        bench.tab.rows[0][6] = 3
        bench.tab.rows += [list(REAL)]
    with (
        pytest.raises(AssertionError, match=r"left rows in the production tab.*NS4435067"),
        poster.watching(production),
    ):
        bench.tab.rows += ours(1)


def test_lock_of_a_killed_process_is_free(bench: PostingContext) -> None:
    script = f"""
from pathlib import Path
from suites.support.write_intents import WriteIntentLog
with WriteIntentLog(Path({str(bench.traces.path.parent)!r}), spreadsheet_id={SHEET!r}, tab={NAME!r}).alone():
    print("held", flush=True)
    input()
"""
    command = [sys.executable, "-c", script]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        holder.send_signal(signal.SIGKILL)
        holder.wait()
        bench.next_run()
