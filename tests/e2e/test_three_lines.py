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
