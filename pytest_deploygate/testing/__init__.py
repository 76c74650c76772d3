"""For the tests of whoever writes gates, hooks or targets: ``pytest_plugins = ["pytest_deploygate.testing"]``.

Offers one fixture, ``deploygate_project``. Nothing of the plugin itself needs this package. The target that is kept in
a file belongs to it, too, and is loaded by each process that decides: what runs sessions is imported when it is used.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pytest_deploygate.testing.deploygate_project_fixture import deploygate_project
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
_MODULES = {
    "FAKE": "project",
    "LOCAL": "project",
    "DeploygateProject": "project",
    "ForkedSession": "sessions",
    "JUnitCase": "session_outcome",
    "JUnitFile": "session_outcome",
    "ProjectFactory": "project_factory",
    "SessionOutcome": "session_outcome",
    "deploygate_project": "deploygate_project_fixture",
}


def __getattr__(name: str) -> object:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
