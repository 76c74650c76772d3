"""The cells of one tab, and how ``values.append`` finds the table that it appends to.

The documented rule (Sheets API guide, "Append values"): the last table within the range is looked for, and the values
go to the first row after it, beginning with its first column. A table is a block of cells without an empty row or
column around it. Where the range is whole columns (``B:G``), only those columns are looked at, so that ``B:G`` stays in
B to G beside a filled column A.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from types import EllipsisType

from pytest_deploygate.emulator.services.sheets.cell_values import Cell

Row = list[Cell | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Box:
    """A block of cells, ends included."""

    top: int
    left: int
    bottom: int
    right: int


class Grid:
    """Rows of cells by their index; empty rows and cells beyond the last filled one of a row are not kept.

    ``touched`` are rows to be stored.
    """

    def __init__(self, rows: dict[int, Row]) -> None:
        self._rows = rows
        self.touched: set[int] = set()

    def row(self, index: int) -> Row:
        """The row, without empty cells at its end."""
        return self._rows.get(index, [])

    @property
    def height(self) -> int:
        """Rows up to the last filled one."""
        return max(self._rows, default=-1) + 1

    def read(self, box: Box) -> Iterator[Row]:
        """The cells of ``box``; empty rows at the end and empty cells at the end of each row are left out."""
        following = box.top
        for index in sorted(i for i in self._rows if box.top <= i <= box.bottom):
            row = _trim_row(self._rows[index][box.left : box.right + 1])
            if row:
                yield from ([] for _ in range(index - following))
                yield row
                following = index + 1

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

    def clear(self, box: Box) -> None:
        """Empty the cells of ``box``."""
        for index in [i for i in self._rows if box.top <= i <= box.bottom]:
            row = list(self.row(index))
            row[box.left : box.right + 1] = [None] * len(row[box.left : box.right + 1])
            self._put(index, row)

    def crop(self, rows: int, columns: int) -> None:
        """Drop the cells outside of a grid of that size."""
        for index, row in list(self._rows.items()):
            if index >= rows or len(row) > columns:
                self._put(index, row[:columns] if index < rows else [])

    def insert_rows(self, at: int, count: int) -> None:
        """Move the rows from ``at`` on down by ``count``."""
        self._move({i: i + count for i in self._rows if i >= at})

    def delete_rows(self, at: int, count: int) -> None:
        """Remove ``count`` rows from ``at`` on; those below move up."""
        for index in [i for i in self._rows if at <= i < at + count]:
            self._put(index, [])
        self._move({i: i - count for i in self._rows if i >= at + count})

    def shift_columns(self, at: int, count: int) -> None:
        """Insert ``count`` columns at ``at``, or remove as many as ``count`` is below 0."""
        for index, row in list(self._rows.items()):
            if len(row) > at:
                empty: Row = [None] * count
                self._put(index, [*row[:at], *empty, *row[at - min(count, 0) :]])

    def _move(self, places: dict[int, int]) -> None:
        moved = {new: self._rows.pop(old) for old, new in places.items()}
        self._rows.update(moved)
        self.touched.update(places, moved)

    def last_table(self, box: Box, bounds: Box) -> Box | None:
        """The last table that has a cell in ``box``, as far as it lies within ``bounds``; or None."""
        for row in sorted((i for i in self._rows if box.top <= i <= box.bottom), reverse=True):
            cells = self._rows[row]
            filled = [
                i for i in range(box.left, min(box.right + 1, len(cells))) if cells[i] is not None
            ]
            if filled:
                return self._table_around(row, filled[-1], bounds)
        return None

    def _table_around(self, row: int, column: int, bounds: Box) -> Box:
        """The block around a filled cell, grown within ``bounds`` until only empty cells touch it."""
        top, left, bottom, right = row, column, row, column
        height = self.height
        is_growing = True
        while is_growing:
            is_growing = False
            near_left, near_right = max(left - 1, bounds.left), min(right + 1, bounds.right)
            while top > bounds.top and self._has(top - 1, near_left, near_right):
                top, is_growing = top - 1, True
            while bottom < height - 1 and self._has(bottom + 1, near_left, near_right):
                bottom, is_growing = bottom + 1, True
            near_top, near_bottom = max(top - 1, bounds.top), min(bottom + 1, height - 1)
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
        row = _trim_row(row)
        if row:
            self._rows[index] = row
        else:
            self._rows.pop(index, None)
        self.touched.add(index)


def _trim_row(row: Row) -> Row:
    end = len(row)
    while end and row[end - 1] is None:
        end -= 1
    return row[:end]
