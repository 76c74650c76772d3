"""Carries a rollout through the table of :mod:`pytest_deploygate.core.rollout`: journal, act, observe, resume.

Every effect is journalled before it begins and after it was observed. While traffic is being returned to the
baseline, a record that cannot be written does not stop it: serving the baseline matters more.
"""

from pytest_deploygate.engine.adoption import adopt
from pytest_deploygate.engine.keeper import LeaseKeeper
from pytest_deploygate.engine.recovery import (
    RECOVERY,
    Recovery,
    await_left_over,
    held_by,
    settle,
    settle_environment,
    supersede,
)
from pytest_deploygate.engine.restore import restore
from pytest_deploygate.engine.rollback import RollbackPlan, plan_rollback, roll_back
from pytest_deploygate.engine.rollout import Rollout, Staged, new_rollout_id
from pytest_deploygate.engine.session import (
    EngineSettings,
    Grants,
    Ledgered,
    Ports,
    Progress,
    reason_for,
)

__all__ = [
    "RECOVERY",
    "EngineSettings",
    "Grants",
    "LeaseKeeper",
    "Ledgered",
    "Ports",
    "Progress",
    "Recovery",
    "RollbackPlan",
    "Rollout",
    "Staged",
    "adopt",
    "await_left_over",
    "held_by",
    "new_rollout_id",
    "plan_rollback",
    "reason_for",
    "restore",
    "roll_back",
    "settle",
    "settle_environment",
    "supersede",
]
