"""Operator rollback: returns traffic from the serving revision to the planned one, under the lease."""

from collections.abc import Callable

from pytest_deploygate.core.identifiers import Actor
from pytest_deploygate.core.own_tags import TAG_LIVE_VERIFY
from pytest_deploygate.core.record import RestorePoint
from pytest_deploygate.core.traffic import Traffic
from pytest_deploygate.core.verdict import Reason
from pytest_deploygate.engine.baseline_rollback import rollback_to_baseline
from pytest_deploygate.engine.engine_context import Ports, Progress, ignore_progress
from pytest_deploygate.engine.journaled_rollout import JournaledRollout
from pytest_deploygate.engine.rollback_plan import RollbackPlan
from pytest_deploygate.engine.rollout import Rollout


def rollback_to_revision(
    ports: Ports,
    plan: RollbackPlan,
    *,
    actor: Actor,
    purpose: str,
    reason: Reason,
    progress: Progress = ignore_progress,
    opened: Callable[[JournaledRollout], None] = lambda _: None,
) -> JournaledRollout:
    """Execute a plan under the lease; the result's state is ROLLED_BACK or STRANDED.

    ``opened`` is called as soon as the lease is held, before anything is touched.

    Raises:
        LeaseHeld: somebody else acts on this environment.
    """
    rollout = Rollout.open(ports, actor=actor, purpose=purpose, progress=progress)
    opened(rollout)
    tags = {TAG_LIVE_VERIFY: plan.to_verification} if plan.to_verification is not None else {}
    # The restore point is durable before traffic moves, so that a recovery returns to the same revision. The automatic
    # rollback then does the rest: one code path for every rollback.
    rollout.update(
        rollout.record._replace(
            baseline=plan.to,
            candidate=plan.serving.sole,
            serving=plan.serving.sole,
            digest=plan.bad_digest,
            backup=plan.backup,
            config_digest=plan.bad_config,
            url=plan.url,
            restore_point=RestorePoint(
                existed=True,
                before=plan.serving,
                restore_to=Traffic.of({plan.to: 100}, tags),
                leaves=plan.serving,
                was_public=plan.public,
                digest=plan.digest,
                config_digest=plan.config,
            ),
        )
    )
    rollback_to_baseline(rollout, reason)
    return rollout
