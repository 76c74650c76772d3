"""Posting documents to the function, reading what the sink gained by it, and taking exactly that out again.

What is about to be written is noted on disk first (:mod:`suites.support.write_intents`). So when a run is killed,
the next one that posts to the same tab finds the note and removes the rows of the dead run before it writes any.

In a tab of the checks' own all new rows are theirs. Where the function has no verification revision, its tab is shared
with real invoices: then rows are a posting's only if they bear its document's number or are its golden rows, cell by
cell; rows of a run that died before it read them only if they are its golden rows. Everything else is left alone.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TypeVar

from pytest_deploygate.checks.accuracy import Record
from pytest_deploygate.checks.probe import Answer, Probe
from suites.invoices import Golden, Posting, Sink, golden, upload, vendors
from suites.support.profile import profile
from suites.support.rows import SheetRow, parse_line
from suites.support.sheet_reader import Rendering, SheetDisturbed, Watermark
from suites.support.write_intents import WriteIntent, WriteIntentLog, with_text
from suites.support.zapier import ZapierCall

LONGEST_REQUEST = timedelta(minutes=10)
"""After this a request that nobody waits for any more writes nothing: above the function's own timeout of 540 s."""
ENOUGH_TIMES = 4
"""So many documents tell the average."""
SENDERS = 12
"""Documents that are posted at once, where order does not matter."""
UNKNOWN = "Unknown"
_Result = TypeVar("_Result")


class Poster:
    """Posts documents one after the other, whichever process does it, so that new rows are told apart.

    After each posting the rows that it made are removed again, and only those.
    """

    def __init__(
        self, probe: Probe, sink: Sink, traces: WriteIntentLog, *, is_shared: bool
    ) -> None:
        self.probe = probe
        self.sink = sink
        self._traces = traces
        self.is_shared = is_shared
        self._times: list[float] = []

    def post(self, document: str, call: ZapierCall | None = None) -> Posting:
        """POST once, wait for the answer, read the rows below the watermark."""
        sent = call or upload(document)
        return self.during(document, lambda: sent.send(self.probe))

    def post_all(
        self, calls: Mapping[str, ZapierCall], *, late_s: float = 0.0
    ) -> dict[str, Posting]:
        """POST documents at once, each with its call; those that bear the same number one after the other.

        ``late_s`` is how long after they were sent rows may come although an error was answered.
        """
        made: dict[str, Posting] = {}
        for batch in batches([golden(name) for name in calls]):
            made |= self._post_at_once({name: calls[name] for name in batch}, late_s)
        return made

    def _post_at_once(self, calls: Mapping[str, ZapierCall], late_s: float) -> dict[str, Posting]:
        def act() -> list[Answer]:
            with ThreadPoolExecutor(SENDERS) as pool:
                answers = list(pool.map(lambda call: call.send(self.probe), calls.values()))
            errors = [answer.elapsed_s for answer in answers if answer.status >= 400]
            time.sleep(max(0.0, late_s - min(errors, default=late_s)))
            return answers

        answers, rows, shown = self.gain(tuple(calls), act)
        self._times += [answer.elapsed_s for answer in answers]
        owners = sort_rows(rows, [golden(name) for name in calls])
        return {
            document: Posting(
                document=document,
                answer=answer,
                rows=tuple(
                    row for row, owner in zip(rows, owners, strict=True) if owner == document
                ),
                shown=tuple(r for r, owner in zip(shown, owners, strict=True) if owner == document),
            )
            for document, answer in zip(calls, answers, strict=True)
        }

    def watermark(self) -> Watermark:
        """How far the sink is filled, while nobody posts."""
        with self._alone():
            return self.sink.watermark()

    def post_beside_a_gap(self, document: str) -> Posting:
        """POST a document to a tab whose last row has a gap; everything below what there was is cleared afterwards."""
        with self._alone():
            mark = self.sink.watermark()
            began = WriteIntent(
                began_at=datetime.now(UTC), above=mark.rows, documents=(document,), is_all_ours=True
            )
            self._traces.write(began)
            gap = self.sink.put_gap()
            try:
                answer = upload(document).send(self.probe)
                rows = tuple(r for r in self.sink.rows_since(mark) if r.number > gap.number)
                every = self.sink.rows(first=gap.number + 1, rendering=Rendering.FORMATTED)
            finally:
                self.sink.clear_below(mark.rows)
            self._traces.clear()
        return Posting(document=document, answer=answer, rows=rows, shown=every[: len(rows)])

    def during(self, document: str, act: Callable[[], Answer]) -> Posting:
        """Whatever ``act`` does, as a posting of ``document``."""
        answer, rows, shown = self.gain((document,), act)
        self._times.append(answer.elapsed_s)
        return Posting(document=document, answer=answer, rows=rows, shown=shown)

    def gain(
        self, documents: Sequence[str], act: Callable[[], _Result]
    ) -> tuple[_Result, tuple[SheetRow, ...], tuple[SheetRow, ...]]:
        """What ``act`` returns, and the rows that it made: as they are, and as a person sees them."""
        self._refuse_what_takes_too_long()
        with self._alone():
            mark = self.sink.watermark()
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

    def _refuse_what_takes_too_long(self) -> None:
        """End with the limit that is broken while there is time, instead of without evidence when the budget is over.

        Raises:
            AssertionError: a document took longer than any may, or on average they take longer than they may.
        """
        if not self._times:
            return
        longest, limit = max(self._times), profile().limit("longest-s")
        assert longest <= limit, (
            f"nothing more is posted: a document took {longest:.0f} s, its limit is {float(limit):g} s"
        )
        mean, limit = sum(self._times) / len(self._times), profile().limit("longest-mean-s")
        assert len(self._times) < ENOUGH_TIMES or mean < limit, (
            f"nothing more is posted: documents take {mean:.1f} s on average, their limit is {float(limit):g} s"
        )

    @contextmanager
    def watching(self, production: Sink) -> Iterator[None]:
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
        rows = self._ours(self.sink.rows_since(mark), trace.documents)
        shown: tuple[SheetRow, ...] = ()
        if rows:
            self._traces.write(_with_rows(trace, rows))
            numbers = {row.number for row in rows}
            every = self.sink.rows(first=mark.rows + 1, rendering=Rendering.FORMATTED)
            shown = tuple(row for row in every if row.number in numbers)
            self.sink.remove(_filled(rows))
        if rows or has_returned:  # else they may still come
            self._traces.clear()
        return rows, shown

    def _ours(self, new: tuple[SheetRow, ...], documents: Sequence[str]) -> tuple[SheetRow, ...]:
        if not self.is_shared:
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
        if trace.is_all_ours:
            self.sink.clear_below(trace.above)
            self._traces.clear()
            return
        rows = trace.rows
        if rows is None:
            below = self.sink.rows(first=trace.above + 1)
            rows = golden_rows_among(below, [golden(name) for name in trace.documents])
            is_expected = any(golden(name).records for name in trace.documents)
            until = trace.began_at + LONGEST_REQUEST
            if self.is_shared and is_expected and not rows and datetime.now(UTC) < until:
                raise SheetDisturbed(
                    f"a check that died may still write rows to tab {self.sink.tab!r} until {until:%H:%M} UTC",
                    hint=f"run this again then; what is known of it is in {self._traces.path}",
                )
        try:
            self.sink.remove(self._still_there(rows))
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
        now = {row.number: row for row in self.sink.rows(first=filled[0].number)}
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
        line = parse_line(row, profile().sink.layout)
        key = (line.day, line.vendor, line.invoice_number, *_values(line.as_record()))
        if row.is_in_place and key in wanted:
            wanted.remove(key)
            found.append(row)
    return tuple(found)


