"""What a deployment changes in the settings of an environment: old and new value of each, as TOML."""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from pytest_deploygate.config.display import WrittenSetting
from pytest_deploygate.core.redaction import MASK

_OF_THIS_MACHINE = ("source", "secrets-file", "port", "rehearsal")
"""Where things are on the machine that deploys; nothing of it reaches a revision."""


class SettingChange(NamedTuple):
    """One setting; ``old`` is empty if it is new, ``new`` if it is gone. Both are TOML."""

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


def find_changes(
    before: Mapping[str, str], written: Sequence[WrittenSetting]
) -> Iterator[SettingChange]:
    """Settings that differ from those ``before``, in the order of the settings; those that are gone come last."""
    now = recorded_settings(written)
    for key, new in now.items():
        old = before.get(key, "")
        if old != new and MASK not in old:  # what a record does not show cannot be compared
            yield SettingChange(key, old, new)
    for key, old in before.items():
        if key not in now:
            yield SettingChange(key, old, "")


def count_line(changes: Sequence[SettingChange], total: int, *, is_source_changed: bool) -> str:
    """``Plan: settings: 1 to add, 2 to change, 0 to remove, 38 unchanged; the source changes``."""
    added = sum(not change.old for change in changes)
    removed = sum(not change.new for change in changes)
    changed = len(changes) - added - removed
    settings = f"settings: {added} to add, {changed} to change, {removed} to remove"
    source = "changes" if is_source_changed else "is the same"
    return f"Plan: {settings}, {total - added - changed} unchanged; the source {source}"
