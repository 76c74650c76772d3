"""Checks answers against JSON Schemas and lists the violations briefly."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import jsonschema
from jsonschema.validators import validator_for

from pytest_deploygate.checks.endpoint import Json
from pytest_deploygate.core.errors import ConfigError

_MOST_VIOLATIONS = 10
_MOST_SHOWN = 80


@dataclass(frozen=True, slots=True)
class Violation:
    """One violation: ``path`` such as ``line_items[3].price`` (``(whole)`` for the document), and what is wrong."""

    path: str
    wrong: str

    def __str__(self) -> str:
        return f"{self.path}: {self.wrong}"


def load_schema(path: Path) -> Mapping[str, Json]:
    """Read a JSON Schema from a file.

    Raises:
        ConfigError: the file cannot be read or contains no valid schema.
    """
    import json

    try:
        schema = json.loads(path.read_text(encoding="utf-8"))
        validator_for(schema).check_schema(schema)
    except (OSError, ValueError, jsonschema.SchemaError) as error:
        raise ConfigError(f"no JSON Schema in {path}: {error}", hint="correct the file") from error
    if not isinstance(schema, dict):
        raise ConfigError(
            f"the schema in {path} allows everything or nothing", hint="name fields in the schema"
        )
    return schema


def violations(document: Json, schema: Mapping[str, Json]) -> tuple[Violation, ...]:
    """Violations of ``schema`` in ``document``, in the order of their paths, at most 10; empty if there are none.

    ``format`` is checked for the formats that need no additional library (date, email, ipv4, ...).
    """
    kind = validator_for(schema)
    errors = kind(schema, format_checker=kind.FORMAT_CHECKER).iter_errors(document)
    found = {Violation(_path(error), _violation_text(error)) for error in map(_deepest, errors)}
    return tuple(sorted(found, key=str)[:_MOST_VIOLATIONS])


def _deepest(error: jsonschema.ValidationError) -> jsonschema.ValidationError:
    """The cause if alternatives (``oneOf``) failed: the error of the best match."""
    best = jsonschema.exceptions.best_match([error])
    return error if best is None else best


def _path(error: jsonschema.ValidationError) -> str:
    steps = [f"[{p}]" if isinstance(p, int) else f".{p}" for p in error.absolute_path]
    return "".join(steps).removeprefix(".") or "(whole)"


def _violation_text(error: jsonschema.ValidationError) -> str:
    rule: object = error.validator_value
    held = error.instance if isinstance(error.instance, dict) else {}
    match error.validator:
        case "required" if isinstance(rule, list):
            return f"lacks {', '.join(name for name in rule if name not in held)}"
        case "additionalProperties" if isinstance(error.schema, Mapping):
            unknown = set(held) - set(error.schema.get("properties", {}))
            return f"has {', '.join(sorted(unknown))}, which the contract does not know"
        case "type":
            return f"{_value_text(error.instance)} is not of type {_type_names(rule)}"
        case "const" | "enum":
            return f"{_value_text(error.instance)} is not {_value_text(rule)}"
        case "pattern":
            return f"{_value_text(error.instance)} does not look like {rule}"
        case _:
            return _shorten(error.message)


def _type_names(types: object) -> str:
    return " or ".join(types) if isinstance(types, list) else str(types)


def _value_text(value: object) -> str:
    return _shorten(repr(value))


def _shorten(text: str) -> str:
    return text if len(text) <= _MOST_SHOWN else text[: _MOST_SHOWN - 1] + "…"
