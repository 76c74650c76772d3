"""For the tests of whoever writes gates, hooks or targets: ``pytest_plugins = ["pytest_deploygate.testing"]``.

Offers one fixture, ``deploygate_project``. Nothing of the plugin itself needs this package.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from pytest_deploygate.testing.project import FAKE, LOCAL, DeploygateProject
from pytest_deploygate.testing.project_factory import ProjectFactory
from pytest_deploygate.testing.session_outcome import JUnitCase, JUnitFile, SessionOutcome
from pytest_deploygate.testing.sessions import ForkedSession

__all__ = [
    "FAKE",
    "LOCAL",
    "DeploygateProject",
    "ForkedSession",
    "JUnitCase",
    "JUnitFile",
    "ProjectFactory",
    "SessionOutcome",
    "deploygate_project",
]


@pytest.fixture
def deploygate_project(tmp_path: Path) -> Iterator[ProjectFactory]:
    """Makes small projects that real sessions deploy: ``deploygate_project(files, environment="fake")``."""
    factory = ProjectFactory(tmp_path)
    try:
        yield factory
    finally:
        factory.close()
