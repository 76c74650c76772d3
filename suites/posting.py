"""Posting documents to the function, reading what the sheet gained by it, and taking exactly that out again.

What is about to be written is noted on disk first (:mod:`suites.support.write_intents`). So when a run is killed,
the next one that posts to the same tab finds the note and removes the rows of the dead run before it writes any.

In a tab of the checks' own all new rows are theirs. Where the function has no verification revision, its tab is shared
with real invoices: then rows are a posting's only if they bear its document's number or are its golden rows, cell by
cell; rows of a run that died before it read them only if they are its golden rows. Everything else is left alone.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TypeVar

from pytest_deploygate.checks.accuracy import Record
from pytest_deploygate.checks.probe import Answer, Probe
from suites.invoices import Golden, Posting, golden, upload, vendors
from suites.support.rows import SheetRow, parse_line
from suites.support.sheet import Rendering, SheetDisturbed, SheetReader, Watermark
from suites.support.write_intents import WriteIntent, WriteIntentLog, with_text
from suites.support.zapier import Call

LONGEST_REQUEST = timedelta(minutes=10)
"""After this a request that nobody waits for any more writes nothing: above the function's own timeout of 540 s."""
UNKNOWN = "Unknown"
_Result = TypeVar("_Result")


class Poster:
    """Posts documents one after the other, whichever process does it, so that new rows are told apart.

    After each posting the rows that it made are removed again, and only those.
    """

    def __init__(
        self, probe: Probe, sink: SheetReader, traces: WriteIntentLog, *, is_shared: bool
    ) -> None:
        self._probe = probe
        self._sink = sink
        self._traces = traces
        self._is_shared = is_shared

    def post(self, document: str, call: Call | None = None) -> Posting:
        """POST once, wait for the answer, read the rows below the watermark."""
        sent = call or upload(document)
        return self.during(document, lambda: sent.send(self._probe))

    def during(self, document: str, act: Callable[[], Answer]) -> Posting:
        """Whatever ``act`` does, as a posting of ``document``."""
        answer, rows, shown = self.gain((document,), act)
        return Posting(document=document, answer=answer, rows=rows, shown=shown)

    def gain(
        self, documents: Sequence[str], act: Callable[[], _Result]
    ) -> tuple[_Result, tuple[SheetRow, ...], tuple[SheetRow, ...]]:
        """What ``act`` returns, and the rows that it made: as they are, and as a person sees them."""
        with self._alone():
            mark = self._sink.watermark()
            trace = WriteIntent(
                began_at=datetime.now(UTC),
                above=mark.rows,
                documents=tuple(dict.fromkeys(documents)),
            )
            self._traces.write(trace)
            has_returned = False
            try:
                result = act()
                has_returned = True
            finally:
                rows, shown = self._take_back(mark, trace, has_returned=has_returned)
        return result, rows, shown

    @contextmanager
    def watching(self, production: SheetReader) -> Iterator[None]:
        """Hold the production tab at the end of the block against what it was at the beginning.

        Raises:
            AssertionError: rows of test documents came into it, whatever the checks found and however they ended.
        """
        with self._alone():
            before = Bystander(production)
        try:
            yield
        finally:
            with self._traces.alone():
                left = before.left_by(
                    tuple(name for vendor in vendors() for name in vendor.documents)
                )
            assert not left, f"checks left rows in the production tab: {left}"

    def _take_back(
        self, mark: Watermark, trace: WriteIntent, *, has_returned: bool
    ) -> tuple[tuple[SheetRow, ...], tuple[SheetRow, ...]]:
        rows = self._ours(self._sink.rows_since(mark), trace.documents)
        shown: tuple[SheetRow, ...] = ()
        if rows:
            self._traces.write(_with_rows(trace, rows))
            numbers = {row.number for row in rows}
            every = self._sink.rows(first=mark.rows + 1, rendering=Rendering.FORMATTED)
            shown = tuple(row for row in every if row.number in numbers)
            self._sink.remove(_filled(rows))
        if rows or has_returned:  # else they may still come
            self._traces.clear()
        return rows, shown

    def _ours(self, new: tuple[SheetRow, ...], documents: Sequence[str]) -> tuple[SheetRow, ...]:
        if not self._is_shared:
            return new
        known = {row.number: row for row in with_text(new, _numbers_of(documents))}
        whole = golden_rows_among(new, [golden(name) for name in documents])
        known |= {row.number: row for row in whole}
        return tuple(known[number] for number in sorted(known))

    @contextmanager
    def _alone(self) -> Iterator[None]:
        with self._traces.alone():
            trace = self._traces.read()
            if trace is not None:
                self._remove_left(trace)
            yield

    def _remove_left(self, trace: WriteIntent) -> None:
        """Remove the rows of a run that died.

        Raises:
            SheetDisturbed: which rows those are cannot be told for certain; nothing was removed.
        """
        rows = trace.rows
        if rows is None:
            below = self._sink.rows(first=trace.above + 1)
            rows = golden_rows_among(below, [golden(name) for name in trace.documents])
            is_expected = any(golden(name).records for name in trace.documents)
            until = trace.began_at + LONGEST_REQUEST
            if self._is_shared and is_expected and not rows and datetime.now(UTC) < until:
                raise SheetDisturbed(
                    f"a check that died may still write rows to tab {self._sink.tab!r} until {until:%H:%M} UTC",
                    hint=f"run this again then; what is known of it is in {self._traces.path}",
                )
        try:
            self._sink.remove(self._still_there(rows))
        except SheetDisturbed as error:
            raise SheetDisturbed(
                f"a check that died at {trace.began_at:%Y-%m-%d %H:%M} UTC left rows: {error.message}",
                hint=f"look at the tab and remove its rows by hand, then remove {self._traces.path}",
            ) from error
        self._traces.clear()

    def _still_there(self, rows: Sequence[SheetRow]) -> tuple[SheetRow, ...]:
        """``rows`` without those that are empty by now: the run died while it removed them."""
        filled = _filled(rows)
        if not filled:
            return ()
        now = {row.number: row for row in self._sink.rows(first=filled[0].number)}
        return tuple(
            row for row in filled if _filled([now[row.number]] if row.number in now else [])
        )


