"""Projects for the tests of the plugin: deployed once, then copied."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from pytest_deploygate.testing import DeploygateProject
from tests.plugin.plugin_project import ENVIRONMENT, copy_project, make_baseline


@pytest.fixture(scope="session")
def baseline(tmp_path_factory: pytest.TempPathFactory) -> DeploygateProject:
    """A project that was deployed once; never changed."""
    return make_baseline(tmp_path_factory.mktemp("baseline") / "project")


@pytest.fixture
def project(baseline: DeploygateProject, tmp_path: Path) -> Iterator[DeploygateProject]:
    """A project whose first version serves and whose second one waits to be deployed; afterwards nothing is open."""
    project = copy_project(baseline, tmp_path / "project")
    try:
        yield project
        with project.store() as store:
            assert store.lease(ENVIRONMENT) is None, "the lease was not given back"
            assert store.open_rollouts(ENVIRONMENT) == ()
    finally:
        project.close()


@pytest.fixture
def before(project: DeploygateProject) -> str:
    """The revision that serves before the test acts."""
    return project.serving
