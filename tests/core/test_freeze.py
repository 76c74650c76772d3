"""Freeze windows: when they hold, in which zone, and texts that cannot be read."""

import sys
import time
import zoneinfo
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from pytest_deploygate.core.errors import ConfigError
from pytest_deploygate.core.freeze import frozen_until, parse

WEEKEND = "fri 15:00 - mon 07:00 Europe/Berlin"
CHRISTMAS = "2026-12-20 - 2027-01-03 Europe/Berlin"


def at(text: str, zone: str = "Europe/Berlin") -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone))


@pytest.mark.parametrize(
    ("moment", "end"),
    [
        ("2026-11-20 14:59:59", None),
        ("2026-11-20 15:00:00", "2026-11-23 07:00"),
        ("2026-11-22 03:00:00", "2026-11-23 07:00"),
        ("2026-11-23 06:59:59", "2026-11-23 07:00"),
        ("2026-11-23 07:00:00", None),
        ("2026-11-25 12:00:00", None),
    ],
)
def test_weekly_window_includes_its_start_and_not_its_end(moment: str, end: str | None) -> None:
    assert parse(WEEKEND).ends_at(at(moment)) == (at(end).astimezone(UTC) if end else None)


@pytest.mark.parametrize("day", ["2026-07-03", "2026-11-20"])
def test_weekly_window_follows_the_wall_clock_in_summer_and_winter(day: str) -> None:
    window = parse(WEEKEND)
    assert window.ends_at(at(f"{day} 15:00").astimezone(UTC)) is not None
    assert window.ends_at(at(f"{day} 14:59").astimezone(UTC)) is None


def test_weekly_window_ends_by_the_wall_clock_when_the_clocks_change_inside_it() -> None:
    # In the night to 2026-10-25 Berlin changes from UTC+2 to UTC+1.
    end = parse(WEEKEND).ends_at(at("2026-10-24 12:00"))
    assert end == datetime(2026, 10, 26, 6, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("moment", "end"),
    [
        # 02:30 occurs twice in the night to 2026-10-25: at 00:30 and at 01:30 UTC
        ("2026-10-25 00:45", "2026-10-25 01:30"),
        ("2026-10-25 01:15", "2026-10-25 01:30"),
        ("2026-10-25 01:30", None),
        # and never in the night to 2026-03-29, when 01:00 UTC is 03:00
        ("2026-03-29 00:59", "2026-03-29 01:30"),
        ("2026-03-29 01:30", None),
    ],
)
@pytest.mark.parametrize("text", ["sat 22:00 - sun 02:30", "{day} 00:00 - {day} 02:30"])
def test_window_that_ends_while_the_clocks_are_turned_ends_late(
    text: str, moment: str, end: str | None
) -> None:
    window = parse(f"{text} Europe/Berlin".format(day=moment[:10]))
    assert window.ends_at(at(moment, "UTC")) == (at(end, "UTC") if end else None)


@pytest.mark.parametrize(
    ("moment", "holds"),
    [
        ("2026-10-25 00:29", False),
        ("2026-10-25 00:30", True),
        ("2026-10-25 01:15", True),
        ("2026-03-29 00:29", False),
        ("2026-03-29 00:30", True),
    ],
)
def test_window_that_begins_while_the_clocks_are_turned_begins_early(
    moment: str, holds: bool
) -> None:
    window = parse("sun 02:30 - sun 12:00 Europe/Berlin")
    assert (window.ends_at(at(moment, "UTC")) is not None) is holds


@pytest.mark.parametrize(
    ("text", "moment", "end"),
    [
        ("tue 22:00 - wed 06:00 UTC", "2026-11-25 05:59", "2026-11-25 06:00"),
        ("sun 22:00 - mon 06:00 UTC", "2026-11-29 22:00", "2026-11-30 06:00"),
        ("sun 22:00 - mon 06:00 UTC", "2026-11-30 05:59", "2026-11-30 06:00"),
        ("mon - sun 12:00 UTC", "2026-11-29 11:59", "2026-11-29 12:00"),
        ("wed 00:01 - wed UTC", "2026-11-24 23:59", "2026-11-25 00:00"),
        ("wed 00:01 - wed UTC", "2026-11-25 00:00", None),
    ],
)
def test_weekly_window_reaches_over_midnight_and_over_the_end_of_the_week(
    text: str, moment: str, end: str | None
) -> None:
    assert parse(text).ends_at(at(moment, "UTC")) == (at(end, "UTC") if end else None)


def test_weekly_window_inside_one_week_holds_only_there() -> None:
    window = parse("tue 09:00 - wed America/New_York")
    assert window.ends_at(at("2026-11-24 09:00", "America/New_York")) == datetime(
        2026, 11, 25, 5, tzinfo=UTC
    )
    assert window.ends_at(at("2026-11-25 00:00", "America/New_York")) is None
    assert window.ends_at(at("2026-11-24 08:59", "America/New_York")) is None


def test_weekly_window_knows_every_day() -> None:
    for number, day in enumerate(("mon", "tue", "wed", "thu", "fri", "sat", "sun"), start=23):
        window = parse(f"{day} 09:00 - {day} 10:00 UTC")
        ends = [window.ends_at(at(f"2026-11-{n} 09:30", "UTC")) for n in range(23, 30)]
        assert [end for end in ends if end] == [at(f"2026-11-{number} 10:00", "UTC")]


@pytest.mark.parametrize(
    "text",
    [
        "fri 9:00 - mon 07:00 Europe/Berlin",
        " Fri  09:00  -  MON  7:00  Europe/Berlin ",
    ],
)
def test_window_may_be_written_with_more_or_less(text: str) -> None:
    window = parse(text)
    assert window.ends_at(at("2026-11-20 08:59")) is None
    assert window.ends_at(at("2026-11-20 09:00")) == at("2026-11-23 07:00")


