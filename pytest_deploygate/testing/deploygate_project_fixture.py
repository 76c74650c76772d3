"""The fixture for tests of gates, hooks and targets."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from pytest_deploygate.testing.project_factory import ProjectFactory


@pytest.fixture
def deploygate_project(tmp_path: Path) -> Iterator[ProjectFactory]:
    """Makes small projects that real sessions deploy: ``deploygate_project(files, environment="fake")``."""
    factory = ProjectFactory(tmp_path)
    try:
        yield factory
    finally:
        factory.close()
