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
    marks = set(map(_mark_named, config.getini("markers")))
    found: dict[str, None] = {}
    for item in items:
        missing = [f"the fixture {name!r} is not defined" for name in _missing_fixtures(item)]
        missing += [
            f"the mark {mark.name!r} is not registered"
            for mark in item.iter_markers()
            if mark.name not in marks
        ]
        if missing:
            file, line, name = item.location
            place = f"{file}:{(line or 0) + 1}: {name.partition('[')[0]}"
            found |= dict.fromkeys(f"{place}: {what}" for what in missing)
    yield from found


def _mark_named(line: str) -> str:
    """The mark of a line of pytest's setting ``markers``: ``slow: takes minutes``, ``timeout(seconds): ...``."""
    return line.partition(":")[0].partition("(")[0].strip()


def _missing_fixtures(item: pytest.Item) -> Iterator[str]:
    """Fixtures that ``item`` or one of its fixtures asks for, and that neither a file nor a plugin defines."""
    info = getattr(item, "_fixtureinfo", None)
    if info is None:  # it is no function
        return
    given = {"request", *info.name2fixturedefs, *getattr(item, "funcargs", ())}
    for name in info.names_closure:
        if name not in given:
            yield name
