"""What a deployment changes in the settings of an environment: old and new value of each, as TOML."""

import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from typing import Final, NamedTuple

from pytest_deploygate.config.display import WrittenSetting
from pytest_deploygate.config.kinds import as_toml
from pytest_deploygate.core.redaction import MASK

_OF_THIS_MACHINE = ("source", "secrets-file", "port", "rehearsal")
"""Where things are on the machine that deploys; nothing of it reaches a revision."""
_BARE_KEY: Final = re.compile(r"[A-Za-z0-9_-]+")


class SettingChange(NamedTuple):
    """One setting, or one key of a table; ``old`` is empty if it is new, ``new`` if it is gone. Both are TOML."""

    key: str
    old: str
    new: str

    def __str__(self) -> str:
        if not self.old:
            return f"+ {self.key} = {self.new}"
        return (
            f"~ {self.key} = {self.old} -> {self.new}" if self.new else f"- {self.key} = {self.old}"
        )


def recorded_settings(written: Sequence[WrittenSetting]) -> dict[str, str]:
    """What a record keeps of the settings, by key."""
    return {one.key: one.value for one in written if one.key not in _OF_THIS_MACHINE}


class SettingChanges(NamedTuple):
    """What differs, in the order of the settings, what is gone last; and how many settings are the same."""

    changes: tuple[SettingChange, ...]
    unchanged: int

    def count_line(self, *, is_source_changed: bool) -> str:
        """``Plan: settings: 1 to add, 2 to change, 0 to remove, 38 unchanged; the source changes``."""
        added = sum(not change.old for change in self.changes)
        removed = sum(not change.new for change in self.changes)
        changed = len(self.changes) - added - removed
        settings = f"settings: {added} to add, {changed} to change, {removed} to remove"
        source = "changes" if is_source_changed else "is the same"
        return f"Plan: {settings}, {self.unchanged} unchanged; the source {source}"


def find_changes(before: Mapping[str, str], now: Mapping[str, str]) -> SettingChanges:
    """Compare recorded settings; of a table only the keys that differ: ``triggers.slow.fires-when``."""
    found = [
        tuple(_changes_of(key, _read(before.get(key, "")), _read(new))) for key, new in now.items()
    ]
    gone = [SettingChange(key, old, "") for key, old in before.items() if key not in now]
    return SettingChanges(
        changes=(*(change for changes in found for change in changes), *gone),
        unchanged=found.count(()),
    )


def _read(text: str) -> object:
    """The value of a setting; None if there is none, and the text itself of a record that is not TOML."""
    try:
        return tomllib.loads(f"x = {text}")["x"] if text else None
    except tomllib.TOMLDecodeError:
        return text


def _changes_of(key: str, old: object, new: object) -> Iterator[SettingChange]:
    if isinstance(old, dict) and isinstance(new, dict):
        for name in (*new, *(name for name in old if name not in new)):
            yield from _changes_of(f"{key}.{_key(name)}", old.get(name), new.get(name))
    elif old != new and MASK not in str(old):  # what a record does not show cannot be compared
        yield SettingChange(key, _write(old), _write(new))


def _key(name: str) -> str:
    return name if _BARE_KEY.fullmatch(name) else as_toml(name)


def _write(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, dict):
        pairs = (f"{_key(name)} = {_write(one)}" for name, one in value.items())
        return f"{{ {', '.join(pairs)} }}"
    return as_toml(value)
