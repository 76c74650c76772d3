"""Reads ``[tool.deploygate]``, holds it to its JSON Schema, and says what is wrong in the words of the file.

Reading TOML and loading the library that checks it takes longer than most commands. So it is noted which text was
found right last, by this schema, and what it says: the same text is right again.
"""

import contextlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_deploygate.config.toml_access import Table, Toml, as_table
from pytest_deploygate.core.errors import ConfigError

if TYPE_CHECKING:
    from jsonschema.exceptions import ValidationError

_SCHEMA = Path(__file__).with_name("schema.json")


def text_of(path: Path) -> str:
    """The text of the file at ``path``.

    Raises:
        ConfigError: it cannot be read.
    """
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        is_missing = isinstance(error, FileNotFoundError)
        raise ConfigError(
            f"{path}: cannot be read: {error.strerror}",
            hint="run pytest in the directory of a pyproject.toml with a [tool.deploygate] table"
            if is_missing
            else "who runs this must be allowed to read it",
        ) from error


def table_in(path: Path, text: str) -> Table:
    """The table ``[tool.deploygate]`` in ``text`` of the file at ``path``.

    Raises:
        ConfigError: it is not TOML, or has no such table.
    """
    import tomllib
    from decimal import Decimal

    try:
        document = tomllib.loads(text, parse_float=Decimal)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path}: not valid TOML: {error}") from error
    table = document.get("tool", {}).get("deploygate")
    if table is None:
        raise ConfigError(
            f"{path}: there is no [tool.deploygate] table",
            hint="the guide in docs/guide.md starts with a minimal one",
        )
    return as_table(table)


# -- what was found right --------------------------------------------------------------------------


def recalled(note: Path, text: str) -> Table | None:
    """The table in ``text`` if that is what was found right last, else None; numbers with a point are texts in it."""
    try:
        known = json.loads(note.read_bytes())
    except (OSError, ValueError):
        return None
    if not isinstance(known, dict) or known.get("text") != text or known.get("schema") != _schema():
        return None
    table = known.get("table")
    return table if isinstance(table, dict) else None


def remember(note: Path, text: str, table: Table) -> None:
    """Note that ``text`` was found right; where there is no state folder yet, or none that may be written, nothing."""
    known = json.dumps({"text": text, "schema": _schema(), "table": table}, default=str)
    with contextlib.suppress(OSError), open(note, "w", encoding="utf-8", opener=_for_owner) as file:
        file.write(known)


def _for_owner(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _schema() -> str:
    return _SCHEMA.read_text(encoding="utf-8")


# -- checking ------------------------------------------------------------------------------------


def check(path: Path, table: Table) -> None:
    """Return if ``table``, read from the file at ``path``, fits the schema.

    Raises:
        ConfigError: it does not; with a line for each fault.
    """
    from jsonschema import Draft202012Validator

    errors = sorted(
        Draft202012Validator(json.loads(_schema())).iter_errors(table),
        key=lambda error: list(map(str, error.path)),
    )
    lines = [line for error in errors for line in _describe(error)]
    if lines:
        raise ConfigError("\n".join(f"{path}: {line}" for line in lines))


def _value_of(error: "ValidationError") -> Toml:
    """The value that the schema refused."""
    value: Toml = error.instance  # type: ignore[assignment]  # the validator was given nothing but TOML
    return value


def _plain(value: object) -> float | str:
    """Numbers as they were written, and not as texts, in what is said of them."""
    from decimal import Decimal

    return float(value) if isinstance(value, Decimal) else str(value)


def _describe(error: "ValidationError") -> Iterator[str]:
    where = ".".join(["tool.deploygate", *map(str, error.path)])
    value = json.dumps(_value_of(error), default=_plain)
    schema = error.schema if isinstance(error.schema, dict) else {}
    rule = schema.get(str(error.validator))
    match error.validator:
        case "additionalProperties":
            from difflib import get_close_matches

            allowed = list(schema["properties"])
            for key in sorted(set(as_table(_value_of(error))) - set(allowed)):
                near = get_close_matches(key, allowed, n=1)
                meant = f"; did you mean {near[0]}?" if near else ""
                yield f"{where}.{key}: unknown key{meant} (allowed: {', '.join(allowed)})"
        case "required":
            missing = [key for key in schema["required"] if key not in as_table(_value_of(error))]
            yield f"{where}: the key {missing[0]} is missing"
        case "enum":
            yield f"{where}: {value} is not one of {', '.join(map(str, schema['enum']))}"
        case "type":
            yield f"{where}: {value} is not of type {rule}"
        case "minimum" | "exclusiveMinimum" | "maximum":
            yield f"{where}: {value} is out of range ({error.validator} {rule})"
        case "pattern":
            yield f"{where}: {value} does not have the form {rule}"
        case "anyOf":
            yield f"{where}: needs one of the keys: paths, marker"
        case _:
            yield f"{where}: {error.message}"
