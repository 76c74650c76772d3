"""Projects of the end-to-end tests; all share the environments that the local clouds build."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from pytest_deploygate.emulator.settings import BUILD_CACHE_VARIABLE
from tests.e2e.project import Project, copy_repository


@pytest.fixture(scope="session")
def build_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One directory of built environments; that of the caller if there is one."""
    found = os.environ.get(BUILD_CACHE_VARIABLE)
    return Path(found) if found else tmp_path_factory.mktemp("builds")


@pytest.fixture
def fresh(tmp_path: Path, build_cache: Path) -> Iterator[Project]:
    """A checkout in which nothing was ever deployed."""
    root = tmp_path / "checkout"
    copy_repository(root)
    project = Project(root=root, environment={BUILD_CACHE_VARIABLE: str(build_cache)})
    try:
        yield project
    finally:
        project.close()


@pytest.fixture
def deployed(fresh: Project) -> Project:
    """A checkout whose function was deployed once."""
    run = fresh.deploy("-q")
    assert run.status == 0, run.output
    return fresh


@pytest.fixture
def invoice(fresh: Project) -> Path:
    """A test invoice."""
    return fresh.root / "test_invoices" / "creative_coop_CS003837319.pdf"
