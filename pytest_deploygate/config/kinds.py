"""Kinds of settings: text, number, choice, list, table. Each kind reads, writes and describes its values.

A value that cannot be read is noted as a SettingFault and becomes INVALID, so that one error reports all of a file.
"""

import json
import re
from collections.abc import Mapping
from decimal import Decimal
from difflib import get_close_matches
from enum import Enum
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple, Protocol, TypeAlias

from pytest_deploygate.core.errors import ConfigError, join_errors
from pytest_deploygate.core.setting import NAME, Setting

Toml: TypeAlias = "str | int | bool | Decimal | list[Toml] | dict[str, Toml]"
Schema: TypeAlias = "dict[str, Any]"


class SettingFault(NamedTuple):
    """An error in the settings. ``where`` is the path of the key as the user writes it."""

    where: str
    cause: str
    hint: str = ""


class _Invalid(Enum):
    INVALID = "invalid"


INVALID = _Invalid.INVALID
"""Replaces a value that could not be read; there is a SettingFault for it."""


class SettingFaults(list[SettingFault]):
    """All faults found so far."""

    def note(self, where: str, cause: str, hint: str = "") -> _Invalid:
        """Add a fault; return INVALID as the value."""
        self.append(SettingFault(where, cause, hint))
        return INVALID

    def note_missing(self, where: str, setting: Setting) -> _Invalid:
        """Add a fault for a missing key in the table ``where``."""
        elsewhere = f" here or to [{setting.or_in}]" if setting.or_in else ""
        hint = f"add it{elsewhere}: {setting.key} = {setting.example}"
        return self.note(where, f"the key {setting.key} is missing", hint)

    def error(self, path: Path) -> ConfigError:
        """One error with all faults, each with its hint."""
        return join_errors(
            [ConfigError(f"{path}: {f.where}: {f.cause}", hint=f.hint) for f in self], "settings"
        )


class Kind(Protocol):
    """Kind of a setting."""

    def read(self, value: Toml, where: str, faults: SettingFaults) -> object:
        """Convert ``value`` from TOML; INVALID if it is wrong."""
        ...

    def write(self, value: Any) -> str:
        """``value`` in TOML."""
        ...

    def schema(self) -> Schema:
        """The JSON schema of allowed values."""
        ...

    def __str__(self) -> str:
        """The kind in words that can follow "is not"."""
        ...


def as_toml(value: object) -> str:
    """A value in TOML, for messages."""
    if isinstance(value, Decimal | Fraction):
        return f"{float(value):g}"
    return json.dumps(
        value, default=lambda one: float(one) if isinstance(one, Decimal) else str(one)
    )


def example_hint(setting: Setting) -> str:
    """The example as the user would write it."""
    return f"for example: {setting.key} = {setting.example}" if setting.example else ""


class Text(NamedTuple):
    """A text, which ``parse`` may turn into another value."""

    setting: Setting

    def read(self, value: Toml, where: str, faults: SettingFaults) -> object:
        """The value, or INVALID."""
        setting = self.setting
        if not isinstance(value, str):
            return self._refuse(value, where, faults)
        if setting.is_filled and not value:
            return faults.note(where, "is empty", example_hint(setting))
        if setting.pattern and not re.fullmatch(setting.pattern, value):
            return self._refuse(value, where, faults)
        if setting.parse is None:
            return value
        try:
            return setting.parse(value)
        except ConfigError as error:
            return faults.note(where, error.message, error.hint)
        except ValueError:
            return self._refuse(value, where, faults)

    def _refuse(self, value: Toml, where: str, faults: SettingFaults) -> object:
        cause = f"{as_toml(value)} is not {self}"
        return faults.note(where, cause, example_hint(self.setting))

    def write(self, value: object) -> str:
        """``value`` in TOML."""
        return as_toml(str(value))

    def schema(self) -> Schema:
        """The JSON schema."""
        found: Schema = {"type": "string"}
        if self.setting.pattern:
            found["pattern"] = f"^(?:{self.setting.pattern})$"
        elif self.setting.is_filled:
            found["minLength"] = 1
        return found

    def __str__(self) -> str:
        return self.setting.is_a or "a text"


class Number(NamedTuple):
    """A whole number, or an exact decimal number."""

    setting: Setting
    is_whole: bool

    def read(self, value: Toml, where: str, faults: SettingFaults) -> object:
        """The value, or INVALID."""
        is_number = isinstance(value, int if self.is_whole else int | Decimal)
        if isinstance(value, bool) or not is_number or not self._is_in_range(value):
            cause = f"{as_toml(value)} is not {self}"
            return faults.note(where, cause, example_hint(self.setting))
        return value if self.is_whole else Fraction(str(value))

    def _is_in_range(self, value: Any) -> bool:
        low, above, high = self.setting.at_least, self.setting.above, self.setting.at_most
        below = self.setting.below
        if isinstance(value, Decimal) and not value.is_finite():
            return False
        return (
            (low is None or value >= low)
            and (above is None or value > above)
            and (high is None or value <= high)
            and (below is None or value < below)
        )

    def write(self, value: Any) -> str:
        """``value`` in TOML."""
        return as_toml(value)

    def schema(self) -> Schema:
        """The JSON schema."""
        limits = {
            "minimum": self.setting.at_least,
            "exclusiveMinimum": self.setting.above,
            "maximum": self.setting.at_most,
            "exclusiveMaximum": self.setting.below,
        }
        found: Schema = {"type": "integer" if self.is_whole else "number"}
        return found | {rule: limit for rule, limit in limits.items() if limit is not None}

    def __str__(self) -> str:
        low, above, high = self.setting.at_least, self.setting.above, self.setting.at_most
        words = ["a whole number" if self.is_whole else "a number"]
        if self.setting.unit:
            words.append(f"of {self.setting.unit}")
        if low is not None and high is not None:
            words.append(f"from {low} to {high}")
        elif low is not None:
            words.append(f"from {low} up")
        elif above is not None:
            words.append(f"above {above}")
        if self.setting.below is not None:
            words.append(f"and below {self.setting.below}")
        return " ".join(words)


