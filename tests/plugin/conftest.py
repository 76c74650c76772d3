"""Projects for the tests of the plugin: deployed once, then copied."""

from pathlib import Path

import pytest

from tests.plugin import plugin_project
from tests.plugin.plugin_project import Project


@pytest.fixture(scope="session")
def baseline(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project that was deployed once; never changed."""
    return plugin_project.make(tmp_path_factory.mktemp("baseline"))


@pytest.fixture
def project(baseline: Project, tmp_path: Path) -> Project:
    """A project whose first version serves and whose second one waits to be deployed."""
    return plugin_project.copy(baseline, tmp_path / "project")


@pytest.fixture
def before(project: Project) -> str:
    """The revision that serves before the test acts."""
    return project.serving()
