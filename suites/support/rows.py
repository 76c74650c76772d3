"""Rows of a sink as values: what a person reads in them, told as a record.

Which column holds what is a :class:`RowLayout`; without one it is that of the invoice sheet: B date, C vendor, D
number, E item, F unit price, G quantity. The columns beside stay empty.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from typing import TypeAlias

from pytest_deploygate.checks.accuracy import AccuracyReport, Record, compare
from pytest_deploygate.checks.measures import FieldRule, Measure, as_number, as_text

Cell: TypeAlias = str | int | float | bool
"""A cell as the values API gives it; an empty one is ``""``."""

LINE_ITEM = (
    FieldRule(name="code", measure=Measure.EXACT, is_key=True),
    FieldRule(name="upc", measure=Measure.EXACT),
    FieldRule(name="description", measure=Measure.TEXT),
    FieldRule(name="price", measure=Measure.CENTS),
    FieldRule(name="quantity", measure=Measure.NUMBER),
)
"""Rules for the line items of an invoice; ``price`` is the unit price."""

_SERIAL_EPOCH = date(1899, 12, 30)
_SERIALS = range(25_569, 73_051)
"""Serial days 1970-01-01 to 2099-12-31; other numbers are no date of an invoice."""
_DAY = re.compile(r"(\d{1,2})/(\d{1,2})/(\d{4}|\d{2})", re.ASCII)
_ISO = re.compile(r"(\d{4})-(\d{2})-(\d{2})", re.ASCII)
_ITEM = re.compile(
    r"(?P<code>\S.*?)\s+-\s+(?:UPC:\s*0?(?P<upc>\d{12})\s+-\s+)?(?P<description>\S.*)",
    re.ASCII | re.DOTALL,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class RowLayout:
    """Which column holds what.

    ``columns`` are date, vendor, number, price, quantity, and item (code, UPC and description in one) or code,
    description and upc; ``first`` is the letter of the first of them.
    """

    columns: tuple[str, ...] = ("date", "vendor", "number", "item", "price", "quantity")
    first: str = "B"

    @property
    def before(self) -> int:
        """How many columns there are before the first one."""
        return ord(self.first) - ord("A")

    @property
    def width(self) -> int:
        """Columns that a row has here: those before, its own, and one behind them."""
        return self.before + len(self.columns) + 1

    @property
    def last(self) -> str:
        """Letter of the last of its own columns."""
        return chr(ord(self.first) + len(self.columns) - 1)

    @property
    def behind(self) -> str:
        """Letter of the column behind them."""
        return chr(ord(self.last) + 1)

    @property
    def has_upc(self) -> bool:
        """Whether there is a column for it."""
        return "upc" in self.columns


SHEET_LAYOUT = RowLayout()
WIDTH = SHEET_LAYOUT.width


@dataclass(frozen=True, slots=True, kw_only=True)
class SheetRow:
    """One row: ``number`` counts from 1 as in the sheet, ``cells`` are exactly those of its :class:`RowLayout`."""

    number: int
    cells: tuple[Cell, ...]
    before: int = SHEET_LAYOUT.before

    @property
    def is_in_place(self) -> bool:
        """Whether its own columns are filled and those beside are empty."""
        beside = (*self.cells[: self.before], self.cells[-1])
        own = self.cells[self.before : -1]
        return all(cell == "" for cell in beside) and all(cell != "" for cell in own)


@dataclass(frozen=True, slots=True, kw_only=True)
class InvoiceLine:
    """One row read as an invoice line; what cannot be read is ``None`` (or ``""``), never guessed."""

    day: date | None
    vendor: str
    invoice_number: str
    code: str
    upc: str | None
    """12 digits, without the leading 0 of the sheet."""
    description: str
    price: Decimal | None
    quantity: Decimal | None

    def as_record(self) -> Record:
        """As :data:`LINE_ITEM` compares it."""
        return {
            "code": self.code,
            "upc": self.upc,
            "description": self.description,
            "price": self.price,
            "quantity": self.quantity,
        }


def padded(cells: Sequence[Cell], width: int = WIDTH) -> tuple[Cell, ...]:
    """Exactly ``width`` cells; the API leaves out empty ones at the end."""
    return (*cells, *[""] * (width - len(cells)))[:width]


def parse_line(row: SheetRow, layout: RowLayout = SHEET_LAYOUT) -> InvoiceLine:
    """Read the row's own columns; one that was written beside its place gives a line that agrees with nothing."""
    found = dict(zip(layout.columns, row.cells[layout.before : -1], strict=True))
    if "item" in found:
        code, upc, description = parse_item(as_text(found["item"]) or "")
    else:
        code, description = (as_text(found[name]) or "" for name in ("code", "description"))
        upc = as_text(found.get("upc", "")) or None
    return InvoiceLine(
        day=parse_day(found["date"]),
        vendor=as_text(found["vendor"]) or "",
        invoice_number=as_text(found["number"]) or "",
        code=code,
        upc=upc,
        description=description,
        price=as_number(found["price"]),
        quantity=as_number(found["quantity"]),
    )


def parse_item(text: str) -> tuple[str, str | None, str]:
    """Code, UPC (12 digits or None) and description of ``CODE - UPC: 0<12 digits> - text`` or ``CODE - text``.

    Text of another form is a description without code.
    """
    found = _ITEM.fullmatch(text.strip())
    if found is None:
        return "", None, text.strip()
    return found["code"], found["upc"], found["description"].strip()


def parse_day(cell: Cell) -> date | None:
    """The day in ``1/17/2025``, ``04/29/25``, ``2025-01-17`` or the serial 45674 (day 0 is 1899-12-30).

    Two-digit years are of this century. A number as text (``"45674"``) is no date: that is what a person would see.
    """
    if isinstance(cell, (int, float)):
        is_day = int(cell) == cell and int(cell) in _SERIALS
        return _SERIAL_EPOCH + timedelta(days=int(cell)) if is_day else None
    try:
        if found := _DAY.fullmatch(cell.strip()):
            year = int(found[3])
            return date(year if year > 99 else 2000 + year, int(found[1]), int(found[2]))
        if found := _ISO.fullmatch(cell.strip()):
            return date(int(found[1]), int(found[2]), int(found[3]))
    except ValueError:
        return None
    return None


def compare_lines(golden: Sequence[Record], found: Sequence[Record]) -> AccuracyReport:
    """The accuracy of the lines of an invoice by :data:`LINE_ITEM`."""
    return compare(golden, found, LINE_ITEM)
