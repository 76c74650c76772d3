"""Dates and times as people type them in the locale en_US, and how Sheets shows them again.

A date that is typed without a year is of this year; one without a day is the first of the month. What is shown keeps
the form in which it was typed. A serial number counts days since 30 December 1899, a time is a part of a day.
"""

import re
from datetime import date, datetime, timedelta

_EPOCH = datetime(1899, 12, 30)  # noqa: DTZ001 - serial numbers have no time zone
_PIVOT_YEAR = 30
"""Two-digit years below are of this century."""
_MONTHS = (
    "january", "february", "march", "april", "may", "june", "july", "august", "september", "october", "november",
    "december",
)  # fmt: skip
_NAME = r"(?P<name>[A-Za-z]{3,9})\.?"
_DATES = tuple(
    re.compile(text, re.IGNORECASE)
    for text in (
        r"(?P<month>[0-9]{1,2})(?P<s>[/-])(?P<day>[0-9]{1,2})(?P=s)(?P<year>[0-9]{4}|[0-9]{2})",
        r"(?P<year>[0-9]{4})(?P<s>[/-])(?P<month>[0-9]{1,2})(?P=s)(?P<day>[0-9]{1,2})",
        r"(?P<month>[0-9]{1,2})(?P<s>[/-])(?P<year>[0-9]{4})",
        r"(?P<month>[0-9]{1,2})(?P<s>[/-])(?P<day>[0-9]{1,2})",
        rf"{_NAME} (?P<day>[0-9]{{1,2}})(?:(?P<comma>,?) (?P<year>[0-9]{{4}}))?",
        rf"(?P<day>[0-9]{{1,2}})(?P<s>[ -]){_NAME}(?:(?P=s)(?P<year>[0-9]{{4}}|[0-9]{{2}}))?",
        rf"{_NAME} (?P<year>[0-9]{{4}})",
    )
)
_TIME = re.compile(
    r"(?P<hour>[0-9]{1,2}):(?P<minute>[0-9]{2})(?::(?P<second>[0-9]{2}))?(?: ?(?P<half>[AaPp][Mm]))?"
)
_PARTS = re.compile(r"Y+|M+|D+|h+|m+|s+|A")
_HALF_DAY = 12


def read_date(text: str) -> tuple[float, str] | None:
    """Serial number and pattern of a date, a time, or both with a space between them; None for anything else."""
    if (time := _read_time(text)) is not None:
        return time
    if (found := _read_day(text)) is not None:
        return found
    first, space, rest = text.rpartition(" ")
    if rest.lower() in {"am", "pm"}:
        first, space, hour = first.rpartition(" ")
        rest = f"{hour} {rest}"
    day, time = _read_day(first), _read_time(rest)
    if not space or day is None or time is None:
        return None
    return day[0] + time[0], f"{day[1]} {time[1]}"


def _read_day(text: str) -> tuple[float, str] | None:
    for pattern in _DATES:
        match = pattern.fullmatch(text)
        if match is None:
            continue
        parts = match.groupdict()
        month = _month_of(parts.get("name")) if "name" in parts else int(parts["month"] or 0)
        try:
            day = date(_year_of(parts.get("year")), month, int(parts.get("day") or 1))
        except ValueError:
            continue  # 13/40/2025 is a text
        return float((day - _EPOCH.date()).days), _pattern_of(match)
    return None


def _month_of(name: str | None) -> int:
    lower = (name or "").lower()
    for number, month in enumerate(_MONTHS, start=1):
        if lower in {month, month[:3]}:
            return number
    return 0


def _year_of(text: str | None) -> int:
    if not text:
        return datetime.now().year  # noqa: DTZ005 - the year of whoever types
    year = int(text)
    if len(text) == len("25"):
        year += 2000 if year < _PIVOT_YEAR else 1900
    return year


def _pattern_of(match: re.Match[str]) -> str:
    """The text with its parts replaced by letters: ``MM/DD/YY``."""
    pattern = match[0]
    spans = [
        (match.span(name), name)
        for name in match.groupdict()
        if match[name] and name not in {"s", "comma"}
    ]
    for (start, end), name in sorted(spans, reverse=True):
        length = end - start
        is_short = name == "name" and length == len("Jan")
        letters = {"year": "Y" * length, "month": "M" * length, "day": "D" * length}
        letters["name"] = "MMM" if is_short else "MMMM"
        pattern = pattern[:start] + letters[name] + pattern[end:]
    return pattern


def _read_time(text: str) -> tuple[float, str] | None:
    match = _TIME.fullmatch(text)
    if match is None:
        return None
    hour, minute, second = (int(match[name] or 0) for name in ("hour", "minute", "second"))
    half = (match["half"] or "").lower()
    if minute > 59 or second > 59 or hour > (_HALF_DAY if half else 24 - 1) or (half and hour == 0):
        return None
    if half:
        hour = hour % _HALF_DAY + (_HALF_DAY if half == "pm" else 0)
    pattern = "h:mm" + (":ss" if match["second"] else "") + (" A" if half else "")
    return (hour * 3600 + minute * 60 + second) / 86400, pattern


def date_text(serial: float, pattern: str) -> str:
    """The date or time ``serial`` as ``pattern`` shows it."""
    at = _EPOCH + timedelta(seconds=round(serial * 86400))
    month = _MONTHS[at.month - 1].capitalize()
    hour = (at.hour % _HALF_DAY or _HALF_DAY) if "A" in pattern else at.hour
    shown = {
        "YYYY": f"{at.year:04d}", "YY": f"{at.year % 100:02d}", "MMMM": month, "MMM": month[:3],
        "MM": f"{at.month:02d}", "M": str(at.month), "DD": f"{at.day:02d}", "D": str(at.day),
        "h": str(hour), "mm": f"{at.minute:02d}", "ss": f"{at.second:02d}", "A": "AM" if at.hour < _HALF_DAY else "PM",
    }  # fmt: skip
    return _PARTS.sub(lambda match: shown.get(match[0], match[0]), pattern)
