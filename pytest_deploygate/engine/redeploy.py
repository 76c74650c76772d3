"""A baseline that the platform lost, deployed once more from its backup without traffic: slow, the last resort.

A process that died in the middle leaves the operation's name in the journal; what it began is attended to, and not
begun again.
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
"""What the journal calls this deployment, beside the variants of a release."""


def redeploy(
    rollout: JournaledRollout, backup: Backup, now: Snapshot, *, deadline: float
) -> RevisionName:
    """The revision that was made of ``backup``: by what was begun before, or else by a deployment that begins now.

    Traffic stays with what serves ``now``.

    Raises:
        TargetRefused: it cannot be redeployed.
        TargetUnavailable: not now; what was begun before cannot be read, or something else goes on.
        OutcomeUnknown: it has not ended when the time is up.
        Drifted: somebody else changed the service meanwhile.
    """
    before = _started_redeploy(rollout)
    revision = _await_started(rollout, before, deadline) if before is not None else None
    if revision is not None:
        return revision
    target = rollout.ports.target
    if not now.traffic.is_pinned:  # it would go to whatever is deployed next
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
            f"the baseline is gone, and whether its redeployment was begun cannot be read: {error.message}",
            hint=error.hint,
        ) from error
    return started_operations(journal).get(BACKUP)


def _await_started(
    rollout: JournaledRollout, before: StartedOperation, deadline: float
) -> RevisionName | None:
    """What an earlier attempt made or is making; None if that came to nothing."""
    target = rollout.ports.target
    if before.revision is not None:
        info = target.revision(before.revision)
        return before.revision if info is not None and info.is_ready else None
    if not before.operation:
        return None  # nobody can tell it from what others began, so it is only waited for
    rollout.progress("waiting", f"{before.operation} was begun before")
    try:
        return await_operation(rollout, BACKUP, before.operation, deadline=deadline)
    except (BuildFailed, StartFailed):
        raise
    except (OutcomeUnknown, TargetRefused):
        if target.find_operation() == before.operation:
            raise
        return None  # the platform forgot it, or it ended in a way that says nothing
