"""What the clients of checks can do is found where a user of pytest looks for it."""

import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest

from pytest_deploygate.checks.probe import Answer

SETTINGS = """
[tool.deploygate.gates.health]
phase = "candidate"
paths = ["gates"]

[tool.deploygate.environments.local]
target = "local"
function = "hello"
entry-point = "hello"
runtime = "python312"
source = "function"
"""


@pytest.fixture(scope="module")
def listed(tmp_path_factory: pytest.TempPathFactory) -> str:
    """What ``pytest --fixtures -v`` says in a project that has settings."""
    folder: Path = tmp_path_factory.mktemp("project")
    (folder / "pyproject.toml").write_text(SETTINGS)
    command = [sys.executable, "-m", "pytest", "--fixtures", "-v", "-p", "no:cacheprovider"]
    return subprocess.run(
        command, cwd=folder, capture_output=True, text=True, timeout=60, check=False
    ).stdout


@pytest.mark.parametrize("name", ["candidate", "verification", "live", "deployment", "measure"])
def test_fixture_is_listed_with_what_it_is(listed: str, name: str) -> None:
    head, _, text = listed.partition(f"\n{name}")
    assert text, head[-500:]
    assert "no docstring available" not in text.partition("\n\n")[0]


@pytest.mark.parametrize("argument", ["data", "json", "params", "files", "headers"])
def test_arguments_of_a_request_are_listed(listed: str, argument: str) -> None:
    assert f"``{argument}``" in listed


@pytest.mark.parametrize("name", [field.name for field in fields(Answer)])
def test_every_field_of_an_answer_is_listed(listed: str, name: str) -> None:
    assert f"``{name}``" in listed
