"""Each setting is declared once: everything generated from the declarations agrees (ADR 23)."""

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from pytest_deploygate.config import json_schema, reference_page
from pytest_deploygate.config.__main__ import REFERENCE, write_files
from pytest_deploygate.config.__main__ import SCHEMA as SCHEMA_FILE
from pytest_deploygate.config.reference_page import own_fields, tables
from pytest_deploygate.config.settings import load
from pytest_deploygate.config.tables import Field, fields_of
from pytest_deploygate.core.errors import ConfigError
from tests.core.test_config import GOOD, WRONG, written

REPOSITORY = Path(__file__).parents[2]
SCHEMA = Draft202012Validator(json.loads(json_schema.schema_text()))
SETTINGS = [(paths[0], field) for owner, paths in tables().items() for field in fields_of(owner)]


BESIDE: dict[str, dict[str, Any]] = {
    "baseline": {"steps": [{"percent": 5, "for": "10m"}, 100]},
    "verify-variants": {"verify-environment": {"SHEET_ID": "test"}},
}
"""What a key cannot be without, in the same table."""


_MEASURED = {"metric": "price_accuracy", "worse-by": "x2"}
OBJECTIVES = {
    "quantile": {"metric": "processing_time_s", "worse-by": "x2"},
    "better": _MEASURED,
    "up-to": _MEASURED,
}
"""What an objective must be for a key to belong there."""


def is_in_schema(text: str) -> bool:
    document = tomllib.loads(text)
    return bool(SCHEMA.is_valid(document.get("tool", {}).get("deploygate")))


def set_target(field: Field, path: list[str], environments: dict[str, Any]) -> None:
    """Deploy to Cloud Run where the key is of that target alone."""
    for environment in environments.values():
        if field.setting.only_for or "startup-probe" in path:
            environment["emulates" if environment["target"] == "local" else "target"] = "cloud-run"


def with_example(table: str, field: Field) -> str:
    """Settings with the key as in its example."""
    path = ["n" if part == "NAME" else part for part in table.split(".")[1:]]
    document: dict[str, Any] = tomllib.loads(GOOD)["tool"]["deploygate"]
    document["function"] |= {"project": "some-project", "region": "us-central1"}
    if path[:1] == ["environments"]:
        document["environments"]["n"] = {"target": "local"}
    if path[:1] == ["notify"]:
        document["notify"] = {"n": {"url": "env:CHAT"}}
    if "gates" in path:
        document["gates"]["n"] = {"phase": "live", "marker": "m"}
    if path[:1] == ["triggers"]:
        document["triggers"] = {"n": {"fires-when": ["a < 1"], "severity": "low"}}
    if field.key == "gates" and path:
        document["gates"]["performance"] = {"phase": "live", "marker": "p"}
    set_target(field, path, document["environments"])
    if field.key in {"steps", "baseline"} or path[:1] == ["objectives"] or path[-1:] == ["steps"]:
        document["objectives"] = {"n": {"metric": "error_rate", "worse-by": "1pp"}}
    if field.key in OBJECTIVES:
        document["objectives"]["n"] = OBJECTIVES[field.key]
        document["gates"]["at"] = {"phase": "step", "marker": "at"}
    if path[-1:] == ["steps"]:
        step = {"percent": 5, "for": "10m"} | tomllib.loads(
            f"{field.key} = {field.setting.example}"
        )
        last = {"percent": 100, "watch": "15m"} if field.key == "watch" else 100
        document["environments"]["n"]["steps"] = [
            {k: v for k, v in step.items() if k != "watch"},
            last,
        ]
        document["triggers"] = {"n": {"fires-when": ["a < 1"], "severity": "low"}}
        path = []
    place = document
    for part in path:
        place = place.setdefault(part, {})
    place |= BESIDE.get(field.key, {})
    if path or not table.endswith(".steps"):
        place[field.key] = tomllib.loads(f"x = {field.setting.example}")["x"]
    if field.key == "default-environment":
        document["environments"]["production"] = {"target": "local"}
    return "".join(
        f"tool.deploygate.{json.dumps(key)} = {inline(one)}\n" for key, one in document.items()
    )


def inline(value: object) -> str:
    """``value`` in one line of TOML."""
    if isinstance(value, dict):
        return (
            f"{{ {', '.join(f'{json.dumps(key)} = {inline(one)}' for key, one in value.items())} }}"
        )
    if isinstance(value, list):
        return f"[{', '.join(map(inline, value))}]"
    return json.dumps(value, ensure_ascii=False)


@pytest.mark.parametrize(
    ("table", "field"), SETTINGS, ids=[f"{table}.{field.key}" for table, field in SETTINGS]
)
def test_setting_has_help_and_an_example_that_is_right(
    tmp_path: Path, table: str, field: Field
) -> None:
    assert field.setting.help
    text = with_example(table, field)
    settings = load(written(tmp_path, text))
    assert settings.environments, text
    assert is_in_schema(text), text


@pytest.mark.parametrize("text", [text for text, _ in WRONG.values()], ids=WRONG)
def test_editors_accept_nothing_that_has_a_wrong_form(tmp_path: Path, text: str) -> None:
    """The schema does not cover contradictions between settings, or rules that need a parser."""
    with pytest.raises(ConfigError) as caught:
        load(written(tmp_path, text))
    beyond = (
        "not an environment",
        "already belongs",
        "are less than the",
        "of which it could be a variant",
        "the value that production has",
        "of verify-environment and no others",
        "does not have",  # of another target
        "must ascend",
        "freeze window",
        "not valid TOML",
        "nan is not",
        "inf is not",
    )
    told = f"{caught.value}\n{caught.value.hint}"  # of several errors each has its hint in the list
    if "to [tool.deploygate.function]" in told or any(b in told for b in beyond):
        return
    assert not is_in_schema(text)


def test_settings_of_this_repository_are_in_the_schema() -> None:
    assert is_in_schema((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))


@pytest.mark.parametrize("path", [SCHEMA_FILE, REFERENCE], ids=str)
def test_file_made_from_the_declarations_is_current(tmp_path: Path, path: Path) -> None:
    write_files(tmp_path)
    made, kept = tmp_path / path, REPOSITORY / path
    assert kept.read_text(encoding="utf-8") == made.read_text(encoding="utf-8"), (
        "run: python -m pytest_deploygate.config"
    )


def test_reference_has_every_setting_with_what_holds_where_it_is_not_written() -> None:
    sections = reference_page.page().split("\n## ")[1:]
    for (owner, paths), section in zip(tables().items(), sections, strict=True):
        assert section.startswith(f"`[tool.deploygate{paths[0]}]`")
        for field in own_fields(owner):
            assert f"\n| `{field.key}` | " in section
    of_function = next(
        section for section in sections if section.startswith("`[tool.deploygate.function]`")
    )
    assert "| `timeout-s` | how long a request may take | " in of_function
    assert "| a whole number of seconds from 1 to 3600 | `60` | `540` |" in of_function