@pytest.mark.parametrize(
    ("moment", "holds"),
    [
        ("2026-12-19 23:59:59", False),
        ("2026-12-20 00:00:00", True),
        ("2027-01-02 23:59:59", True),
        ("2027-01-03 00:00:00", False),
    ],
)
def test_window_of_dates_includes_its_start_and_not_its_end(moment: str, holds: bool) -> None:
    end = parse(CHRISTMAS).ends_at(at(moment))
    assert end == (at("2027-01-03").astimezone(UTC) if holds else None)


def test_window_of_dates_may_have_times() -> None:
    window = parse("2026-12-23 18:30 - 2026-12-24 06:00 UTC")
    assert window.ends_at(datetime(2026, 12, 23, 18, 29, tzinfo=UTC)) is None
    assert window.ends_at(datetime(2026, 12, 23, 18, 30, tzinfo=UTC)) is not None


def test_the_window_that_ends_last_is_named() -> None:
    windows = (parse(WEEKEND), parse(CHRISTMAS))
    found = frozen_until(windows, at("2026-12-26 12:00"))
    assert found is not None
    assert (found[0].text, found[1]) == (CHRISTMAS, at("2027-01-03").astimezone(UTC))
    assert frozen_until(windows, at("2026-12-16 12:00")) is None


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "neither of the two forms"),
        ("always", "neither of the two forms"),
        ("fri 15:00 - mon 07:00", "neither of the two forms"),
        ("fri 15:00 - mon 07:00 Europe/Berlim", "'Europe/Berlim' is not a time zone"),
        ("fri 15:00 - mon 07:00 Europe/../x", "is not a time zone"),
        ("fri :00 - mon 07:00 UTC", "neither of the two forms"),
        ("fri 25:00 - mon 07:00 UTC", "invalid time '25:00'"),
        ("fri 24:00 - mon 07:00 UTC", "invalid time '24:00'"),
        ("fri 23:60 - mon 07:00 UTC", "invalid time '23:60'"),
        ("fri 15:00 - mon 24:00 UTC", "invalid time '24:00'"),
        ("2026-12-24 24:00 - 2026-12-26 UTC", "invalid time '24:00'"),
        ("2026-12-24 - 2026-12-26 24:00 UTC", "invalid time '24:00'"),
        ("friday 15:00 - mon 07:00 UTC", "'friday' is not a day"),
        ("fri 15:00 - 2026-12-24 UTC", "'fri' is neither a day of the week nor a date"),
        ("fri 15:00 - fri 15:00 UTC", "begins where it ends"),
        ("2026-12-24 - 2026-12-24 UTC", "does not end after it begins"),
        ("2026-02-30 - 2026-03-01 UTC", "'2026-02-30' is neither"),
    ],
)
def test_window_that_cannot_be_read_is_explained(text: str, why: str) -> None:
    with pytest.raises(ConfigError, match=why) as caught:
        parse(text)
    assert "fri 15:00 - mon 07:00 Europe/Berlin" in caught.value.hint
    assert caught.value.message.startswith(f"freeze window {text!r}: ")


@pytest.mark.parametrize(
    "text", ["fri 23:59 - sat 23:59 UTC", "2026-11-20 23:59 - 2026-11-21 23:59 UTC"]
)
def test_window_may_begin_and_end_in_the_last_minute_of_a_day(text: str) -> None:
    window = parse(text)
    assert window.text == text
    assert window.ends_at(at("2026-11-20 23:58", "UTC")) is None
    assert window.ends_at(at("2026-11-20 23:59", "UTC")) == at("2026-11-21 23:59", "UTC")


@pytest.mark.parametrize("text", [WEEKEND, CHRISTMAS])
def test_end_of_a_window_is_told_in_utc_wherever_the_machine_is(
    text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TZ", "America/New_York")
    time.tzset()
    try:
        end = parse(text).ends_at(at("2026-12-26 12:00"))
    finally:
        monkeypatch.undo()
        time.tzset()
    assert end is not None
    assert end.utcoffset() == timedelta(0)


@pytest.mark.parametrize("machine", ["America/New_York", "Europe/Berlin", "Asia/Tokyo"])
@pytest.mark.parametrize(
    ("text", "moment", "end"),
    [
        ("mon 00:00 - mon 02:00 Europe/Berlin", "2026-11-23 00:30", "2026-11-23 02:00"),
        ("sun 22:00 - mon 00:00 Europe/Berlin", "2026-11-22 23:30", "2026-11-23 00:00"),
    ],
)
def test_weekly_window_at_either_end_of_a_week_holds_wherever_the_machine_is(
    text: str, moment: str, end: str, machine: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Zones in which the machine's week is not the window's week."""
    monkeypatch.setenv("TZ", machine)
    time.tzset()
    try:
        assert parse(text).ends_at(at(moment)) == at(end)
    finally:
        monkeypatch.undo()
        time.tzset()


def test_machine_without_time_zones_is_told_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    loaded = [
        name for name in sys.modules if name.startswith("tzdata.")
    ]  # each stays found by itself
    for name in ("tzdata", *loaded):
        monkeypatch.setitem(sys.modules, name, None)
    ZoneInfo.clear_cache(only_keys=["America/Lima"])
    zoneinfo.reset_tzpath(to=())
    try:
        with pytest.raises(ConfigError, match="this machine has no time zone database") as caught:
            parse("fri 15:00 - mon 07:00 America/Lima")
    finally:
        zoneinfo.reset_tzpath()
    assert caught.value.hint == "pip install tzdata"
