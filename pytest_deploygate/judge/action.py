"""From a phase's verdict to the rollout's next effect: the default of ``pytest_deploygate_act``."""

from dataclasses import replace

from pytest_deploygate.core.identifiers import Phase
from pytest_deploygate.core.state_machine import State
from pytest_deploygate.core.verdict import PhaseVerdict, Reason, ReasonCode
from pytest_deploygate.engine.rollout import Rollout


def act(rollout: Rollout, verdict: PhaseVerdict) -> None:
    """Take the action that follows from ``verdict``.

    Raises:
        DeployGateError: the action failed; the rollout is in the state that it was in and is to be aborted.
    """
    if not verdict.holds:
        if rollout.state is State.OPEN:
            rollout.refuse(verdict.reason)
        else:
            rollout.abort(verdict.reason)
        return
    match verdict.evidence.phase:
        case Phase.READINESS:
            rollout.stage()
        case Phase.CANDIDATE:
            rollout.promote()
        case Phase.LIVE:
            rollout.finalise(verdict.reason)
        case Phase.STEP:
            pass  # the figures of the step are judged as well before anything follows


def end_unchanged(rollout: Rollout, verdict: PhaseVerdict) -> None:
    """End a rollout that had nothing to deploy, as what serves was judged."""
    if verdict.holds:
        rollout.keep(
            Reason(
                code=ReasonCode.NOTHING_TO_DEPLOY,
                sentence=f"nothing to deploy: {rollout.snapshot.baseline} already serves this source and these "
                "settings, and all gates hold",
            )
        )
    else:
        rollout.refuse(
            replace(
                verdict.reason,
                sentence=f"nothing to deploy, and what serves does not hold: {verdict.reason.sentence}",
            )
        )
