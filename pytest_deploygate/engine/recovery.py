"""Recovers what a dead process left behind: from the journal and the target, or from the target alone.

Recovery is idempotent: it observes first, and a second run finds nothing to do.
"""

import contextlib
from collections.abc import Callable
from dataclasses import dataclass

from pytest_deploygate.core.errors import LeaseHeld, TargetError, TargetRefused
from pytest_deploygate.core.identifiers import Actor, RolloutId
from pytest_deploygate.core.record import Lease, RestorePoint, RolloutRecord
from pytest_deploygate.core.release import Snapshot
from pytest_deploygate.core.state_machine import Event, State
from pytest_deploygate.core.traffic import Traffic
from pytest_deploygate.core.verdict import Reason, ReasonCode
from pytest_deploygate.engine.baseline_rollback import rollback_to_baseline
from pytest_deploygate.engine.deploy_operations import started_operations
from pytest_deploygate.engine.engine_context import Ports, Progress, ignore_progress
from pytest_deploygate.engine.finalize import clear_labels, finalize_best_effort
from pytest_deploygate.engine.heartbeat import LeaseHeartbeat
from pytest_deploygate.engine.journaled_rollout import JournaledRollout
from pytest_deploygate.engine.rollout import new_rollout_id

RECOVERY = "recover"
"""Purpose of the lease under which what a dead process left is recovered: a matter of a second, as a rule."""
ORPHANED = 5
"""How many rollouts back one is looked for that began what still goes on at the platform."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recovery:
    """One rollout recovered: how it stood when it was found, how it ended, and why."""

    rollout_id: RolloutId
    found: State
    state: State
    sentence: str


def recover_environment(
    ports: Ports,
    *,
    actor: Actor,
    is_stale: Callable[[Lease], bool],
    progress: Progress = ignore_progress,
) -> tuple[Recovery, ...]:
    """Recover every open rollout of the environment, also one that only the target remembers.

    Raises:
        LeaseHeld: a living process holds the lease; nothing was touched.
    """
    store = ports.store
    held = store.lease(ports.environment)
    if held is not None and not is_stale(held):
        raise held_by(held)
    found = store.open_rollouts(ports.environment)
    marked = ports.target.snapshot().rollout_labels.rollout
    is_left_over = marked is not None and marked not in {r.rollout_id for r in found}
    if held is None and not found and not is_left_over:
        return ()
    lease = _acquire_lease(ports, held, actor)
    with LeaseHeartbeat(store, lease):
        recovered = [recover_rollout(ports, record, lease, progress) for record in found]
        if all(s.state is not State.STRANDED for s in recovered):
            recovered += _recover_labelled(ports, lease, actor, progress)
    if all(s.state is not State.STRANDED for s in recovered):
        store.release_lease(lease)
    return tuple(recovered)


def wait_for_orphaned_deployment(ports: Ports, progress: Progress = ignore_progress) -> bool:
    """Wait for a deployment at the platform that a rollout of ours began before it died; whether there was one.

    The platform runs one at a time. When it ends it leaves a revision without traffic and the labels of its rollout, so
    the environment must be recovered again.

    Raises:
        OutcomeUnknown: it has not ended when the budget of a rollout is spent.
    """
    records = ports.store.history(ports.environment, ORPHANED)
    unended = {r.rollout_id: _unfinished(ports, r.rollout_id) for r in records}
    if not any(unended.values()):
        return False
    operation = ports.target.find_operation()
    ours = [rollout_id for rollout_id, names in unended.items() if names & {operation, ""}]
    if operation is None or not ours:
        return False
    progress("waiting", f"{ours[0]} has ended, and {operation} that it had begun still goes on")
    with contextlib.suppress(TargetRefused):  # it failed by itself, which is an end too
        ports.target.await_release(
            operation,
            progress=lambda text: progress("building", text),
            budget_s=ports.settings.rollout_budget_s,
        )
    return True


def _unfinished(ports: Ports, rollout_id: RolloutId) -> set[str]:
    """Operations that the rollout began and whose end nobody saw; "" for one whose name nobody learned."""
    known = started_operations(ports.store.journal(rollout_id)).values()
    return {one.operation for one in known if one.revision is None}


def supersede(ports: Ports, *, actor: Actor, sentence: str) -> tuple[RolloutId, ...]:
    """Close every open rollout of the environment, since a person decided what serves; touches nothing else.

    Raises:
        LeaseHeld: somebody acts on this environment.
    """
    found = ports.store.open_rollouts(ports.environment)
    if not found:
        return ()
    serving = ports.target.snapshot().serving.sole
    reason = Reason(code=ReasonCode.PROCESS_LOST, sentence=sentence)
    lease = _acquire_lease(ports, None, actor)
    for record in found:
        rollout = JournaledRollout(ports, record._replace(serving=serving), lease)
        rollout.keeps_lease = True
        if not record.state.is_final or record.state is State.STRANDED:
            rollout.move(Event.BROKE, {"reason": sentence})
        if rollout.state is State.ROLLING_BACK:
            rollout.move(Event.RESTORED, {"by": str(actor)})
        rollout.close(reason)
    ports.store.release_lease(lease)
    return tuple(record.rollout_id for record in found)


def held_by(lease: Lease) -> LeaseHeld:
    """The error that says who holds the lease and what to do."""
    return LeaseHeld(
        f"environment {lease.environment} is held by {lease.actor} since "
        f"{lease.since:%Y-%m-%d %H:%M:%S} UTC for {lease.purpose} (rollout {lease.rollout_id})",
        hint=f"wait for it (--deploy-wait=SECONDS), or if it is dead and cannot be seen from here: "
        f"deploygate unlock {lease.environment} --reason TEXT",
    )


def _acquire_lease(ports: Ports, held: Lease | None, actor: Actor) -> Lease:
    ttl_s = ports.settings.lease_ttl_s
    if held is not None:
        return ports.store.take_over(held, actor, RECOVERY, held.rollout_id, ttl_s)
    rollout_id = new_rollout_id(ports.clock.now())
    return ports.store.acquire_lease(ports.environment, actor, RECOVERY, rollout_id, ttl_s)


def recover_rollout(
    ports: Ports, record: RolloutRecord, lease: Lease, progress: Progress = ignore_progress
) -> Recovery:
    """Bring one open rollout to its end under ``lease``, without giving the lease back."""
    found = record.state
    rollout = JournaledRollout(ports, record, lease, progress)
    rollout.keeps_lease = True
    reason = _recovery_reason(record)
    progress("recovering", reason.sentence)
    if found is State.FINALISING:
        finalize_best_effort(rollout, reason)
    elif found is State.OPEN:
        rollout.move(Event.BROKE, {"reason": reason.sentence})
        rollout.close(reason)
    elif found.is_final and found is not State.STRANDED:
        rollout.close(
            Reason(code=ReasonCode.PROCESS_LOST, sentence=record.reason or reason.sentence)
        )
    else:
        rollback_to_baseline(rollout, reason)
    return Recovery(
        rollout_id=record.rollout_id,
        found=found,
        state=rollout.state,
        sentence=rollout.record.reason,
    )


def _recovery_reason(record: RolloutRecord) -> Reason:
    """Why an open rollout goes back now; one that is stranded goes on for the reason that it had."""
    if record.state is State.STRANDED and record.rollback_cause is not None:
        return record.rollback_cause
    died = (
        f"the process that ran rollout {record.rollout_id} died while it was {record.state.value}"
    )
    return Reason(code=ReasonCode.PROCESS_LOST, sentence=died)


def _recover_labelled(
    ports: Ports, lease: Lease, actor: Actor, progress: Progress
) -> tuple[Recovery, ...]:
    """The rollout whose rollout labels are still on the service although none is open, if there is one."""
    snapshot = ports.target.snapshot()
    if snapshot.rollout_labels.rollout is None:
        return ()
    record = ports.store.rollout(snapshot.rollout_labels.rollout)
    if record is None:
        return (
            _recover_orphan(
                ports, snapshot, snapshot.rollout_labels.rollout, lease, actor, progress
            ),
        )
    try:
        clear_labels(JournaledRollout(ports, record, lease, progress), snapshot)
    except TargetError as error:
        # What serves is right; the next rollout writes its own rollout labels over these.
        progress("untidy", error.message)
    return ()


def _recover_orphan(
    ports: Ports,
    snapshot: Snapshot,
    rollout_id: RolloutId,
    lease: Lease,
    actor: Actor,
    progress: Progress,
) -> Recovery:
    """A rollout of which the store knows nothing: the rollout labels on the service say where to return to."""
    rollout_labels = snapshot.rollout_labels
    baseline = rollout_labels.baseline
    point = RestorePoint(
        existed=baseline is not None,
        before=snapshot.traffic,
        restore_to=Traffic.of({baseline: 100} if baseline is not None else {}),
        digest=rollout_labels.digest,
        config_digest=rollout_labels.config,
    )
    foreign = [r for r, _ in snapshot.serving.shares if r != baseline]
    # a first release rests on the revision that its build made
    built = foreign[0] if baseline is None and len(foreign) == 1 else None
    tags = dict(snapshot.traffic.tags)
    record = RolloutRecord(
        rollout_id=rollout_id,
        environment=ports.environment,
        purpose=RECOVERY,
        actor=actor,
        began_at=ports.clock.now(),
        state=State.SERVING,
        baseline=baseline,
        candidate=tags.get("dg-cand") or (foreign[0] if len(foreign) == 1 else None),
        verification=tags.get("dg-verify"),
        restore_point=point,
        built=built,
    )
    ports.store.begin(record, lease)
    return recover_rollout(ports, record, lease, progress)