class Flag(NamedTuple):
    """``true`` or ``false``."""

    setting: Setting

    def read(self, value: Toml, where: str, faults: SettingFaults) -> object:
        """The value, or INVALID."""
        if isinstance(value, bool):
            return value
        return faults.note(where, f"{as_toml(value)} is not {self}", example_hint(self.setting))

    def write(self, value: object) -> str:
        """``value`` in TOML."""
        return as_toml(value)

    def schema(self) -> Schema:
        """The JSON schema."""
        return {"type": "boolean"}

    def __str__(self) -> str:
        return "true or false"


class Choice(NamedTuple):
    """One of several words."""

    setting: Setting
    choices: Mapping[str, object]

    def read(self, value: Toml, where: str, faults: SettingFaults) -> object:
        """The value, or INVALID."""
        if isinstance(value, str) and value in self.choices:
            return self.choices[value]
        near = get_close_matches(str(value), self.choices, n=1)
        hint = f"did you mean {near[0]}?" if near else example_hint(self.setting)
        return faults.note(where, f"{as_toml(value)} is not {self}", hint)

    def write(self, value: object) -> str:
        """``value`` in TOML."""
        return as_toml(next(word for word, choice in self.choices.items() if choice == value))

    def schema(self) -> Schema:
        """The JSON schema."""
        return {"enum": list(self.choices)}

    def __str__(self) -> str:
        *first, last = map(as_toml, self.choices)
        return f"{', '.join(first)} or {last}"


class ListOf(NamedTuple):
    """A list."""

    setting: Setting
    item: Kind

    def read(self, value: Toml, where: str, faults: SettingFaults) -> object:
        """The value, or INVALID."""
        if not isinstance(value, list):
            return faults.note(where, f"{as_toml(value)} is not {self}", example_hint(self.setting))
        if self.setting.is_filled and not value:
            return faults.note(where, "is empty", example_hint(self.setting))
        found = tuple(self.item.read(one, where, faults) for one in value)
        if any(one is INVALID for one in found):
            return INVALID
        cause = self.setting.problem(found) if self.setting.problem is not None else ""
        return faults.note(where, cause, example_hint(self.setting)) if cause else found

    def write(self, value: Any) -> str:
        """``value`` in TOML."""
        return f"[{', '.join(self.item.write(one) for one in value)}]"

    def schema(self) -> Schema:
        """The JSON schema."""
        found: Schema = {"type": "array", "items": self.item.schema()}
        return found | ({"minItems": 1} if self.setting.is_filled else {})

    def __str__(self) -> str:
        return f"a list; each item is {self.item}"


class TableOf(NamedTuple):
    """A table with keys that the user chooses."""

    setting: Setting
    item: Kind

    def read(self, value: Toml, where: str, faults: SettingFaults) -> object:
        """The value, or INVALID."""
        if not isinstance(value, dict):
            return faults.note(where, f"{as_toml(value)} is not {self}", example_hint(self.setting))
        if self.setting.is_filled and not value:
            return faults.note(where, "is empty", example_hint(self.setting))
        pattern, found = self.setting.key_pattern, {}
        for key, one in value.items():
            path = f"{where}.{key}"
            if pattern and not re.fullmatch(pattern, key):
                hint = NAME_HINT if pattern == NAME else example_hint(self.setting)
                faults.note(path, f"{as_toml(key)} is not a name", hint)
            found[key] = self.item.read(one, path, faults)
        return found

    def write(self, value: Mapping[str, Any]) -> str:
        """``value`` in TOML."""
        pairs = ", ".join(f"{key} = {self.item.write(one)}" for key, one in value.items())
        return f"{{ {pairs} }}" if pairs else "{}"

    def schema(self) -> Schema:
        """The JSON schema."""
        found: Schema = {"type": "object", "additionalProperties": self.item.schema()}
        if self.setting.key_pattern:
            found["propertyNames"] = {"pattern": f"^(?:{self.setting.key_pattern})$"}
        return found | ({"minProperties": 1} if self.setting.is_filled else {})

    def __str__(self) -> str:
        return f"a table; each value is {self.item}"


NAME_HINT = "names have small letters, digits, - and _, and begin with a letter"
