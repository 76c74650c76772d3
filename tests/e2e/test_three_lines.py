"""A start or a build that fails is told in three lines, once: the exception, the user's own line, where the rest is."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from pytest_deploygate.testing import LOCAL, DeploygateProject, ProjectFactory

pytestmark = pytest.mark.e2e
STARTS_NOT = """
import os

SETTING = os.environ["NOT_SET"]


def hello(request):
    return SETTING
"""


@pytest.fixture
def project(tmp_path: Path) -> Iterator[DeploygateProject]:
    factory = ProjectFactory(tmp_path)
    yield factory({"function/main.py": STARTS_NOT}, environment=LOCAL)
    factory.close()


def test_function_that_does_not_start(project: DeploygateProject) -> None:
    run = project.deploy()
    assert run.status == 1, run.output
    lines = run.out.splitlines()
    place = next(n for n, line in enumerate(lines) if line.startswith("ROLL_BACK: "))
    assert lines[place] == (
        "ROLL_BACK: the new revision did not start: KeyError: 'NOT_SET' (main.py:3)"
    )
    assert lines[place + 1] == '  main.py:3: SETTING = os.environ["NOT_SET"]'
    assert " emulator logs " in lines[place + 2]
    assert "Traceback" not in run.output
    assert "what served before still does" not in run.output  # nothing did
    revision = lines[place + 2].split()[-1]
    assert "Traceback" in project.deploygate("emulator", "logs", revision).out


def test_gate_that_saw_5xx_names_the_log(project: DeploygateProject) -> None:
    project.write(
        {
            "function/main.py": """\
def hello(request):
    raise KeyError('rows')
""",
            "gates/cand/test_cand.py": """
                import pytest

                @pytest.mark.parametrize("document", ["CS003837319", "other"])
                def test_rows_begin_in_column_a(candidate, document):
                    assert candidate.get(params={"document": document}).status == 200
            """,
        }
    )
    project.edit("pyproject.toml", 'asks = "nothing"', 'asks = "clients"')
    run = project.deploy()
    assert run.status == 1, run.output
    reason = (
        "gate cand failed: 0/2 checks passed, it needs 1; "
        "first: rows begin in column a (CS003837319), rows begin in column a (other)"
    )
    assert f"ROLL_BACK: {reason}" in run.out
    [told] = [line for line in run.out.splitlines() if " answered 5xx " in line]
    revision = told.split()[0]
    assert (
        told == f"  {revision} answered 5xx 2 times; its log: deploygate emulator logs {revision}"
    )
    assert "KeyError: 'rows'" in project.deploygate("emulator", "logs", revision).out


SAYS_HELLO = {
    "function/main.py": """\
def hello(request):
    return 'hello'
""",
    "gates/cand/test_cand.py": """\
def test_it(candidate):
    assert candidate.get().text == 'hello'
""",
}


def test_closed_service_says_how_to_call_it(project: DeploygateProject) -> None:
    project.write(SAYS_HELLO)
    project.edit("pyproject.toml", "public = true", "public = false")
    run = project.deploy()
    assert run.status == 0, run.output
    [told] = [line for line in run.out.splitlines() if line.startswith("call it: ")]
    command = told.removeprefix("call it: ").partition("   ")[0]
    assert 'curl -H "Authorization: Bearer ' in command
    called = subprocess.run(
        ["bash", "-c", f"{command} -s"], capture_output=True, text=True, check=True
    )
    assert called.stdout == "hello"


@pytest.mark.full
def test_no_command_of_gcloud_is_told_where_it_cannot_work(project: DeploygateProject) -> None:
    project.write(SAYS_HELLO)
    project.edit("pyproject.toml", "public = true", "public = false")
    first = project.deploy()
    assert first.status == 0, first.output
    project.edit("pyproject.toml", "public = false", "public = true")
    project.change_function("v2")
    for run in (
        project.deploygate("plan", LOCAL),
        project.pytest("--deploy-to=local", "--deploy-plan"),
        project.deploy(),
    ):
        assert run.status == 0, run.output
        assert "the settings say that hello is public" in run.output
        assert "gcloud" not in run.output
