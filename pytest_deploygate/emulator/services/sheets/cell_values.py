"""Values of spreadsheet cells: how typed text becomes a number or a date, and how it is shown again.

``USER_ENTERED`` is what typing into the user interface does in the locale en_US: ``$1.60`` becomes 1.6 shown as
currency, ``1/17/2025`` becomes the serial number 45674 shown as a date (days since 30 December 1899; times are parts of
a day). Formulas, among them what begins with ``+`` or ``-`` and is no number, are kept but not computed.
"""

import math
import re
from dataclasses import dataclass
from typing import Literal

from pytest_deploygate.emulator.services.sheets.typed_dates import date_text, read_date

Value = str | float | bool
Format = Literal["", "currency", "percent", "grouped", "date", "formula"]
Render = Literal["FORMATTED_VALUE", "UNFORMATTED_VALUE", "FORMULA"]
RENDERS: tuple[Render, ...] = ("FORMATTED_VALUE", "UNFORMATTED_VALUE", "FORMULA")

MAX_CELL_CHARS = 50_000
"""Characters of one cell ("Google Sheets limits")."""
_NUMBER = r"(?:[0-9]{1,3}(?:,[0-9]{3})+|[0-9]+)(?:\.[0-9]*)?|\.[0-9]+"
_PLAIN = re.compile(rf"[+-]?(?:{_NUMBER})(?:[eE][+-]?[0-9]{{1,3}})?")
_CURRENCY = re.compile(rf"(?P<sign>[+-]?)\$\s?(?P<number>[+-]?(?:{_NUMBER}))")
_PERCENT = re.compile(rf"(?P<number>[+-]?(?:{_NUMBER}))\s?%")


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """A value and how it is shown; ``pattern`` is ``MM/DD/YY`` and the like for dates, decimals otherwise."""

    value: Value
    format: Format = ""
    pattern: str = ""

    def to_json(self) -> list[object]:
        """As it is stored."""
        return [self.value, self.format, self.pattern]

    def render(self, render: Render, *, dates_as_text: bool = False) -> Value:
        """The cell as an answer has it.

        Args:
            render: ``valueRenderOption`` of the request.
            dates_as_text: ``dateTimeRenderOption`` is FORMATTED_STRING; matters for unformatted values only.
        """
        if self.format == "formula":
            return self.value if render == "FORMULA" else "#ERROR!"
        is_text = render == "FORMATTED_VALUE" or (self.format == "date" and dates_as_text)
        return _text_of(self) if is_text else _plain(self.value)


def cell_from_json(found: list[object]) -> Cell:
    """Read what ``to_json`` gave."""
    value, kind, pattern = found
    assert isinstance(value, str | int | float)
    formats: dict[str, Format] = {
        "currency": "currency",
        "percent": "percent",
        "grouped": "grouped",
        "date": "date",
    }
    formats["formula"] = "formula"
    return Cell(value=value, format=formats.get(str(kind), ""), pattern=str(pattern))


def enter(value: object, *, is_raw: bool) -> Cell | None:
    """The cell that ``value`` of a request becomes; None for an empty one.

    Raises:
        ValueError: it is a list or an object, or too large.
    """
    if isinstance(value, bool):
        return Cell(value=value)
    if isinstance(value, int | float):
        return Cell(value=_finite(value))
    if not isinstance(value, str):
        text = f"a cell is a text, a number or a boolean, not {str(value)[:80]}"
        raise ValueError(f"Invalid values: {text}")  # noqa: TRY004 - bad request
    if value == "":
        return None
    value.encode()  # half of a surrogate pair is no text
    if len(value) > MAX_CELL_CHARS:
        raise ValueError(
            f"Your input contains more than the maximum of {MAX_CELL_CHARS} characters in a single cell."
        )
    return Cell(value=value) if is_raw else _parse_entry(value)


def _parse_entry(text: str) -> Cell:
    if text.startswith("'"):
        return Cell(value=text[1:])
    if text.startswith("=") and len(text) > 1:
        return Cell(value=text, format="formula")
    stripped = text.strip()
    if stripped.upper() in {"TRUE", "FALSE"}:
        return Cell(value=stripped.upper() == "TRUE")
    for read in (_read_number, _read_currency, _read_percent):
        cell = read(stripped)
        if cell is not None:
            is_finite = not isinstance(cell.value, float) or math.isfinite(cell.value)
            return cell if is_finite else Cell(value=text)
    if found := read_date(stripped):
        return Cell(value=found[0], format="date", pattern=found[1])
    if text[0] in "+-" and len(text) > 1:
        return Cell(value=f"={text}", format="formula")
    return Cell(value=text)


def _finite(value: float) -> float:
    """The number, unless no cell can hold it."""
    try:
        is_finite = math.isfinite(value)
    except OverflowError:
        is_finite = False
    if not is_finite:
        raise ValueError("Invalid values: a number is too large")
    return value


def _read_number(text: str) -> Cell | None:
    if not _PLAIN.fullmatch(text):
        return None
    return Cell(
        value=_float(text), format="grouped" if "," in text else "", pattern=_decimals(text)
    )


def _read_currency(text: str) -> Cell | None:
    negative = text.startswith("(") and text.endswith(")")
    match = _CURRENCY.fullmatch(text[1:-1] if negative else text)
    if match is None or (match["sign"] and match["number"][0] in "+-"):
        return None
    value = _float(match["number"]) * (-1 if negative or match["sign"] == "-" else 1)
    return Cell(value=value, format="currency", pattern="2" if "." in match["number"] else "0")


def _read_percent(text: str) -> Cell | None:
    match = _PERCENT.fullmatch(text)
    if match is None:
        return None
    return Cell(
        value=_float(match["number"]) / 100, format="percent", pattern="2" if "." in text else "0"
    )


def _float(text: str) -> float:
    return float(text.replace(",", "").replace("+", "", 1) if "e" not in text.lower() else text)


def _decimals(text: str) -> str:
    return str(len(text.partition(".")[2])) if "," in text else ""


def _plain(value: Value) -> Value:
    is_whole = isinstance(value, float) and value.is_integer() and abs(value) < 1e15
    return int(value) if is_whole else value


def _text_of(cell: Cell) -> str:
    value = cell.value
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    if isinstance(value, str):
        return value
    match cell.format:
        case "currency":
            return f"{'-' if value < 0 else ''}${abs(value):,.{cell.pattern}f}"
        case "percent":
            return f"{value * 100:.{cell.pattern}f}%"
        case "grouped":
            return f"{value:,.{cell.pattern}f}"
        case "date":
            return date_text(value, cell.pattern)
        case _:
            plain = _plain(value)
            return str(plain) if isinstance(plain, int) else f"{value:.10g}"
