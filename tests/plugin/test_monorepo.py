"""In a repository of several projects, pytest and ``deploygate`` mean the nearest settings at or above where one is."""

import json
from pathlib import Path

import pytest

from pytest_deploygate.testing import DeploygateProject


@pytest.fixture
def service(project: DeploygateProject) -> DeploygateProject:
    """A project without settings of pytest of its own, below a folder that has some."""
    settings = project.root / "pyproject.toml"
    text = settings.read_text()
    own, mark, rest = text.partition("[tool.pytest.ini_options]")
    if mark:
        text = own + rest[rest.index("\n[") :]
        settings.write_text(text)
    (project.root.parent / "pytest.ini").write_text("[pytest]\naddopts = --import-mode=importlib\n")
    return project


@pytest.mark.parametrize("folder", [".", "gates"])
def test_project_is_the_nearest_with_settings(service: DeploygateProject, folder: str) -> None:
    here = service.root / folder
    session = service.popen(
        *("bash", "-c", 'cd "$0" && exec python -m pytest "$@"', str(here)),
        *(*service.options, *service.deploy_options()),
    )
    out, err = session.communicate(timeout=180)
    assert session.returncode == 0, out + err
    assert f"deploygate: project: {service.root}; pytest's own root is {service.root.parent}" in out
    assert "PROMOTE: the live phase holds" in out
    shown = service.popen(
        *("bash", "-c", 'cd "$0" && exec python -m pytest_deploygate.cli status --json', str(here))
    )
    told = json.loads(shown.communicate(timeout=60)[0])
    assert told["last_rollout"]["state"] == "PROMOTED"
    assert told["environment"] == service.environment


def test_live_gates_of_the_nearest_project_are_judged(service: DeploygateProject) -> None:
    run = service.pytest("-m", "rollback-checks", "-n0")
    assert run.status == 0, run.output
    assert "KEEP: " in run.out
    assert Path(service.root.parent, ".deploygate").exists() is False


GATE_OF_ANOTHER = """
[tool.deploygate.environments.other]
target = "pytest_deploygate.testing.target_on_disk:make"

[tool.deploygate.gates.other]
phase = "candidate"
paths = ["gates/other"]
environments = ["other"]
"""


def test_gate_of_another_environment_is_not_run(project: DeploygateProject) -> None:
    project.add_settings(GATE_OF_ANOTHER)
    project.write(
        {
            "gates/other/test_other.py": """\
def test_other():
    assert False
"""
        }
    )
    run = project.deploy()
    assert run.status == 0, run.output
    assert not any(case.name == "test_other" for case in run.cases)
    plain = project.pytest("-n0", "-rs", "gates/other")
    assert plain.status == 0, plain.output
    assert "1 skipped" in plain.output
