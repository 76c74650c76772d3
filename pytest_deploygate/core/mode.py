"""What a session is for."""

from enum import Enum, unique


@unique
class Mode(Enum):
    """What a session is for."""

    OFF = "off"
    """The project has no settings for this plugin and no option asks for it."""
    PASSIVE = "passive"
    """No deployment: readiness gates run, the others skip."""
    JUDGE = "judge"
    """``--deploy-env``: judge what serves, never act."""
    ROLLBACK_CHECKS = "rollback-checks"
    """``-m rollback-checks``: judge what serves, roll back if it is bad."""
    PLAN = "plan"
    DEPLOY = "deploy"

    @property
    def touches_target(self) -> bool:
        """Whether the session talks to a target at all."""
        return self not in (Mode.OFF, Mode.PASSIVE)
