"""Holds ``[tool.deploygate]`` to its JSON Schema, and says what is wrong in the words of the file.

Loading the library that does so takes longer than most commands. So it is noted which text was found right last, by
this schema; the same text is right again.
"""

import contextlib
import hashlib
import json
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_deploygate.core.errors import ConfigError
from pytest_deploygate.tables import Table, Toml, as_table

if TYPE_CHECKING:
    from jsonschema.exceptions import ValidationError

_SCHEMA = Path(__file__).with_name("config.schema.json")


def check(path: Path, text: str, table: Table, *, known: Path) -> None:
    """Return if ``table``, read from ``text`` of the file at ``path``, fits the schema; ``known`` keeps the note.

    Raises:
        ConfigError: it does not; with a line for each fault.
    """
    schema = _SCHEMA.read_bytes()
    digest = hashlib.sha256(schema + b"\0" + text.encode()).hexdigest()
    with contextlib.suppress(OSError):
        if known.read_bytes() == digest.encode():
            return
    from jsonschema import Draft202012Validator

    errors = sorted(
        Draft202012Validator(json.loads(schema)).iter_errors(table),
        key=lambda error: list(map(str, error.path)),
    )
    lines = [line for error in errors for line in _describe(error)]
    if lines:
        raise ConfigError("\n".join(f"{path}: {line}" for line in lines))
    with contextlib.suppress(
        OSError
    ):  # where there is no state yet, or where it may not be written
        known.write_text(digest, encoding="ascii")


def _value_of(error: "ValidationError") -> Toml:
    """The value that the schema refused."""
    value: Toml = error.instance  # type: ignore[assignment]  # the validator was given nothing but TOML
    return value


def _plain(value: object) -> float | str:
    """Numbers as they were written, and not as texts, in what is said of them."""
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
