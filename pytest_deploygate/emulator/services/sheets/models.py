"""Spreadsheets of the emulator: tabs by title, each with the size of its grid, their cells stored row by row."""

import json
import secrets
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pytest_deploygate.emulator.api.protobuf_json import ApiError
from pytest_deploygate.emulator.services.sheets.a1_notation import (
    MAX_COLUMNS,
    Area,
    parse_area,
    split_range,
)
from pytest_deploygate.emulator.services.sheets.cell_values import cell_from_json
from pytest_deploygate.emulator.services.sheets.grid import Grid, Row

ROWS, COLUMNS = 1000, 26
"""Size of a new tab."""
MAX_CELLS = 10_000_000
"""Cells of a spreadsheet at most ("Google Sheets limits")."""
MAX_TITLE_CHARS = 100
_MAX_ID_CHARS = 200
"""Google's have 44 characters."""
_LOCKED_S = 60.0
"""What an emulator that was killed has begun is finished first."""
_TABLES = """
CREATE TABLE IF NOT EXISTS spreadsheets (id TEXT PRIMARY KEY, title TEXT) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS tabs (
    spreadsheet TEXT, sheet INTEGER, title TEXT, position INTEGER, rows INTEGER, columns INTEGER,
    PRIMARY KEY (spreadsheet, sheet)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS cells (
    spreadsheet TEXT, sheet INTEGER, row INTEGER, cells TEXT, PRIMARY KEY (spreadsheet, sheet, row)) WITHOUT ROWID;
"""


@dataclass(slots=True, kw_only=True)
class Tab:
    """One sheet of a spreadsheet; ``sheet_id`` names it for good, the title may change."""

    spreadsheet: str
    sheet_id: int
    title: str
    position: int
    rows: int = ROWS
    columns: int = COLUMNS


