"""Reads one tab of a spreadsheet through the Sheets v4 values API, and takes back exactly what a check wrote.

What a function answers proves nothing about its rows: checks read them here, below a watermark taken before.
The columns beside those of the rows are read, too, so that a row beside its place is seen.
Source: https://developers.google.com/workspace/sheets/api/reference/rest/v4/spreadsheets.values
"""

import hashlib
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, unique
from functools import partial
from urllib.parse import quote, urlencode

from pytest_deploygate.checks.endpoint import Endpoint, Json
from pytest_deploygate.checks.probe import Answer, Probe, WouldWrite
from pytest_deploygate.core.errors import DeployGateError
from pytest_deploygate.core.identifiers import Secret
from suites.support.rows import SHEET_LAYOUT, Cell, RowLayout, SheetRow, padded

_PAUSES_S = (2, 4, 8, 16, 32)
"""After a 429 (refused, nothing was done): Google allows 60 requests a minute and asks for waits that double.
Source: https://developers.google.com/workspace/sheets/api/limits"""


class SheetUnreadable(DeployGateError):
    """The Sheets API refused, or answered what it should not."""


class SheetDisturbed(DeployGateError):
    """Rows above the watermark, or rows about to be removed, are not as they were; nothing was changed."""


@unique
class Rendering(Enum):
    """How cells are read: as numbers and text, or as a person sees them (which depends on the sheet's locale)."""

    UNFORMATTED = "UNFORMATTED_VALUE"
    FORMATTED = "FORMATTED_VALUE"


@dataclass(frozen=True, slots=True, kw_only=True)
class Watermark:
    """How far a tab was filled: number of used rows, and a digest of their columns A to H."""

    rows: int
    digest: str


