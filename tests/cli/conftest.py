"""Projects with a history, built once and copied for each test."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.cli_project import CliProject


@pytest.fixture(scope="session")
def _released(tmp_path_factory: pytest.TempPathFactory) -> CliProject:
    project = CliProject.build(tmp_path_factory.mktemp("released") / "project")
    for source in ("v1", "v2"):
        done = project.release(source)
        assert done.status == 0, done.output
    return project


@pytest.fixture
def new(tmp_path: Path) -> Iterator[CliProject]:
    """A project in which nothing was deployed."""
    project = CliProject.build(tmp_path / "project")
    yield project
    project.close()


@pytest.fixture
def project(_released: CliProject, tmp_path: Path) -> Iterator[CliProject]:
    """A project with two releases: svc-00001 and, serving, svc-00002."""
    project = _released.copy(tmp_path / "project")
    yield project
    project.close()
