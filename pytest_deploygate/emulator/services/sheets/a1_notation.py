"""A1 notation of Google Sheets: ``'Update 20230525'!B:G`` and the like (Sheets API guide, "A1 notation")."""

import re
from dataclasses import dataclass

MAX_COLUMNS = 18_278
"""Columns of a sheet at most, ZZZ."""
_CELL = r"(?P<{0}c>[A-Za-z]{{1,3}})?(?P<{0}r>[1-9][0-9]{{0,7}})?"
_RANGE = re.compile(rf"{_CELL.format('a')}(?P<to>:{_CELL.format('b')})?")
_PLAIN_TITLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Area:
    """Cells of one tab, counted from 0, ends included; an end of None is open: to the last row or column."""

    top: int = 0
    left: int = 0
    bottom: int | None = None
    right: int | None = None


def split_range(text: str) -> tuple[str, str]:
    """Title of the tab (empty if there is none) and the rest.

    Raises:
        ValueError: a quote is not closed.
    """
    if text.startswith("'"):
        match = re.fullmatch(r"'((?:[^']|'')*)'(?:!(.*))?", text, re.DOTALL)
        if match is None:
            raise ValueError(text)
        return match[1].replace("''", "'"), match[2] or ""
    title, bang, rest = text.rpartition("!")
    return (title, rest) if bang else ("", text)


def parse_area(text: str) -> Area | None:
    """The cells that ``B2:G9``, ``B:G``, ``2:9``, ``A2:F`` or ``B2`` name; all of them for an empty text.

    Returns None if the text is no such range.
    """
    if not text:
        return Area()
    match = _RANGE.fullmatch(text)
    if match is None:
        return None
    first = (_column(match["ac"]), _row(match["ar"]))
    if not match["to"]:
        column, row = first
        return (
            None
            if column is None or row is None
            else Area(top=row, left=column, bottom=row, right=column)
        )
    second = (_column(match["bc"]), _row(match["br"]))
    if first == (None, None) or second == (None, None):
        return None
    top, bottom = _sort_columns(first[1], second[1])
    left, right = _sort_columns(first[0], second[0])
    return Area(top=top, left=left, bottom=bottom, right=right)


def _sort_columns(one: int | None, other: int | None) -> tuple[int, int | None]:
    if one is not None and other is not None:
        return min(one, other), max(one, other)
    return (one if one is not None else 0), other


def _row(text: str | None) -> int | None:
    return int(text) - 1 if text else None


def _column(text: str | None) -> int | None:
    if not text:
        return None
    number = 0
    for letter in text.upper():
        number = number * 26 + ord(letter) - ord("A") + 1
    return number - 1


def column_name(index: int) -> str:
    """``A`` for 0, ``AA`` for 26."""
    name = ""
    index += 1
    while index:
        index, rest = divmod(index - 1, 26)
        name = chr(ord("A") + rest) + name
    return name


def format_range(title: str, top: int, left: int, bottom: int, right: int) -> str:
    """The range as the API answers it: ``'Update 20230525'!B2:G24``, ``Sheet1!A1``."""
    quoted = title if _PLAIN_TITLE.fullmatch(title) else "'" + title.replace("'", "''") + "'"
    first, last = f"{column_name(left)}{top + 1}", f"{column_name(right)}{bottom + 1}"
    return f"{quoted}!{first}" if first == last else f"{quoted}!{first}:{last}"
