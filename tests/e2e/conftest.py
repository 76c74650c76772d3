"""Projects of the end-to-end tests; all share the environments that the emulators build."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from pytest_deploygate.emulator.emulator_settings import BUILD_CACHE_VARIABLE
from pytest_deploygate.testing.sessions import preload
from tests.contract.conftest import postgresql_server  # noqa: F401  # a fixture
from tests.e2e.checkout import Checkout, copy_repository
from tests.e2e.disturbed_project import HOLDING, DisturbedProject
from tests.e2e.greeting_project import small_project

preload("google.cloud.functions_v2", "google.cloud.run_v2", "psycopg")


@pytest.fixture(scope="session")
def build_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One directory of built environments; that of the caller if there is one."""
    found = os.environ.get(BUILD_CACHE_VARIABLE)
    return Path(found) if found else tmp_path_factory.mktemp("builds")


@pytest.fixture
def fresh(tmp_path: Path, build_cache: Path) -> Iterator[Checkout]:
    """A checkout in which nothing was ever deployed."""
    root = tmp_path / "checkout"
    copy_repository(root)
    project = Checkout(root=root, variables={BUILD_CACHE_VARIABLE: str(build_cache)})
    try:
        yield project
    finally:
        project.close()


@pytest.fixture
def deployed(fresh: Checkout) -> Checkout:
    """A checkout whose function was deployed once."""
    run = fresh.deploy("-q")
    assert run.status == 0, run.output
    return fresh


@pytest.fixture
def invoice(fresh: Checkout) -> Path:
    """A test invoice."""
    return fresh.root / "test_invoices" / "creative_coop_CS003837319.pdf"


@pytest.fixture(scope="module")
def disturbed(
    tmp_path_factory: pytest.TempPathFactory, build_cache: Path, request: pytest.FixtureRequest
) -> Iterator[DisturbedProject]:
    """A small project on which sessions are disturbed; nothing is deployed. The target may be a parameter."""
    folder = tmp_path_factory.mktemp("disturbed")
    emulates = getattr(request, "param", "google")
    project = small_project(folder / "checkout", build_cache, emulates=emulates)
    made = DisturbedProject(project=project, folder=folder)
    for gate in ("source", "greeting", "alive"):
        check = made.project.root / "checks" / gate / f"test_holding_{gate}.py"
        check.write_text(HOLDING, encoding="utf-8")
    try:
        assert made.command("local", "up") == 0, made.output
        yield made
    finally:
        made.project.close()


@pytest.fixture(scope="module")
def served(disturbed: DisturbedProject) -> DisturbedProject:
    """The same with a release that serves."""
    assert disturbed.deploy() == 0, disturbed.output
    return disturbed
