"""Hooks that this plugin offers to conftest files and other plugins."""

from typing import TYPE_CHECKING

import pluggy

if TYPE_CHECKING:
    import pytest

    from pytest_deploygate.core.evidence import Evidence
    from pytest_deploygate.core.policy import Policy
    from pytest_deploygate.core.record import RolloutRecord
    from pytest_deploygate.core.verdict import PhaseVerdict
    from pytest_deploygate.engine.rollout import Rollout

_hookspec = pluggy.HookspecMarker("pytest")
"""As ``pytest.hookspec``; the judge, which reads these, does not load pytest."""


@_hookspec(firstresult=True)
def pytest_deploygate_decide(
    config: "pytest.Config", policy: "Policy", evidence: "Evidence"
) -> "PhaseVerdict | None":
    """Judge the evidence of one phase; the default holds it against the policy.

    Whatever is returned can make the verdict stricter. It can be more lenient than the policy only where
    ``--deploy-override`` names the gates in question, and that is recorded.
    """


@_hookspec(firstresult=True)
def pytest_deploygate_act(rollout: "Rollout", verdict: "PhaseVerdict") -> bool | None:
    """Turn the verdict of a phase into an action; the default stages, promotes, keeps or rolls back.

    Called in the judge alone, for plugins that ``plugins`` of the settings names: a conftest file cannot act.

    Return True when the action was taken. An implementation must leave the rollout in the state that its own action
    reached; whatever is not final at session end returns to the baseline. A step towards a promotion is refused unless
    its phase was judged to hold.
    """


def pytest_deploygate_verdict(
    config: "pytest.Config", rollout: "RolloutRecord", verdict: "PhaseVerdict"
) -> None:
    """Called with each phase's verdict, after it was decided and before anything is done about it."""


def pytest_deploygate_finished(config: "pytest.Config", rollout: "RolloutRecord") -> None:
    """Called once with the record of a rollout that ended."""
