"""A start or a build that fails is told in three lines, once: the exception, the user's own line, where the rest is."""

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
            "function/main.py": "def hello(request):\n    raise KeyError('rows')\n",
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
