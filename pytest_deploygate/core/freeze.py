"""Freeze windows: spans of time in which nothing is promoted. Rollbacks are never frozen.

A window has one of two forms, each with an IANA time zone. A missing time is 00:00. The start is included, the end is
not:

* every week: ``fri 15:00 - mon 07:00 Europe/Berlin``
* once: ``2026-12-20 - 2027-01-03 Europe/Berlin`` (2027-01-03 is not frozen)

Times are wall clock times in the zone of the window, so a weekend starts at 15:00 in summer and in winter. If the
clocks change in that hour, the earlier start and the later end count.
"""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from pytest_deploygate.core.errors import ConfigError

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

_DAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_WEEK: Final = timedelta(days=7)
_TIME: Final = r"(?:\s+(\d{1,2}:\d{2}))?"
_FORM: Final = re.compile(
    rf"(?P<from>\S+?{_TIME})\s+-\s+(?P<to>\S+?{_TIME})\s+(?P<zone>[A-Za-z]\S*)"
)
_HINT: Final = (
    "write 'fri 15:00 - mon 07:00 Europe/Berlin' for every week, or "
    "'2026-12-20 - 2027-01-03 Europe/Berlin' for one time; the zone is required"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Weekly:
    """A span of every week. ``start`` and ``end`` count from Monday 00:00 of the wall clock in ``zone``."""

    text: str
    start: timedelta
    end: timedelta
    zone: "ZoneInfo"

    def __str__(self) -> str:
        return self.text

    def ends_at(self, now: datetime) -> datetime | None:
        """End, in UTC, of the span that contains ``now`` (aware); None if none does."""
        wall = now.astimezone(self.zone).replace(tzinfo=None)
        monday = datetime(wall.year, wall.month, wall.day) - timedelta(days=wall.weekday())  # noqa: DTZ001 # wall clock
        length = (self.end - self.start) % _WEEK
        for begins in (monday + self.start, monday + self.start - _WEEK):
            end = _latest(begins + length, self.zone)
            if _earliest_moment(begins, self.zone) <= now < end:
                return end
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Once:
    """One span, ``start <= now < end``, both in UTC."""

    text: str
    start: datetime
    end: datetime

    def __str__(self) -> str:
        return self.text

    def ends_at(self, now: datetime) -> datetime | None:
        """End of the span, in UTC, if it contains ``now`` (aware); else None."""
        return self.end if self.start <= now < self.end else None


FreezeWindow = Weekly | Once


def parse(text: str) -> FreezeWindow:
    """Read one window.

    Raises:
        ConfigError: it has neither form, an unknown zone, or no length.
    """
    from zoneinfo import (
        ZoneInfo,
        available_timezones,
    )  # loaded only if a freeze window is configured

    found = _FORM.fullmatch(text.strip())
    if found is None:
        raise _freeze_error(text, "it has neither of the two forms")
    try:
        zone = ZoneInfo(found["zone"])
    except (KeyError, ValueError, OSError) as error:
        if not available_timezones():
            raise ConfigError(
                f"freeze window {text!r}: this machine has no time zone database",
                hint="pip install tzdata",
            ) from error
        raise _freeze_error(
            text, f"{found['zone']!r} is not a time zone of the IANA database"
        ) from error
    first, last = found["from"].lower(), found["to"].lower()
    if first[:3] in _DAYS and last[:3] in _DAYS:
        start, end = _parse_week_time(text, first), _parse_week_time(text, last)
        if start == end:
            raise _freeze_error(text, "it begins where it ends")
        return Weekly(text=text, start=start, end=end, zone=zone)
    begins, ends = _earliest_moment(_moment(text, first), zone), _latest(_moment(text, last), zone)
    if ends <= begins:
        raise _freeze_error(text, "it does not end after it begins")
    return Once(text=text, start=begins, end=ends)


def frozen_until(
    windows: tuple[FreezeWindow, ...], now: datetime
) -> tuple[FreezeWindow, datetime] | None:
    """The window that contains ``now`` (aware) and ends last, with its end in UTC; None if no window does."""
    holding = [(w, end) for w in windows if (end := w.ends_at(now)) is not None]
    return max(holding, key=lambda pair: pair[1], default=None)


def _freeze_error(text: str, why: str) -> ConfigError:
    return ConfigError(f"freeze window {text!r}: {why}", hint=_HINT)


def _parse_week_time(text: str, spot: str) -> timedelta:
    day, _, clock = spot.partition(" ")
    if day not in _DAYS:
        raise _freeze_error(text, f"{day!r} is not a day (days: {', '.join(_DAYS)})")
    return timedelta(days=_DAYS.index(day)) + _clock(text, clock.strip())


def _clock(text: str, clock: str) -> timedelta:
    hour, _, minute = (clock or "0:00").partition(":")
    if int(hour) > 23 or int(minute) > 59:
        raise _freeze_error(text, f"invalid time {clock!r}")
    return timedelta(hours=int(hour), minutes=int(minute))


def _moment(text: str, spot: str) -> datetime:
    day, _, clock = spot.partition(" ")
    try:
        midnight = datetime.strptime(day, "%Y-%m-%d")  # noqa: DTZ007 # wall clock
    except ValueError as error:
        raise _freeze_error(text, f"{day!r} is neither a day of the week nor a date") from error
    return midnight + _clock(text, clock.strip())


def _earliest_moment(wall: datetime, zone: "ZoneInfo") -> datetime:
    """The earliest moment, in UTC, that a wall time may mean: it may occur twice, or not at all."""
    return min(wall.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1))


def _latest(wall: datetime, zone: "ZoneInfo") -> datetime:
    """The latest such moment."""
    return max(wall.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1))