class SheetsStore:
    """Finds tabs and their cells, and writes through what changed."""

    def __init__(self, path: Path, *, create_tabs: bool) -> None:
        self._create_tabs = create_tabs
        self._database = sqlite3.connect(path, isolation_level=None, timeout=_LOCKED_S)
        self._database.execute("PRAGMA journal_mode = WAL")
        self._database.execute("PRAGMA synchronous = NORMAL")
        self._database.executescript(_TABLES)
        self._grids: dict[tuple[str, int], Grid] = {}

    def close(self) -> None:
        """Close the file."""
        self._database.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All changes inside hold together or not at all."""
        self._database.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._database.execute("ROLLBACK")
            self._grids.clear()  # they are read again as they are stored
            raise
        self._database.execute("COMMIT")

    def create(self, title: str) -> str:
        """A new spreadsheet without tabs; returns its id."""
        identity = secrets.token_urlsafe(33)
        self._database.execute("INSERT INTO spreadsheets VALUES (?, ?)", (identity, title))
        return identity

    def title(self, spreadsheet: str) -> str:
        """Title of the spreadsheet; one that came into being by itself is called as its id."""
        query = "SELECT title FROM spreadsheets WHERE id = ?"
        found = self._database.execute(query, (spreadsheet,)).fetchone()
        return str(found[0]) if found else spreadsheet

    def rename(self, spreadsheet: str, title: str) -> None:
        """Give the spreadsheet another title."""
        self._database.execute(
            "INSERT OR REPLACE INTO spreadsheets VALUES (?, ?)", (spreadsheet, title)
        )

    def tabs(self, spreadsheet: str) -> list[Tab]:
        """Its tabs in their order.

        Raises:
            ApiError: 404 if there is no such spreadsheet and it cannot come into being by itself.
        """
        rows = self._database.execute(
            "SELECT spreadsheet, sheet, title, position, rows, columns FROM tabs "
            "WHERE spreadsheet = ? ORDER BY position, sheet",
            (spreadsheet,),
        )
        found = [
            Tab(
                spreadsheet=name,
                sheet_id=sheet,
                title=title,
                position=at,
                rows=rows,
                columns=columns,
            )
            for name, sheet, title, at, rows, columns in rows
        ]
        query = "SELECT 1 FROM spreadsheets WHERE id = ?"
        if found or (self._create_tabs and _is_id(spreadsheet)):
            return found
        if self._database.execute(query, (spreadsheet,)).fetchone() is None:
            raise ApiError(404, "Requested entity was not found.")
        return []

    def tab(self, spreadsheet: str, sheet_id: int) -> Tab:
        """The tab with that number.

        Raises:
            ApiError: 400.
        """
        for tab in self.tabs(spreadsheet):
            if tab.sheet_id == sheet_id:
                return tab
        raise ApiError(400, f"No sheet with id: {sheet_id}")

    def add_tab(self, wanted: Tab) -> Tab:
        """Make an empty tab; a number below 0 asks for any, a position below 0 for the end.

        Raises:
            ApiError: 400 for a title or number that is taken, or a grid that is too large.
        """
        tabs = self.tabs(wanted.spreadsheet)
        if any(tab.title.lower() == wanted.title.lower() for tab in tabs):
            raise ApiError(
                400,
                f'A sheet with the name "{wanted.title}" already exists. Please enter another name.',
            )
        taken = {tab.sheet_id for tab in tabs}
        if wanted.sheet_id in taken:
            raise ApiError(400, f"Sheet with id {wanted.sheet_id} already exists.")
        if wanted.sheet_id < 0:
            wanted.sheet_id = 0 if not tabs else max(taken) + 1
        tabs.insert(wanted.position if wanted.position >= 0 else len(tabs), wanted)
        self._check_size(tabs)
        for position, tab in enumerate(tabs):
            tab.position = position
            self.keep(tab)
        return wanted

    def keep(self, tab: Tab) -> None:
        """Store title, position and size of a tab."""
        self._database.execute(
            "INSERT OR REPLACE INTO tabs VALUES (?, ?, ?, ?, ?, ?)",
            (tab.spreadsheet, tab.sheet_id, tab.title, tab.position, tab.rows, tab.columns),
        )

    def resize(self, tab: Tab, rows: int, columns: int) -> None:
        """Give the grid another size; cells outside are gone.

        Raises:
            ApiError: 400 for one that no grid may have.
        """
        others = [other for other in self.tabs(tab.spreadsheet) if other.sheet_id != tab.sheet_id]
        grid = self.grid(tab)
        tab.rows, tab.columns = rows, columns
        self._check_size([*others, tab])
        grid.crop(rows, columns)
        self.keep(tab)
        self.save(tab)

    def _check_size(self, tabs: list[Tab]) -> None:
        for tab in tabs:
            if tab.rows < 1 or tab.columns < 1 or tab.columns > MAX_COLUMNS:
                raise ApiError(400, f"A sheet has 1 row and 1 to {MAX_COLUMNS} columns at least")
        cells = sum(tab.rows * tab.columns for tab in tabs)
        if cells > MAX_CELLS:
            raise ApiError(
                400,
                f"This action would increase the number of cells in the workbook above the limit of "
                f"{MAX_CELLS} cells.",
            )

    def delete_tab(self, tab: Tab) -> None:
        """Remove a tab with its cells."""
        key = (tab.spreadsheet, tab.sheet_id)
        self._database.execute("DELETE FROM tabs WHERE spreadsheet = ? AND sheet = ?", key)
        self._database.execute("DELETE FROM cells WHERE spreadsheet = ? AND sheet = ?", key)
        self._grids.pop(key, None)

    def resolve(self, spreadsheet: str, text: str) -> tuple[Tab, Area]:
        """The tab and the cells that a range names; a range without a title is of the first tab.

        Raises:
            ApiError: 400 as Google answers for what is no range, or for a tab that does not exist.
        """
        refusal = ApiError(400, f"Unable to parse range: {text}")
        try:
            title, rest = split_range(text)
        except ValueError:
            raise refusal from None
        tabs = self.tabs(spreadsheet)
        if not title and any(tab.title == text for tab in tabs):
            title, rest = text, ""
        area = parse_area(rest)
        if area is None:
            if title or not self._create_tabs:
                raise refusal
            title, area = text, Area()
        if not title:
            title = tabs[0].title if tabs else "Sheet1"
        for tab in tabs:
            if tab.title == title:
                return tab, area
        if not self._create_tabs or not is_title(title):
            raise refusal
        return self.add_tab(
            Tab(spreadsheet=spreadsheet, sheet_id=-1, title=title, position=-1)
        ), area

    def grid(self, tab: Tab) -> Grid:
        """The cells of a tab, to be changed in place and then saved."""
        key = (tab.spreadsheet, tab.sheet_id)
        if key not in self._grids:
            query = "SELECT row, cells FROM cells WHERE spreadsheet = ? AND sheet = ?"
            found = self._database.execute(query, key)
            self._grids[key] = Grid({row: _row_from_text(cells) for row, cells in found})
        return self._grids[key]

    def save(self, tab: Tab) -> None:
        """Store the rows of a tab that changed."""
        grid = self.grid(tab)
        for index in sorted(grid.touched):
            row = grid.row(index)
            key = (tab.spreadsheet, tab.sheet_id, index)
            if row:
                text = json.dumps([None if cell is None else cell.to_json() for cell in row])
                self._database.execute(
                    "INSERT OR REPLACE INTO cells VALUES (?, ?, ?, ?)", (*key, text)
                )
            else:
                query = "DELETE FROM cells WHERE spreadsheet = ? AND sheet = ? AND row = ?"
                self._database.execute(query, key)
        grid.touched.clear()


def is_title(text: object) -> bool:
    """Whether a tab may be called so."""
    if not isinstance(text, str) or not 0 < len(text) <= MAX_TITLE_CHARS:
        return False
    return text.isprintable()  # neither line breaks nor half of a surrogate pair


def _is_id(text: str) -> bool:
    return len(text) <= _MAX_ID_CHARS and text.isprintable()


def _row_from_text(text: str) -> Row:
    return [None if cell is None else cell_from_json(cell) for cell in json.loads(text)]
