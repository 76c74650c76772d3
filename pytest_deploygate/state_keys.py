"""What the parts of the plugin share through ``config.stash``, and the modes that a session can be in."""

from enum import Enum, unique
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pytest_deploygate.checks.deployment import Deployment
    from pytest_deploygate.core.redaction import Redactor

WORKER_INPUT = "deploygate"
"""Key of what the controller tells a worker of pytest-xdist."""
MEASURE_PROPERTY = "deploygate.measure"
GATE_PROPERTY = "deploygate.gate"
STATE_PROPERTY = "deploygate.state"
DEFECT_PROPERTY = "deploygate.known_defect"


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


DECIDED: pytest.StashKey[bool] = pytest.StashKey()
"""Set when the session's exit status says what became of traffic."""
MODE: pytest.StashKey[Mode] = pytest.StashKey()
DEPLOYMENT: pytest.StashKey["Deployment"] = pytest.StashKey()
"""The deployment that the running phase judges; absent where there is none."""
REDACTOR: pytest.StashKey["Redactor"] = pytest.StashKey()
"""Takes secrets out of what this session shows; in deciding processes only."""
