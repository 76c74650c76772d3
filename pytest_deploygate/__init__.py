"""Decides by evidence whether a deployment ships: pytest suites as gates, a rollout as the result.

Whether a project asks for it at all is said here, where it costs an idle session no module of its own.
"""

from pathlib import Path

__version__ = "0.1.0"

FILE = "pyproject.toml"
ROLLBACK_CHECKS = "rollback-checks"
"""Marker of the checks of live gates, and what ``-m`` selects them by."""
_HEADER = b"[tool.deploygate"


def is_configured(root: Path) -> bool:
    """Whether the project at ``root`` has a ``[tool.deploygate]``, or may have one; cheap, for projects without."""
    try:
        return _HEADER in (root / FILE).read_bytes()
    except PermissionError:
        return True  # whoever reads the settings says what is wrong
    except OSError:
        return False


def project_folder(start: Path) -> Path | None:
    """The nearest folder at ``start`` or above that has settings; None if none has."""
    return next((folder for folder in (start, *start.parents) if is_configured(folder)), None)
