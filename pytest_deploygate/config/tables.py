"""Reads tables whose keys are the fields of a type, from the type's annotations (``core/setting.py``, ADR 23)."""

import dataclasses
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from enum import Enum
from fractions import Fraction
from functools import cache
from types import NoneType
from typing import Any, Literal, NamedTuple, get_args, get_origin, get_type_hints

from pytest_deploygate.config.kinds import (
    INVALID,
    Choice,
    Flag,
    Kind,
    ListOf,
    Number,
    Schema,
    SettingFaults,
    TableOf,
    Text,
    Toml,
    as_toml,
    example_hint,
)
from pytest_deploygate.core.setting import Place, Setting

REQUIRED = object()
"""Marks a setting without a default."""


class Field(NamedTuple):
    """One setting of a table. ``owner`` is the type that declares it."""

    name: str
    key: str
    kind: Kind
    setting: Setting
    owner: type
    default: object


class _Member(NamedTuple):
    """A field of a type, whether it is a setting or not."""

    name: str
    hint: Any
    mark: Setting | Place | None
    default: object


@cache
def _members(owner: type) -> tuple[_Member, ...]:
    defaults = dict(_defaults_of(owner))
    return tuple(
        _Member(name, *_annotation_of(hint), defaults.get(name, REQUIRED))
        for name, hint in get_type_hints(owner, include_extras=True).items()
    )


def _annotation_of(hint: Any) -> tuple[Any, Setting | Place | None]:
    marks = [m for m in getattr(hint, "__metadata__", ()) if isinstance(m, Setting | Place)]
    return (get_args(hint)[0], marks[0]) if marks else (hint, None)


def _defaults_of(owner: type) -> Iterator[tuple[str, object]]:
    if dataclasses.is_dataclass(owner):
        missing = dataclasses.MISSING
        yield from (
            (f.name, f.default) for f in dataclasses.fields(owner) if f.default is not missing
        )
    else:
        yield from getattr(owner, "_field_defaults").items()  # noqa: B009  # of a named tuple


@cache
def fields_of(owner: type) -> tuple[Field, ...]:
    """The settings of ``owner`` in the order of its fields, including those of inline values."""
    return tuple(_fields(owner))


def _fields(owner: type) -> Iterator[Field]:
    for member in _members(owner):
        if member.mark is Place.INLINE:
            yield from fields_of(member.hint)
        elif isinstance(member.mark, Setting):
            key = member.mark.key or member.name.replace("_", "-")
            setting = member.mark._replace(key=key)
            kind = _kind_of(member.hint, setting, member.default)
            yield Field(member.name, key, kind, setting, owner, member.default)


def values_in(value: Any) -> Iterator[tuple[Field, object]]:
    """Every setting of ``value`` with its value, including those of inline values."""
    owner: type = type(value)
    for member in _members(owner):
        own = getattr(value, member.name)
        if member.mark is Place.INLINE:
            yield from values_in(own)
        elif isinstance(member.mark, Setting):
            yield field_of(owner, member.name), own


def field_of(owner: type, name: str) -> Field:
    """The setting of the field ``name`` of ``owner``."""
    return next(field for field in fields_of(owner) if field.name == name)


def _kind_of(hint: Any, setting: Setting, default: object = REQUIRED) -> Kind:
    """The kind of setting for the type ``hint``."""
    origin, arguments = get_origin(hint), get_args(hint)
    if setting.choices:
        return Choice(setting, setting.choices)
    if origin is Literal:
        return Choice(setting, {word: word for word in arguments})
    if origin is tuple:
        return ListOf(setting, _kind_of(arguments[0], setting))
    if setting.fields_of is not None and arguments == (str, object):
        return TableWith(setting, setting.fields_of, is_partial=True)
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return TableOf(setting, _kind_of(arguments[1], setting._replace(key_pattern="")))
    if setting.parse is not None or hint is str:
        return Text(setting)
    if NoneType in arguments:
        return _kind_of(arguments[0], setting)
    if hint is bool:
        return Flag(setting)
    if hint in (int, Fraction):
        return Number(setting, is_whole=hint is int)
    if issubclass(hint, Enum):
        return Choice(setting, {str(member.value): member for member in hint})
    return TableWith(setting, hint, default=None if default is REQUIRED else default)


