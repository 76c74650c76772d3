"""The cells of one tab, and how ``values.append`` finds the table that it appends to.

The documented rule (Sheets API guide, "Append values"): the last table within the range is looked for, and the values
go to the first row after it, beginning with its first column. A table is a block of cells without an empty row or
column around it. Where the range is whole columns (``B:G``), only those columns are looked at, so that ``B:G`` stays in
B to G beside a filled column A.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from types import EllipsisType

from pytest_deploygate.emulator.services.sheets.a1_notation import Area
from pytest_deploygate.emulator.services.sheets.cell_values import Cell

Row = list[Cell | None]
ROWS, COLUMNS = 1000, 26
"""Size of a new tab."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Box:
    """A block of cells, ends included."""

    top: int
    left: int
    bottom: int
    right: int


class Grid:
    """Rows of cells; rows and cells beyond the last filled one are not kept. ``touched`` are rows to be stored."""

    def __init__(self, rows: dict[int, Row]) -> None:
        self._rows: list[Row] = [rows.get(i, []) for i in range(max(rows, default=-1) + 1)]
        self.touched: set[int] = set()

    def row(self, index: int) -> Row:
        """The row, without empty cells at its end; empty beyond the last one."""
        return self._rows[index] if index < len(self._rows) else []

    @property
    def height(self) -> int:
        """Rows up to the last filled one."""
        return len(self._rows)

    @property
    def width(self) -> int:
        """Columns up to the last filled one."""
        return max(map(len, self._rows), default=0)

    def closed(self, area: Area) -> Box:
        """``area`` with its open ends at the size of the tab."""
        rows, columns = max(self.height, ROWS), max(self.width, COLUMNS)
        bottom = rows - 1 if area.bottom is None else area.bottom
        right = columns - 1 if area.right is None else area.right
        return Box(top=area.top, left=area.left, bottom=bottom, right=right)

    def read(self, box: Box) -> list[Row]:
        """The cells of ``box``; empty rows at the end and empty cells at the end of each row are left out."""
        found = [
            _trimmed(self.row(i)[box.left : box.right + 1])
            for i in range(box.top, min(box.bottom + 1, self.height))
        ]
        while found and not found[-1]:
            found.pop()
        return found

    def write(
        self, top: int, left: int, values: Sequence[Sequence[Cell | EllipsisType | None]]
    ) -> None:
        """Set cells from ``top``, ``left``; None empties a cell, Ellipsis leaves it as it is."""
        for offset, cells in enumerate(values):
            row = list(self.row(top + offset))
            row += [None] * (left + len(cells) - len(row))
            for column, cell in enumerate(cells, start=left):
                if cell is None or isinstance(cell, Cell):
                    row[column] = cell
            self._put(top + offset, row)
        self._shorten()

    def clear(self, box: Box) -> None:
        """Empty the cells of ``box``."""
        for index in range(box.top, min(box.bottom + 1, self.height)):
            row = list(self.row(index))
            row[box.left : box.right + 1] = [None] * len(row[box.left : box.right + 1])
            self._put(index, row)
        self._shorten()

    def insert_rows(self, at: int, count: int) -> None:
        """Move the rows from ``at`` on down by ``count``."""
        if at < self.height:
            self._rows[at:at] = [[] for _ in range(count)]
            self.touched.update(range(at, self.height))

    def last_table(self, area: Area) -> Box | None:
        """The last table within ``area``, or None."""
        box = self.closed(area)
        for row in range(min(box.bottom, self.height - 1), box.top - 1, -1):
            cells = self.row(row)
            filled = [
                i for i in range(box.left, min(box.right + 1, len(cells))) if cells[i] is not None
            ]
            if filled:
                bounds = box if area.bottom is None else self.closed(Area())
                return self._table_around(row, filled[-1], bounds)
        return None

    def _table_around(self, row: int, column: int, bounds: Box) -> Box:
        """The block around a filled cell, grown within ``bounds`` until only empty cells touch it."""
        top, left, bottom, right = row, column, row, column
        is_growing = True
        while is_growing:
            is_growing = False
            near_left, near_right = max(left - 1, bounds.left), min(right + 1, bounds.right)
            while top > bounds.top and self._has(top - 1, near_left, near_right):
                top, is_growing = top - 1, True
            while bottom < self.height - 1 and self._has(bottom + 1, near_left, near_right):
                bottom, is_growing = bottom + 1, True
            near_top, near_bottom = max(top - 1, bounds.top), min(bottom + 1, self.height - 1)
            if left > bounds.left and any(
                self._has(r, left - 1, left - 1) for r in range(near_top, near_bottom + 1)
            ):
                left, is_growing = left - 1, True
            if right < bounds.right and any(
                self._has(r, right + 1, right + 1) for r in range(near_top, near_bottom + 1)
            ):
                right, is_growing = right + 1, True
        return Box(top=top, left=left, bottom=bottom, right=right)

    def _has(self, row: int, left: int, right: int) -> bool:
        return any(cell is not None for cell in self.row(row)[left : right + 1])

    def _put(self, index: int, row: Row) -> None:
        while len(self._rows) <= index:
            self._rows.append([])
        self._rows[index] = _trimmed(row)
        self.touched.add(index)

    def _shorten(self) -> None:
        while self._rows and not self._rows[-1]:
            self._rows.pop()


def _trimmed(row: Row) -> Row:
    end = len(row)
    while end and row[end - 1] is None:
        end -= 1
    return row[:end]