class Postings:
    """Every document is posted once for all checks of this process, and once more by itself where its time counts."""

    def __init__(self, poster: Poster) -> None:
        self._poster = poster
        self._at_once: dict[str, Posting] = {}
        self._alone: dict[str, Posting] = {}

    def prepare(self, documents: Iterable[str]) -> None:
        """Post those that were not yet, at once."""
        known = {*self._at_once, *self._alone}
        self._at_once |= self._poster.post_all(
            {name: upload(name) for name in documents if name not in known}
        )

    def alone(self, document: str) -> Posting:
        """The posting of one document while no other was on its way."""
        if document not in self._alone:
            self.keep(self._poster.post(document))
        return self._alone[document]

    def keep(self, posting: Posting) -> None:
        """Take a posting that a check made by itself, so that none has to be made for others."""
        self._alone[posting.document] = posting

    def of(self, document: str) -> Posting:
        """The posting of one document, however it was made; by itself if it was not posted yet."""
        return self._at_once.get(document) or self.alone(document)


def batches(documents: Sequence[Golden], most: int = SENDERS) -> list[list[str]]:
    """Names of documents that may be posted at once: no two with the same number, and not more than ``most``."""
    made: list[tuple[list[str], set[str]]] = []
    shared = Counter(number for truth in documents for number in set(truth.numbers))
    # those that have to wait for each other first, so that the others fill their batches
    for truth in sorted(documents, key=lambda d: -max((shared[n] for n in d.numbers), default=0)):
        numbers = set(truth.numbers)
        fitting = (b for b in made if len(b[0]) < most and not b[1] & numbers)
        names, taken = next(fitting, ([], set()))
        if not names:
            made.append((names, taken))
        names.append(truth.name)
        taken |= numbers
    return [names for names, _ in made]


def sort_rows(rows: Sequence[SheetRow], documents: Sequence[Golden]) -> list[str]:
    """Say of each row which document it is of: the one whose number, products and vendor it names most of.

    A row that names nothing is of the document of the row above it, since an invoice is appended as a whole. With
    several documents a wrong row may be given to the wrong one; then both differ from their golden results.
    """
    owners: list[str] = []
    codes = {d.name: {str(record["code"]) for record in d.records} for d in documents}
    numbers = {d.name: set(d.numbers) - {UNKNOWN} for d in documents}
    for row in rows:
        texts = {str(cell) for cell in row.cells}
        words = {word for text in texts for word in text.split()}
        words |= texts | {parse_line(row, profile().sink.layout).code}
        best, owner = 0, owners[-1] if owners else documents[0].name
        for truth in documents:
            score = 4 * bool(texts & numbers[truth.name]) + 2 * bool(words & codes[truth.name])
            score += (truth.vendor in texts) + (UNKNOWN in texts and UNKNOWN in truth.numbers)
            if score > best:
                best, owner = score, truth.name
        owners.append(owner)
    return owners


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

    def __init__(self, sheet: Sink) -> None:
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
