"""Spreadsheets of the local cloud: tabs by title, their cells stored row by row."""

import json

from pytest_deploygate.emulator.api.protobuf_json import ApiError
from pytest_deploygate.emulator.services.sheets.a1_notation import Area, parse_area, split_range
from pytest_deploygate.emulator.services.sheets.cell_values import cell_from_json
from pytest_deploygate.emulator.services.sheets.grid import Grid, Row
from pytest_deploygate.emulator.storage.state import EmulatorState

_SEPARATOR = "\n"


class SheetsStore:
    """Finds grids by spreadsheet and title, and writes through what changed in them."""

    def __init__(self, state: EmulatorState, *, create_tabs: bool) -> None:
        self._state = state
        self._create_tabs = create_tabs
        self._grids: dict[tuple[str, str], Grid] = {}

    def titles(self, spreadsheet: str) -> list[str]:
        """Titles of the tabs in the order in which they were made.

        Raises:
            ApiError: 404 if there is no such spreadsheet and tabs do not come into being by themselves.
        """
        prefix = f"{spreadsheet}{_SEPARATOR}"
        found = {
            name.removeprefix(prefix): self._state.tabs[name]
            for name in self._state.tabs.names(prefix)
        }
        if not found and not self._create_tabs:
            raise ApiError(404, "Requested entity was not found.")
        return sorted(found, key=lambda title: int(str(found[title]["index"])))

    def sheet_id(self, spreadsheet: str, title: str) -> int:
        """The number of a tab, as ``sheetId`` is; the first one has 0."""
        return int(str(self._state.tabs[f"{spreadsheet}{_SEPARATOR}{title}"]["index"]))

    def add_tab(self, spreadsheet: str, title: str) -> bool:
        """Make an empty tab; False if there was one already."""
        name = f"{spreadsheet}{_SEPARATOR}{title}"
        if name in self._state.tabs:
            return False
        indexes = [
            int(str(self._state.tabs[known]["index"]))
            for known in self._state.tabs.names(f"{spreadsheet}{_SEPARATOR}")
        ]
        self._state.tabs.put(name, {"index": max(indexes, default=-1) + 1})
        return True

    def delete_tab(self, spreadsheet: str, title: str) -> bool:
        """Remove a tab with its cells; False if there is none."""
        name = f"{spreadsheet}{_SEPARATOR}{title}"
        if name not in self._state.tabs:
            return False
        with self._state.transaction():
            self._state.tabs.delete(name)
            self._state.database.execute(
                "DELETE FROM sheet_rows WHERE spreadsheet = ? AND tab = ?", (spreadsheet, title)
            )
        self._grids.pop((spreadsheet, title), None)
        return True

    def resolve(self, spreadsheet: str, text: str) -> tuple[str, Area]:
        """The tab and the cells that a range names; a range without a title is of the first tab.

        Raises:
            ApiError: 400 as Google answers for what is no range, or for a tab that does not exist.
        """
        refusal = ApiError(400, f"Unable to parse range: {text}")
        try:
            title, rest = split_range(text)
        except ValueError:
            raise refusal from None
        titles = self.titles(spreadsheet)
        if not title and text in titles:
            title, rest = text, ""
        area = parse_area(rest)
        if area is None:
            if title or not self._create_tabs:
                raise refusal
            title, area = text, Area()
        if not title:
            title = titles[0] if titles else "Sheet1"
        if title not in titles:
            if not self._create_tabs:
                raise refusal
            self.add_tab(spreadsheet, title)
        return title, area

    def grid(self, spreadsheet: str, title: str) -> Grid:
        """The cells of a tab that exists, to be changed in place and then saved."""
        key = (spreadsheet, title)
        if key not in self._grids:
            found = self._state.database.execute(
                "SELECT row, cells FROM sheet_rows WHERE spreadsheet = ? AND tab = ?", key
            )
            self._grids[key] = Grid({row: _row_from_text(cells) for row, cells in found})
        return self._grids[key]

    def save(self, spreadsheet: str, title: str) -> None:
        """Store the rows of a tab that changed, all or none."""
        grid = self.grid(spreadsheet, title)
        with self._state.transaction():
            for index in sorted(grid.touched):
                row = grid.row(index)
                key = (spreadsheet, title, index)
                if row:
                    text = json.dumps([None if cell is None else cell.to_json() for cell in row])
                    self._state.database.execute(
                        "INSERT OR REPLACE INTO sheet_rows VALUES (?, ?, ?, ?)", (*key, text)
                    )
                else:
                    self._state.database.execute(
                        "DELETE FROM sheet_rows WHERE spreadsheet = ? AND tab = ? AND row = ?", key
                    )
        grid.touched.clear()


def _row_from_text(text: str) -> Row:
    return [None if cell is None else cell_from_json(cell) for cell in json.loads(text)]
