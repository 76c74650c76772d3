"""Finds mistakes of checks that collection shows: unknown fixtures, unregistered marks, modules with errors.

The names of a test's fixtures are private in pytest; ``_fixtureinfo`` was read in 8.4 and 9.0.
"""

from collections.abc import Iterable, Iterator

import pytest


def collection_error(report: pytest.CollectReport) -> str:
    """What could not be collected, and the error in one line."""
    errors = [line for line in report.longreprtext.splitlines() if line.startswith("E  ")]
    why = f": {errors[-1][1:].strip()}" if errors else ""
    return f"{report.nodeid or 'the session'} could not be collected{why}"


def find_mistakes(items: Iterable[pytest.Item], config: pytest.Config) -> Iterator[str]:
    """A sentence for each mistake; one in a parametrized test is told once."""
    marks = _UnregisteredMarks(config)
    found: dict[str, None] = {}
    for item in items:
        missing, unregistered = _missing_fixtures(item), marks.of(item)
        if missing or unregistered:
            file, line, name = item.location
            place = f"{file}:{(line or 0) + 1}: {name.partition('[')[0]}"
            what = [f"the fixture {name!r} is not defined" for name in missing]
            what += [f"the mark {name!r} is not registered" for name in unregistered]
            found |= dict.fromkeys(f"{place}: {one}" for one in what)
    yield from found


class _UnregisteredMarks:
    """Looks at the marks of a module or class once for all its checks."""

    def __init__(self, config: pytest.Config) -> None:
        self._known = set(map(_mark_named, config.getini("markers")))
        self._parent: pytest.Collector | None = None
        self._of_parent: list[str] = []

    def of(self, item: pytest.Item) -> list[str]:
        """Names of the marks of ``item`` that are not registered, its own first."""
        if item.parent is not self._parent:
            self._parent = item.parent
            marks = item.parent.iter_markers() if item.parent is not None else ()
            self._of_parent = self._unknown(marks)
        if not item.own_markers:
            return self._of_parent
        return self._unknown(item.own_markers) + self._of_parent

    def _unknown(self, marks: Iterable[pytest.Mark]) -> list[str]:
        return [mark.name for mark in marks if mark.name not in self._known]


def _mark_named(line: str) -> str:
    """The mark of a line of pytest's setting ``markers``: ``slow: takes minutes``, ``timeout(seconds): ...``."""
    return line.partition(":")[0].partition("(")[0].strip()


def _missing_fixtures(item: pytest.Item) -> list[str]:
    """Fixtures that ``item`` or one of its fixtures asks for, and that neither a file nor a plugin defines."""
    info = getattr(item, "_fixtureinfo", None)
    if info is None or not info.names_closure:  # it is no function, or asks for none
        return []
    given = {"request", *info.name2fixturedefs, *getattr(item, "funcargs", ())}
    return [name for name in info.names_closure if name not in given]
