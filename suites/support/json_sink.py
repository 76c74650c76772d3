"""Reads a collection of JSON records, and takes back exactly what a check wrote: a sink that is no sheet.

The service keeps records in order: ``GET /collections/NAME/records`` answers ``{"records": [RECORD, ...]}``, where a
record is ``{"id": 1, "fields": {...}}``; ``POST`` of ``{"records": [FIELDS, ...]}`` adds some, ``DELETE
/collections/NAME/records/ID`` removes one. A record is read as a row: its fields in the order of the columns, and
whatever else it has behind them, as beside its place.
"""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from urllib.parse import quote

from pytest_deploygate.checks.endpoint import Endpoint, Json
from pytest_deploygate.checks.probe import Answer, Probe, WouldWrite
from pytest_deploygate.core.identifiers import Secret
from suites.support.rows import Cell, RowLayout, SheetRow
from suites.support.sheet_reader import Rendering, SheetDisturbed, SheetUnreadable, Watermark


class RecordReader:
    """One collection, with the methods of `SheetReader`; numbers of rows are ids."""

    can_go_astray = False

    def __init__(
        self,
        endpoint: str,
        collection: str,
        *,
        layout: RowLayout,
        fields: Mapping[str, str],
        token: Secret | None = None,
        may_write: bool = False,
    ) -> None:
        self.tab = collection
        self.place = (endpoint, collection)
        self.fault_place = collection
        self._layout = layout
        self._fields = [fields.get(column, column) for column in layout.columns]
        self._may_write = may_write
        url = f"{endpoint.rstrip('/')}/collections/{quote(collection, safe='')}/records"
        self._probe = Probe(Endpoint(url=url, token=token, may_write=may_write), read_timeout_s=30)

    def rows(
        self, *, first: int = 1, rendering: Rendering = Rendering.UNFORMATTED
    ) -> tuple[SheetRow, ...]:
        """All records from the id ``first`` on; they look the same to a person.

        Raises:
            SheetUnreadable: the service refused.
        """
        del rendering
        return tuple(row for row in map(self._row, self._records()) if row.number >= first)

    def digest(self) -> str:
        """SHA-256 of the whole collection."""
        return _digest([(row.number, row.cells) for row in self.rows()])

    def watermark(self) -> Watermark:
        """The last id now, and a digest of what there is."""
        rows = self.rows()
        return Watermark(
            rows=rows[-1].number if rows else 0, digest=_digest([row.cells for row in rows])
        )

    def rows_since(self, watermark: Watermark) -> tuple[SheetRow, ...]:
        """Records that are newer than ``watermark``.

        Raises:
            SheetDisturbed: older ones are not as they were.
        """
        rows = self.rows()
        if _digest([r.cells for r in rows if r.number <= watermark.rows]) != watermark.digest:
            raise SheetDisturbed(
                f"records of collection {self.tab!r} changed while a check was running",
                hint="give the verification revision a collection of its own that nobody else edits",
            )
        return tuple(row for row in rows if row.number > watermark.rows)

    def remove(self, rows: Sequence[SheetRow]) -> None:
        """Delete exactly ``rows``, if every one of them still holds what was read.

        Raises:
            SheetDisturbed: one changed meanwhile; nothing was deleted.
            WouldWrite: this reader may only read.
        """
        if not rows:
            return
        if not self._may_write:
            raise WouldWrite(
                f"refused to remove records of collection {self.tab!r}: this reader may only read",
                hint="only the collection of the verification revision may be written to",
            )
        now = {row.number: row.cells for row in self.rows()}
        changed = [row.number for row in rows if now.get(row.number) != row.cells]
        if changed:
            raise SheetDisturbed(
                f"records {', '.join(map(str, changed[:5]))} of collection {self.tab!r} are not as they were written",
                hint="look at the collection and remove the records by hand",
            )
        for row in rows:
            self._checked(partial(self._probe.request, "DELETE", f"/{row.number}"))

    def clear_below(self, row: int) -> None:
        """Delete everything newer than the id ``row``: for a collection of the checks' own alone."""
        self.remove(self.rows(first=row + 1))

    def put_gap(self) -> SheetRow:
        """Records have no columns that could shift."""
        raise NotImplementedError

    def _records(self) -> list[Mapping[str, Json]]:
        records = self._checked(self._probe.get).get("records")
        if not isinstance(records, list):
            raise SheetUnreadable(f"collection {self.tab!r} was answered without records")
        return [record for record in records if isinstance(record, Mapping)]

    def _row(self, record: Mapping[str, Json]) -> SheetRow:
        number, fields = record.get("id"), record.get("fields")
        if not isinstance(number, int) or not isinstance(fields, Mapping):
            raise SheetUnreadable(f"a record of collection {self.tab!r} has no id or no fields")
        other = {name: value for name, value in fields.items() if name not in self._fields}
        cells = [_cell(fields.get(name)) for name in self._fields]
        beside = json.dumps(other, sort_keys=True) if other else ""
        padding = [""] * self._layout.before
        return SheetRow(number=number, cells=(*padding, *cells, beside), before=self._layout.before)

    def _checked(self, ask: Callable[[], Answer]) -> Mapping[str, Json]:
        answer = ask()
        if answer.status != 200 or not isinstance(answer.json, Mapping):
            raise SheetUnreadable(
                f"the service answered HTTP {answer.status} for collection {self.tab!r}",
                hint="does it run, and may the account that runs the checks read it?",
            )
        return answer.json


def _cell(value: Json) -> Cell:
    return value if isinstance(value, (str, int, float)) else "" if value is None else str(value)


def _digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value, ensure_ascii=True).encode()).hexdigest()
