"""Drills the rollback of what serves, at any time (ADR 31)."""

from collections.abc import Callable
from typing import Final

from pytest_deploygate.core.errors import DeployGateError, LeaseLost
from pytest_deploygate.core.identifiers import Actor, RevisionName
from pytest_deploygate.core.own_tags import TAG_DRILL
from pytest_deploygate.core.record import RestorePoint
from pytest_deploygate.core.release import Snapshot
from pytest_deploygate.core.state_machine import Event
from pytest_deploygate.core.traffic import Traffic
from pytest_deploygate.core.verdict import Reason, ReasonCode
from pytest_deploygate.engine.baseline_rollback import rollback_to_baseline
from pytest_deploygate.engine.engine_context import Ports, Progress, ignore_progress
from pytest_deploygate.engine.journaled_rollout import JournaledRollout, reason_for
from pytest_deploygate.engine.rollback_writes import try_rollback_writes
from pytest_deploygate.engine.rollout import Rollout
from pytest_deploygate.engine.staging import settled_traffic
from pytest_deploygate.engine.traffic_verification import wait_until_serving

DRILL: Final = "drill"
"""Purpose of a drill's record and lease."""


def drill_environment(
    ports: Ports,
    to: RevisionName,
    before: Snapshot,
    *,
    actor: Actor,
    moves_traffic: bool,
    progress: Progress = ignore_progress,
    opened: Callable[[JournaledRollout], None] = lambda _: None,
) -> tuple[JournaledRollout, DeployGateError | None]:
    """Try a rollback to ``to`` and return to what serves in ``before``; the error if it would not work.

    With ``moves_traffic``, ``to`` really gets all traffic in between. The rollout ends as ROLLED_BACK to what served
    before, or STRANDED. ``opened`` is called as soon as the lease is held.

    Raises:
        LeaseHeld: somebody else acts on this environment.
    """
    rollout = Rollout.open(ports, actor=actor, purpose=DRILL, progress=progress)
    opened(rollout)
    serving = before.serving.sole
    rollout.update(
        rollout.record._replace(
            baseline=serving,
            serving=serving,
            url=before.url,
            restore_point=RestorePoint(
                existed=True,
                before=before.traffic,
                restore_to=settled_traffic(before),
                leaves=Traffic.of({to: 100}),
                was_public=before.is_public,
                digest=before.rollout_labels.digest,
                config_digest=before.rollout_labels.config,
            ),
        )
    )
    # From here on a recovery returns to what serves now, whatever the drill has done.
    rollout.move(Event.SERVING_BAD, {"reason": "drill"})
    problem: DeployGateError | None = None
    try:
        _try_rollback(rollout, to, before, moves_traffic=moves_traffic)
        reason = Reason(code=ReasonCode.REQUESTED, sentence=f"the rollback to {to} was drilled")
    except LeaseLost:
        raise
    except DeployGateError as error:
        problem, reason = error, reason_for(error, ReasonCode.COULD_NOT_ACT)
    rollback_to_baseline(rollout, reason)
    return rollout, problem


def _try_rollback(
    rollout: JournaledRollout, to: RevisionName, before: Snapshot, *, moves_traffic: bool
) -> None:
    """Everything that a rollback to ``to`` needs; with ``moves_traffic``, the rollback itself."""
    now = settled_traffic(before)
    try_rollback_writes(rollout, to, TAG_DRILL, now)
    if not moves_traffic:
        return
    target, clock = rollout.ports.target, rollout.ports.clock
    began = clock.monotonic()
    wanted = now.with_shares({to: 100})
    rollout.act(
        "shift",
        lambda: target.shift_traffic(wanted, expect=Traffic.of(dict(now.shares))),
        intent={"from": str(now), "to": str(wanted)},
        observed=lambda s: {"traffic": str(s.traffic)},
    )
    wait_until_serving(rollout, to)
    rollout.update(rollout.record._replace(drill_s=round(clock.monotonic() - began, 3)))
