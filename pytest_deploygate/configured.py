"""Whether a project asks for this plugin at all; of its own, so that an idle session loads nothing else."""

from pathlib import Path

FILE = "pyproject.toml"
ROLLBACK_CHECKS = "rollback-checks"
"""Marker of the checks of live gates, and what ``-m`` selects them by."""
_HEADER = b"[tool.deploygate"


def is_configured(root: Path) -> bool:
    """Whether the project at ``root`` has a ``[tool.deploygate]``; cheap, for projects that have not."""
    try:
        return _HEADER in (root / FILE).read_bytes()
    except OSError:
        return False
