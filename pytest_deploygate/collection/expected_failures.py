"""Checks whose failure is known until a day: ``@pytest.mark.known_defect(until="2026-12-31", reason="...")``.

Until the end of its day such a check is expected to fail: as long as it does, it is listed and is neither a pass nor a
failure. One that holds is said, so that the marker goes. After its day the marker does nothing, and the check fails.
"""

from collections.abc import Callable
from datetime import UTC, date, datetime

import pytest

from pytest_deploygate.core.property_names import DEFECT_PROPERTY

MARKER = "known_defect"


def today() -> date:
    """The day in UTC."""
    return datetime.now(UTC).date()


class ExpectedFailures:
    """Turns the marker into an expected failure of pytest, for assertions alone: what breaks otherwise still counts."""

    def __init__(self, day: Callable[[], date] = today) -> None:
        self._day = day
        self._parent: pytest.Collector | None = None
        self._is_parent_marked = False

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Read the marker, after conftest files had the chance to add it."""
        for item in items:
            if item.own_markers or item.parent is not self._parent or self._is_parent_marked:
                self._read_marker(item)

    def _read_marker(self, item: pytest.Item) -> None:
        if not self._is_marked(item):
            return
        marker = item.get_closest_marker(MARKER)
        assert marker is not None
        until, reason = _read(item, marker)
        if self._day() > until:
            return
        text = f"until {until.isoformat()}: {reason}"
        item.user_properties.append((DEFECT_PROPERTY, text))
        expected = (AssertionError, pytest.fail.Exception)
        item.add_marker(
            pytest.mark.xfail(reason=f"known defect {text}", raises=expected, strict=False)
        )

    def _is_marked(self, item: pytest.Item) -> bool:
        """Whether the check has the marker, or its module or class, which is asked once for all its checks."""
        parent = item.parent
        if parent is not self._parent:
            self._parent = parent
            self._is_parent_marked = parent is not None and bool(parent.get_closest_marker(MARKER))
        return self._is_parent_marked or any(mark.name == MARKER for mark in item.own_markers)


def _read(item: pytest.Item, marker: pytest.Mark) -> tuple[date, str]:
    given = dict(marker.kwargs)
    until, reason = given.pop("until", None), given.pop("reason", None)
    try:
        day = date.fromisoformat(str(until))
    except ValueError:
        day = None
    if day is None or not isinstance(reason, str) or not reason.strip() or given or marker.args:
        raise pytest.UsageError(
            f"{item.nodeid}: the marker {MARKER} needs a last day and a reason, such as "
            f'@pytest.mark.{MARKER}(until="2026-12-31", reason="...")'
        )
    return day, reason