class TableWith(NamedTuple):
    """A table whose keys are the settings of ``owner``.

    Another table completes a partial one, so reading it returns only its keys. ``default`` gives the values of missing
    keys.
    """

    setting: Setting
    owner: type
    is_partial: bool = False
    default: object = None

    def read(self, value: Toml, where: str, faults: SettingFaults) -> object:
        """An ``owner``, or the keys of a partial table."""
        plain = ""
        if self.setting.plain and not isinstance(value, dict):
            plain = field_of(self.owner, self.setting.plain).key
            value = {plain: value}
        if not isinstance(value, dict):
            return faults.note(where, f"{as_toml(value)} is not {self}", example_hint(self.setting))
        known = {field.key: field for field in fields_of(self.owner)}
        found: dict[str, object] = {}
        for key, one in value.items():
            if key in known:
                path = where if key == plain else f"{where}.{key}"
                found[key] = known[key].kind.read(one, path, faults)
            else:
                faults.note(f"{where}.{key}", "unknown key", _unknown_hint(key, list(known)))
        return found if self.is_partial else self.make(found, where, faults)

    def make(self, found: Mapping[str, object], where: str, faults: SettingFaults) -> Any:
        """Create the value from the keys that were read."""
        for group in _groups(self.owner):
            if not any(field.key in found for field in group):
                keys = " and ".join(field.key for field in group)
                examples = ", ".join(f"{f.key} = {f.setting.example}" for f in group)
                faults.note(where, f"the keys {keys} are missing", f"add one: {examples}")
        values = {
            member.name: value
            for member in _members(self.owner)
            if (value := self._value(member, found, where, faults)) is not REQUIRED
        }
        is_whole = not any(value is INVALID for value in values.values())
        return self.owner(**values) if is_whole else INVALID

    def _value(
        self, member: _Member, found: Mapping[str, object], where: str, faults: SettingFaults
    ) -> object:
        """Value of a member; REQUIRED if the type's own default applies."""
        if member.mark is Place.NAME:
            return where.rpartition(".")[2]
        if member.mark is Place.INLINE:
            return TableWith(self.setting, member.hint).make(found, where, faults)
        if not isinstance(member.mark, Setting):
            return REQUIRED
        field = field_of(self.owner, member.name)
        if field.key in found:
            return found[field.key]
        if self.default is not None:
            return getattr(self.default, member.name)
        if member.default is not REQUIRED:
            return REQUIRED
        if field.setting.unless in found:
            return ""
        return faults.note_missing(where, field.setting)

    def write(self, value: object) -> str:
        """The settings of ``value`` that differ from their defaults, in TOML."""
        plain = self.setting.plain
        if plain and value == self.owner(**{plain: getattr(value, plain)}):
            return field_of(self.owner, plain).kind.write(getattr(value, plain))
        pairs = [
            f"{field.key} = {field.kind.write(one)}"
            for field in fields_of(self.owner)
            if (one := getattr(value, field.name)) != field.default
        ]
        return f"{{ {', '.join(pairs)} }}" if pairs else "{}"

    def schema(self) -> Schema:
        """JSON schema of all keys; a key that another table may have is not required."""
        fields = fields_of(self.owner)
        found: Schema = {
            "type": "object",
            "additionalProperties": False,
            "properties": {field.key: _schema_of(field) for field in fields},
        }
        required = [
            field.key
            for field in fields
            if field.default is REQUIRED and not field.setting.or_in and self.default is None
        ]
        found |= {"required": required} if required else {}
        if self.setting.plain:
            return {"anyOf": [field_of(self.owner, self.setting.plain).kind.schema(), found]}
        groups = [[{"required": [f.key]} for f in group] for group in _groups(self.owner)]
        return found | ({"anyOf": groups[0]} if groups else {})

    def __str__(self) -> str:
        if self.setting.plain:
            return f"{field_of(self.owner, self.setting.plain).kind} or a table"
        return "a table"


def _groups(owner: type) -> list[list[Field]]:
    """Settings of which at least one is needed."""
    groups: dict[str, list[Field]] = {}
    for field in fields_of(owner):
        if field.setting.group:
            groups.setdefault(field.setting.group, []).append(field)
    return list(groups.values())


def _unknown_hint(key: str, known: list[str]) -> str:
    near = get_close_matches(key, known, n=1)
    return f"did you mean {near[0]}?" if near else f"keys are: {', '.join(known)}"


def _schema_of(field: Field) -> Schema:
    """Schema of a key, with its help for editors."""
    return {"description": field.setting.help, **field.kind.schema()}