class SheetReader:
    """One tab. ``may_write`` is needed to remove and to prepare rows, everything else only reads."""

    can_go_astray = True
    """Whether what is appended may land in other columns."""

    def __init__(
        self,
        endpoint: str,
        spreadsheet_id: str,
        tab: str,
        *,
        token: Secret | None = None,
        may_write: bool = False,
        layout: RowLayout = SHEET_LAYOUT,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        self._pause = pause
        self._layout = layout
        self.tab = tab
        self.place = (spreadsheet_id, tab)
        """What tells it from other tabs."""
        self.fault_place = spreadsheet_id
        self._may_write = may_write
        self._probe = Probe(
            Endpoint(
                url=f"{endpoint.rstrip('/')}/v4/spreadsheets/{quote(spreadsheet_id, safe='')}/values",
                token=token,
                may_write=may_write,
            ),
            read_timeout_s=30,
        )

    def rows(
        self, *, first: int = 1, rendering: Rendering = Rendering.UNFORMATTED
    ) -> tuple[SheetRow, ...]:
        """All rows from number ``first`` to the last used one; empty rows between are kept.

        Raises:
            SheetUnreadable: the API refused.
            ProbeFailed: the API did not answer.
        """
        values = self._read(f"A{first}:{self._layout.behind}", rendering)
        width, before = self._layout.width, self._layout.before
        return tuple(
            SheetRow(number=number, cells=padded(cells, width), before=before)
            for number, cells in enumerate(values, start=first)
        )

    @property
    def row_count(self) -> int:
        """Number of the last used row."""
        return len(self._read(f"A1:{self._layout.behind}", Rendering.UNFORMATTED))

    def digest(self) -> str:
        """SHA-256 of the whole tab, every column: values and the way they are shown."""
        whole = [self._read("", rendering) for rendering in Rendering]
        return _digest(whole)

    def watermark(self) -> Watermark:
        """How far the tab is filled now."""
        rows = self.rows()
        return Watermark(rows=len(rows), digest=_digest([row.cells for row in rows]))

    def rows_since(self, watermark: Watermark) -> tuple[SheetRow, ...]:
        """Rows below ``watermark``, unformatted.

        Raises:
            SheetDisturbed: the rows above it are not as they were, so nobody can tell which are new.
        """
        rows = self.rows()
        above = rows[: watermark.rows]
        if _digest([row.cells for row in above]) != watermark.digest:
            raise SheetDisturbed(
                f"the first {watermark.rows} rows of tab {self.tab!r} changed while a check was running",
                hint="give the verification revision a tab of its own that nobody else edits",
            )
        return rows[watermark.rows :]

    def remove(self, rows: Sequence[SheetRow]) -> None:
        """Clear exactly ``rows``, if every one of them still holds what was read. No row moves.

        Raises:
            SheetDisturbed: a row changed meanwhile, or was read elsewhere; nothing was cleared.
            WouldWrite: this reader may only read.
        """
        if not rows:
            return
        if not self._may_write:
            raise WouldWrite(
                f"refused to remove rows of tab {self.tab!r}: this reader may only read",
                hint="only the tab of the verification revision may be written to",
            )
        first = min(row.number for row in rows)
        now = {row.number: row.cells for row in self.rows(first=first)}
        changed = [row.number for row in rows if now.get(row.number) != row.cells]
        if changed:
            raise SheetDisturbed(
                f"rows {', '.join(map(str, changed[:5]))} of tab {self.tab!r} are not as they were written",
                hint="look at the tab and remove the rows by hand",
            )
        for first, last in _runs(sorted(row.number for row in rows)):
            self._clear(f"A{first}:{self._layout.behind}{last}")

    def clear_below(self, row: int) -> None:
        """Clear everything below ``row``, in all columns: for a tab of the checks' own alone."""
        if (last := self.row_count_of_all_columns) > row:
            self._clear(f"A{row + 1}:Z{last}")

    @property
    def row_count_of_all_columns(self) -> int:
        """Number of the last row that is used in any column."""
        return len(self._read("", Rendering.UNFORMATTED))

    def put_gap(self) -> SheetRow:
        """Write a row of which only the last column is filled, apart from all others: what is appended goes astray."""
        number = self.row_count_of_all_columns + 2
        place = f"{self._layout.last}{number}"
        path = f"/{self._range(f'{place}:{place}')}?valueInputOption=RAW"
        self._checked(
            partial(self._probe.request, "PUT", path, json={"values": [["a gap before"]]})
        )
        (row,) = self.rows(first=number)
        return row

    def _clear(self, cells: str) -> None:
        path = f"/{self._range(cells)}:clear"
        self._checked(partial(self._probe.post, path, json={}))

    def _read(self, columns: str, rendering: Rendering) -> list[list[Cell]]:
        query = urlencode(
            {
                "valueRenderOption": rendering.value,
                "dateTimeRenderOption": "SERIAL_NUMBER",
                "majorDimension": "ROWS",
            }
        )
        path = f"/{self._range(columns)}?{query}"
        answer = self._checked(partial(self._probe.get, path))
        values = answer.get("values", [])
        if not isinstance(values, list) or not all(isinstance(row, list) for row in values):
            raise SheetUnreadable(f"tab {self.tab!r} was answered without rows")
        rows = [[_cell(cell) for cell in row] for row in values if isinstance(row, list)]
        while rows and all(cell == "" for cell in rows[-1]):
            rows.pop()
        return rows

    def _range(self, columns: str) -> str:
        quoted = "'{}'".format(self.tab.replace("'", "''"))
        return quote(f"{quoted}!{columns}" if columns else quoted, safe="")

    def _checked(self, ask: Callable[[], Answer]) -> Mapping[str, Json]:
        answer = ask()
        for pause_s in _PAUSES_S:
            if answer.status != 429:
                break
            self._pause(pause_s)
            answer = ask()
        if answer.status != 200 or not isinstance(answer.json, Mapping):
            raise SheetUnreadable(
                f"the Sheets API answered HTTP {answer.status} for tab {self.tab!r}{_reason(answer)}",
                hint="is the tab there, and may the account that runs the checks read it?",
            )
        return answer.json


def _reason(answer: Answer) -> str:
    error = answer.value("error")
    status = error.get("status") if isinstance(error, Mapping) else None
    return f" ({status})" if isinstance(status, str) else ""


def _cell(value: Json) -> Cell:
    return value if isinstance(value, (str, int, float)) else "" if value is None else str(value)


def _digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value, ensure_ascii=True).encode()).hexdigest()


def _runs(numbers: Sequence[int]) -> list[tuple[int, int]]:
    """Unbroken stretches, ends included."""
    runs: list[tuple[int, int]] = []
    for number in numbers:
        if runs and number == runs[-1][1] + 1:
            runs[-1] = (runs[-1][0], number)
        else:
            runs.append((number, number))
    return runs
