"""Breaches of a schema are told in one short line each."""

from pathlib import Path

import pytest

from pytest_deploygate.checks.contract import load_schema, violations
from pytest_deploygate.checks.endpoint import Json
from pytest_deploygate.core.errors import ConfigError

SCHEMA: dict[str, Json] = {
    "type": "object",
    "required": ["error", "items"],
    "additionalProperties": False,
    "properties": {
        "error": {"type": "string", "pattern": "^[A-Z]"},
        "when": {"type": "string", "format": "date"},
        "kind": {"enum": ["a", "b"]},
        "items": {
            "type": "array",
            "items": {"type": "object", "properties": {"price": {"type": ["number", "null"]}}},
        },
    },
}


def test_document_that_holds_has_no_violations() -> None:
    assert violations({"error": "No", "items": [{"price": 1.5}, {"price": None}]}, SCHEMA) == ()


@pytest.mark.parametrize(
    ("document", "told"),
    [
        ({"items": []}, "(whole): lacks error"),
        ({"error": "No", "items": [], "text": 1}, "(whole): has text, which the contract does not know"),
        ({"error": 5, "items": []}, "error: 5 is not of type string"),
        ({"error": "no", "items": []}, "error: 'no' does not look like ^[A-Z]"),
        ({"error": "No", "items": [{}, {"price": "1"}]}, "items[1].price: '1' is not of type number or null"),
        ({"error": "No", "items": [], "kind": "c"}, "kind: 'c' is not ['a', 'b']"),
        ({"error": "No", "items": [], "when": "1/17/2025"}, "when: '1/17/2025' is not a 'date'"),
        (None, "(whole): None is not of type object"),
        ([], "(whole): [] is not of type object"),
    ],
)  # fmt: skip
def test_violation_names_place_and_fault(document: Json, told: str) -> None:
    assert [str(v) for v in violations(document, SCHEMA)] == [told]


def test_long_values_are_cut_and_many_violations_end() -> None:
    (one,) = violations({"error": ["x" * 500], "items": []}, SCHEMA)
    assert len(str(one)) < 140
    rows: list[Json] = [{"price": "x"}] * 40
    assert len(violations({"error": "No", "items": rows}, SCHEMA)) == 10


def test_schema_file_is_read_and_checked(tmp_path: Path) -> None:
    path = tmp_path / "schema.json"
    path.write_text('{"type": "object", "required": ["a"]}', encoding="utf-8")
    assert [str(v) for v in violations({}, load_schema(path))] == ["(whole): lacks a"]
    for broken in ("{", '{"type": "objekt"}', "true"):
        path.write_text(broken, encoding="utf-8")
        with pytest.raises(ConfigError):
            load_schema(path)
    with pytest.raises(ConfigError):
        load_schema(tmp_path / "none.json")