def golden_rows_among(
    rows: Sequence[SheetRow], documents: Sequence[Golden]
) -> tuple[SheetRow, ...]:
    """The first rows that are golden rows of ``documents`` in every column, each golden row at most once."""
    wanted = [
        (truth.day, truth.vendor, number, *_values(record))
        for truth in documents
        for number, record in zip(truth.numbers, truth.records, strict=True)
    ]
    found = []
    for row in rows:
        line = parse_line(row)
        key = (line.day, line.vendor, line.invoice_number, *_values(line.as_record()))
        if row.is_in_place and key in wanted:
            wanted.remove(key)
            found.append(row)
    return tuple(found)


def _values(record: Record) -> tuple[object, ...]:
    texts = (record["code"], record["upc"], record["description"])
    numbers = (record["price"], record["quantity"])
    return (*texts, *(None if n is None else Decimal(str(n)) for n in numbers))


def _filled(rows: Sequence[SheetRow]) -> tuple[SheetRow, ...]:
    return tuple(row for row in rows if any(cell != "" for cell in row.cells))


def _with_rows(trace: WriteIntent, rows: tuple[SheetRow, ...]) -> WriteIntent:
    return WriteIntent(
        began_at=trace.began_at, above=trace.above, documents=trace.documents, rows=_filled(rows)
    )


class Bystander:
    """A tab that must stay as it is while a check posts somewhere else; made before the posting."""

    def __init__(self, sheet: SheetReader) -> None:
        self._sheet = sheet
        self._rows = Counter(row.cells for row in sheet.rows())
        self._mark = sheet.watermark()
        self._digest = sheet.digest()

    def traces_of(self, posting: Posting) -> list[str]:
        """What the posting changed: nothing if the tab is the same byte for byte, or what is new is not ours.

        Real invoices may arrive in a production tab at any time; what was there before may not change.
        """
        if self._sheet.digest() == self._digest:
            return []
        new = self._sheet.rows_since(self._mark)
        ours = set(posting.golden.numbers)
        traces = [f"row {row.number}: {row.cells}" for row in new if ours & {*map(str, row.cells)}]
        return traces or ([] if new else ["the tab changed, but in no row that is new"])

    def left_by(self, documents: Sequence[str]) -> list[str]:
        """Rows with the number of one of ``documents`` that were not there before, wherever they are.

        Over a whole session people may edit a production tab: what they do elsewhere is not held against anybody.
        """
        if self._sheet.digest() == self._digest:
            return []
        ours = with_text(self._sheet.rows(), _numbers_of(documents))
        new = Counter(row.cells for row in ours) - self._rows
        return [f"{cells}" for cells in new]


def _numbers_of(documents: Sequence[str]) -> frozenset[str]:
    """Invoice numbers that tell whose a row is; ``Unknown`` stands where a document has none."""
    numbers = (number for name in documents for number in golden(name).numbers)
    return frozenset(numbers) - {UNKNOWN}
