"""A plan shows settings as valid TOML."""

import tomllib
from pathlib import Path

from pytest_deploygate.config.display import WrittenSetting, written_settings
from pytest_deploygate.config.setting_changes import find_changes, recorded_settings
from pytest_deploygate.config.settings import load
from tests.core.test_config import FUNCTION, GATES, written

ENVIRONMENT = """[tool.deploygate.environments.e]
target = "google"
project = "some-project"
region = "europe-west1"
memory = "1GiB"
ingress = "internal-only"
on-failure = "report"
secrets = { KEY = "key:3", OTHER = "projects/other-project/secrets/name/versions/latest" }
environment-variables = { LOG_LEVEL = "info" }
steps = [5, 100]
freeze = ["fri 15:00 - mon 07:00 Europe/Berlin", "2026-12-20 - 2027-01-03 Europe/Berlin"]
statistics = { lag-s = 30 }
gates = { g = { skips = "allow" } }
"""


def test_plan_shows_settings_as_they_would_be_written(tmp_path: Path) -> None:
    chosen = load(written(tmp_path, GATES + FUNCTION + ENVIRONMENT)).environment("e")
    shown = {one.key: one for one in written_settings(chosen, tmp_path)}
    own = tomllib.loads(ENVIRONMENT)["tool"]["deploygate"]["environments"]["e"]
    read = {key: tomllib.loads(f"x = {one.value}")["x"] for key, one in shown.items()}
    own["memory"] = "1Gi"
    assert {key: read[key] for key in own} == own
    assert read["source"] == "src"
    assert not any(shown[key].is_default for key in own)


def test_plan_shows_defaults_that_hold_and_nothing_that_says_nothing(tmp_path: Path) -> None:
    chosen = load(written(tmp_path, GATES + FUNCTION + ENVIRONMENT)).environment("e")
    shown = {one.key: one for one in written_settings(chosen, Path("/elsewhere"))}
    assert str(shown["rollout-budget-s"]) == "rollout-budget-s = 600 (default)"
    assert str(shown["timeout-s"]) == "timeout-s = 60 (default)"
    assert shown["public"].value == "false"
    assert not {"port", "labels", "vpc-egress", "rehearsal", "cpu"} & set(shown)
    assert shown["source"].value == f'"{tmp_path / "src"}"'


def setting(key: str, value: str) -> WrittenSetting:
    return WrittenSetting(key, value, is_default=False)


def test_changes_of_settings() -> None:
    before = {"memory": '"1Gi"', "cpu": '"2"', "public": "true", "labels": '{ a = "***" }'}
    written = [
        setting("source", '"elsewhere"'),
        setting("memory", '"2Gi"'),
        setting("public", "true"),
        setting("timeout-s", "9"),
        setting("labels", '{ a = "b" }'),
    ]
    found = find_changes(before, recorded_settings(written))
    told = ['~ memory = "1Gi" -> "2Gi"', "+ timeout-s = 9", '- cpu = "2"']
    assert [str(change) for change in found.changes] == told
    counted = "Plan: settings: 1 to add, 1 to change, 1 to remove, 2 unchanged; the source "
    assert found.count_line(is_source_changed=True) == f"{counted}changes"
    assert found.count_line(is_source_changed=False) == f"{counted}is the same"


def test_change_inside_a_table_shows_its_key_alone() -> None:
    before = {
        "triggers": "{ error-rate = { at-most = 0.05, samples = 20 }, latency = { at-most = 2 } }",
        "labels": '{ a = "***", gone = "x", "my.team" = "blue" }',
    }
    written = [
        setting(
            "triggers",
            "{ error-rate = { at-most = 0.1, samples = 20 }, memory = { at-most = 9 } }",
        ),
        setting("labels", '{ a = "b", "my.team" = "red" }'),
        setting("memory", '"1Gi"'),
    ]
    found = find_changes(before, recorded_settings(written))
    assert [str(change) for change in found.changes] == [
        "~ triggers.error-rate.at-most = 0.05 -> 0.1",
        "+ triggers.memory = { at-most = 9 }",
        "- triggers.latency = { at-most = 2 }",
        '~ labels."my.team" = "blue" -> "red"',
        '- labels.gone = "x"',
        '+ memory = "1Gi"',
    ]
    counted = "2 to add, 2 to change, 2 to remove, 0 unchanged"
    assert counted in found.count_line(is_source_changed=True)


def test_setting_of_a_record_that_is_no_toml_is_shown_as_it_is() -> None:
    (change,) = find_changes({"cpu": "two"}, {"cpu": '"2"'}).changes
    assert (change.old, change.new) == ('"two"', '"2"')
