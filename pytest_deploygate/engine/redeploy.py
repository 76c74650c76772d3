"""Redeploys a baseline that the platform lost, from its backup and without traffic: slow, the last resort.

A process that dies meanwhile leaves the name of the operation in the journal; the next attempt waits for that operation
instead of starting another build.
"""

from pytest_deploygate.core.artifacts import Backup
from pytest_deploygate.core.errors import (
    BuildFailed,
    OutcomeUnknown,
    StartFailed,
    StoreError,
    TargetRefused,
    TargetUnavailable,
)
from pytest_deploygate.core.identifiers import RevisionName
from pytest_deploygate.core.release import Snapshot
from pytest_deploygate.engine.deploy_operations import (
    StartedOperation,
    await_operation,
    deploy,
    started_operations,
    wait_for_running_operations,
)
from pytest_deploygate.engine.journaled_rollout import JournaledRollout

BACKUP = "backup"
"""Name of this deployment in the journal."""


def redeploy(
    rollout: JournaledRollout, backup: Backup, now: Snapshot, *, deadline: float
) -> RevisionName:
    """Redeploy ``backup`` and return its revision; continue a redeployment that an earlier attempt started.

    Traffic stays with what serves ``now``.

    Raises:
        TargetRefused: it cannot be redeployed.
        TargetUnavailable: not now: the journal cannot be read, or another operation runs.
        OutcomeUnknown: it has not ended at the deadline.
        Drifted: somebody else changed the service meanwhile.
    """
    before = _started_redeploy(rollout)
    revision = _await_started(rollout, before, deadline) if before is not None else None
    if revision is not None:
        return revision
    target = rollout.ports.target
    # Traffic that follows LATEST would go to the redeployed revision as soon as it is ready.
    if not now.traffic.is_pinned:
        rollout.act(
            "pin",
            lambda: target.pin(now, now.rollout_labels),
            intent={"serving": str(now.serving)},
            observed=lambda s: {"traffic": str(s.traffic)},
        )
    wait_for_running_operations(rollout, deadline=deadline)
    return deploy(
        rollout,
        BACKUP,
        lambda: target.begin_restore(backup),
        deadline=deadline,
        intent={"backup": backup.identifier},
    )


def _started_redeploy(rollout: JournaledRollout) -> StartedOperation | None:
    try:
        journal = rollout.ports.store.journal(rollout.record.rollout_id)
    except StoreError as error:
        raise TargetUnavailable(
            f"the baseline is gone, and the journal cannot be read for a running redeployment: {error.message}",
            hint=error.hint,
        ) from error
    return started_operations(journal).get(BACKUP)


def _await_started(
    rollout: JournaledRollout, before: StartedOperation, deadline: float
) -> RevisionName | None:
    """The revision of an earlier attempt, ended or still running; None if it has no result."""
    target = rollout.ports.target
    if before.revision is not None:
        info = target.revision(before.revision)
        return before.revision if info is not None and info.is_ready else None
    if not before.operation:
        return None  # its name is unknown, so redeploy() waits for whatever operation runs
    rollout.progress("waiting", f"{before.operation}, which an earlier attempt started")
    try:
        return await_operation(rollout, BACKUP, before.operation, deadline=deadline)
    except (BuildFailed, StartFailed):
        raise
    except (OutcomeUnknown, TargetRefused):
        if target.find_operation() == before.operation:
            raise
        return None  # the platform no longer knows the operation, or its end names no revision
