"""Modes of a session that touches a target."""

from enum import Enum, unique


@unique
class Mode(Enum):
    """What the judge was asked for."""

    JUDGE = "judge"
    """``--deploy-env``: judge the serving revision, never act."""
    ROLLBACK_CHECKS = "rollback-checks"
    """``-m rollback-checks``: judge the serving revision, roll back if it is bad."""
    PLAN = "plan"
    DEPLOY = "deploy"
