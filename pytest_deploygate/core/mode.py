"""Modes of a session."""

from enum import Enum, unique


@unique
class Mode(Enum):
    """Mode of a session."""

    OFF = "off"
    """The project has no settings for this plugin, and no option uses it."""
    PASSIVE = "passive"
    """No deployment: readiness gates run, the others skip."""
    JUDGE = "judge"
    """``--deploy-env``: judge the serving revision, never act."""
    ROLLBACK_CHECKS = "rollback-checks"
    """``-m rollback-checks``: judge the serving revision, roll back if it is bad."""
    PLAN = "plan"
    DEPLOY = "deploy"
