"""The project of these tests: an honest check in each gate, and one in the candidate gate that tests may replace."""

from pathlib import Path

from pytest_deploygate.core.identifiers import EnvironmentName
from pytest_deploygate.testing import FAKE, DeploygateProject, ProjectFactory
from pytest_deploygate.testing import project_factory as factory
from tests.session_options import LEAN

REPOSITORY = Path(__file__).parents[2]
ENVIRONMENT = EnvironmentName(FAKE)
SOURCE = "function/main.py"
SUBJECT = "gates/cand/test_subject.py"
SETTINGS = (
    factory.SETTINGS.format(environment=FAKE, target=factory.TARGETS[FAKE])
    + """
[tool.deploygate.phases]
candidate = { threshold = 0.75, budget-s = 60 }
"""
)
VARIABLES = {"PYTHONPATH": str(REPOSITORY), "NO_COLOR": "1"}
HONEST = """
    def test_honest():
        assert True
"""
CHECK = """
    def test_subject():
        assert True
"""
FILES = {
    "pyproject.toml": SETTINGS,
    SOURCE: "v1",
    "gates/ready/test_ready.py": HONEST,
    "gates/cand/test_cand.py": "",
    "gates/cand/test_honest.py": HONEST,
    SUBJECT: CHECK,
    "gates/live/test_live.py": HONEST,
}


def make_baseline(root: Path) -> DeploygateProject:
    """A new project whose first version was promoted."""
    project = ProjectFactory(root.parent)(FILES, name=root.name)
    project.variables |= VARIABLES
    project.options = LEAN
    run = project.deploy()
    assert run.status == 0, run.output
    return project


def copy_project(baseline: DeploygateProject, root: Path) -> DeploygateProject:
    """The same project with a second version that waits to be deployed."""
    project = baseline.copy(root)
    project.write({SOURCE: "v2"})
    return project


def session_variables(**more: str) -> dict[str, str]:
    """Environment variables of a session of such a project."""
    return DeploygateProject(root=REPOSITORY, variables=dict(VARIABLES)).all_variables(**more)
