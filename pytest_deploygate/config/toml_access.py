"""Reads values of a TOML document whose types the schema has checked already."""

from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from decimal import Decimal

Toml: TypeAlias = "str | int | bool | Decimal | list[Toml] | dict[str, Toml]"
Table: TypeAlias = dict[str, "Toml"]


def as_table(value: Toml) -> Table:
    """The value, a table."""
    assert isinstance(value, dict)
    return value


def table_of(table: Table, key: str) -> Table:
    """The table under ``key``; empty if there is none."""
    return as_table(table.get(key, {}))


def list_of(value: "Toml | None") -> list[Toml]:
    """The value, a list; empty if there is none."""
    if value is None:
        return []
    assert isinstance(value, list)
    return value


def texts_of(table: Table, key: str) -> dict[str, str]:
    """Texts by name under ``key``."""
    return {k: str(v) for k, v in table_of(table, key).items()}


def integer(value: "Toml | None", default: int) -> int:
    """The value as a whole number."""
    return default if value is None else int(str(value))


def optional_integer(value: "Toml | None") -> int | None:
    """The value as a whole number, or None if there is none."""
    return None if value is None else int(str(value))
