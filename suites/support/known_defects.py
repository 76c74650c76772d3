"""Marks the checks whose failure is known: ``fixtures/known_defects.toml`` names check, document, reason and last day.

What becomes of them is the plugin's: ``pytest.mark.known_defect``.
"""

import tomllib
from dataclasses import dataclass
from datetime import date, datetime
from functools import cache
from pathlib import Path

import pytest

from pytest_deploygate.core.errors import ConfigError
from suites.support.profile import ROOT, profile

FILE = ROOT / "fixtures" / "known_defects.toml"


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownDefect:
    """``check`` is the name of a test function, ``document`` one of its parameters or empty for all of them."""

    function: str
    check: str
    document: str
    reason: str
    until: date

    def is_of(self, item: pytest.Item) -> bool:
        """Whether the defect is that of this check."""
        name, _, parameters = item.name.partition("[")
        words = parameters.rstrip("]").split("-")
        return name == self.check and (not self.document or self.document in words)


@cache
def known_defects(path: Path = FILE) -> tuple[KnownDefect, ...]:
    """All that the file names.

    Raises:
        ConfigError: it is no TOML, an entry lacks a key, or its last day is no date.
    """
    try:
        found = tomllib.loads(path.read_text(encoding="utf-8")).get("defects", [])
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path} cannot be read: {error}", hint="correct it") from error
    if not isinstance(found, list) or not all(isinstance(entry, dict) for entry in found):
        raise ConfigError(f"{path}: defects is no list of tables", hint="write [[defects]]")
    return tuple(_defect(entry, path) for entry in found)


def _defect(entry: dict[str, object], path: Path) -> KnownDefect:
    until = entry.get("until")
    try:
        texts = {key: str(entry[key]) for key in ("function", "check", "reason")}
    except KeyError as error:
        raise ConfigError(f"{path}: a defect has no {error}", hint="add it") from error
    if not isinstance(until, date) or isinstance(until, datetime):
        raise ConfigError(
            f"{path}: until of {texts['check']} is no date", hint="write it as 2026-12-31"
        )
    return KnownDefect(document=str(entry.get("document", "")), until=until, **texts)


def mark_known_defects(item: pytest.Item) -> None:
    """Give the check its marker, if its failure is known."""
    for defect in known_defects():
        if defect.function == profile().name and defect.is_of(item):
            item.add_marker(
                pytest.mark.known_defect(until=defect.until.isoformat(), reason=defect.reason)
            )
