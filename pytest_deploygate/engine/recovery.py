"""Recovers the rollouts of dead processes, from the journal and the target, or from the target alone.

Recovery is idempotent: it observes first, and a second run finds nothing to do.
"""

import contextlib
from collections.abc import Callable
from dataclasses import dataclass

from pytest_deploygate.core.errors import Drifted, OutcomeUnknown, TargetError, TargetRefused
from pytest_deploygate.core.identifiers import Actor, RolloutId
from pytest_deploygate.core.own_tags import TAG_CANDIDATE, TAG_FRESH, TAG_VERIFY
from pytest_deploygate.core.record import Lease, RestorePoint, RolloutRecord, lease_held_error
from pytest_deploygate.core.release import Snapshot
from pytest_deploygate.core.state_machine import Event, State
from pytest_deploygate.core.traffic import Traffic
from pytest_deploygate.core.variant_tags import variants_tagged
from pytest_deploygate.core.verdict import Reason, ReasonCode
from pytest_deploygate.engine.baseline_rollback import rollback_to_baseline
from pytest_deploygate.engine.deploy_operations import started_operations
from pytest_deploygate.engine.detached import is_detached
from pytest_deploygate.engine.engine_context import Ports, Progress, ignore_progress
from pytest_deploygate.engine.finalize import clear_labels, finalize_best_effort
from pytest_deploygate.engine.heartbeat import LeaseHeartbeat
from pytest_deploygate.engine.journaled_rollout import JournaledRollout
from pytest_deploygate.engine.rollout import new_rollout_id

RECOVERY = "recover"
"""Purpose of a recovery's lease. Commands wait for such a lease, which takes a second as a rule (ADR 10)."""
ORPHANED = 5
"""How many of the last rollouts are searched for the one that started a running operation (ADR 10)."""
FOREIGN_S = 300.0
"""How long the deployment of somebody else is waited for (ADR 10)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recovery:
    """One recovered rollout: its state when found, its state at the end, and why."""

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
    """Recover every open rollout of the environment, also one that only labels of the service show.

    Raises:
        LeaseHeld: a living process holds the lease; nothing was touched.
    """
    store = ports.store
    held = store.lease(ports.environment)
    if held is not None and not is_stale(held):
        raise lease_held_error(held)
    now = ports.clock.now()
    still_open = store.open_rollouts(ports.environment)
    found = [record for record in still_open if not is_detached(record, now)]
    marked = ports.target.snapshot().rollout_labels.rollout
    is_left_over = marked is not None and marked not in {r.rollout_id for r in still_open}
    if held is None and not found and not is_left_over:
        return ()
    # Take the lease before anything is read again: its greater token stops every write of the former holder.
    lease = _acquire_lease(ports, held, actor)
    # A recovery may wait for a build: without heartbeats another machine would take its lease over (ADR 10).
    with LeaseHeartbeat(store, lease):
        recovered = [recover_rollout(ports, record, lease, progress) for record in found]
        is_whole = all(s.state is not State.STRANDED for s in recovered)
        if is_whole and len(found) == len(still_open):
            recovered += _recover_labelled(ports, lease, actor, progress)
    # A stranded rollout keeps the lease, so that nobody deploys over it (ADR 7).
    if all(s.state is not State.STRANDED for s in recovered):
        store.release_lease(lease)
    return tuple(recovered)


def wait_for_orphaned_deployment(ports: Ports, progress: Progress = ignore_progress) -> bool:
    """Wait for a deployment on the platform that a dead rollout of ours started; return whether there was one.

    Google runs one at a time (ADR 10). Its end leaves a revision without traffic and the labels of the dead rollout, so
    the environment must be recovered again.

    Raises:
        OutcomeUnknown: it has not ended within the budget of a rollout.
    """
    records = ports.store.history(ports.environment, ORPHANED)
    unended = {r.rollout_id: _unfinished_operations(ports, r.rollout_id) for r in records}
    if not any(unended.values()):
        return False  # nothing of ours can be running, so the platform is not asked
    operation = ports.target.find_operation()
    ours = [rollout_id for rollout_id, names in unended.items() if names & {operation, ""}]
    if operation is None or not ours:
        return False
    progress(
        "waiting",
        f"rollout {ours[0]} has ended, but its operation {operation} still runs on the platform",
    )
    _await_end(ports, operation, ports.settings.rollout_budget_s, progress)
    return True


def settled_snapshot(ports: Ports, progress: Progress = ignore_progress) -> Snapshot:
    """The service, after a deployment of somebody else that runs on the platform has ended, or five minutes later.

    It may have changed what serves, so the rules for a baseline are asked of what is returned (ADR 10).
    """
    snapshot = ports.target.snapshot()
    operation = None if snapshot.is_settled else ports.target.find_operation()
    if operation is None:
        return snapshot
    progress("waiting", f"somebody else deploys the function: its operation {operation} still runs")
    with contextlib.suppress(OutcomeUnknown):  # who asks for the rules is told that it still runs
        _await_end(ports, operation, FOREIGN_S, progress)
    return ports.target.snapshot()


def _await_end(ports: Ports, operation: str, budget_s: float, progress: Progress) -> None:
    """Wait until an operation has ended, also in an error."""
    with contextlib.suppress(TargetRefused):
        ports.target.await_release(
            operation, progress=lambda text: progress("building", text), budget_s=budget_s
        )


def _unfinished_operations(ports: Ports, rollout_id: RolloutId) -> set[str]:
    """Operations of the rollout that the journal does not show as ended; "" for one whose name it lacks."""
    known = started_operations(ports.store.journal(rollout_id)).values()
    return {one.operation for one in known if one.revision is None}


def supersede(ports: Ports, *, actor: Actor, sentence: str) -> tuple[RolloutId, ...]:
    """Close every open rollout of the environment after an operator decided what serves (ADR 7). Moves no traffic.

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


def _acquire_lease(ports: Ports, held: Lease | None, actor: Actor) -> Lease:
    ttl_s = ports.settings.lease_ttl_s
    if held is not None:
        return ports.store.take_over(held, actor, RECOVERY, held.rollout_id, ttl_s)
    rollout_id = new_rollout_id(ports.clock.now())
    return ports.store.acquire_lease(ports.environment, actor, RECOVERY, rollout_id, ttl_s)


def recover_rollout(
    ports: Ports, record: RolloutRecord, lease: Lease, progress: Progress = ignore_progress
) -> Recovery:
    """Bring one open rollout to its end under ``lease``, and keep the lease."""
    found = record.state
    rollout = JournaledRollout(ports, record, lease, progress)
    rollout.keeps_lease = True
    reason = _recovery_reason(record)
    progress("recovering", reason.sentence)
    if found is State.FINALISING:
        # The live gates held before the process died: the candidate stays.
        finalize_best_effort(rollout, reason)
    elif found is State.OPEN:
        # Staging had not begun, so there is nothing to return.
        rollout.move(Event.BROKE, {"reason": reason.sentence})
        rollout.close(reason)
    elif found.is_final and found is not State.STRANDED:
        # The process died between its last row and the end of its record.
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
    """Why an open rollout is rolled back now; a stranded one keeps the reason that it had."""
    if record.state is State.STRANDED and record.rollback_cause is not None:
        return record.rollback_cause
    if record.detached_until is not None and record.state is State.STEPPING:
        sentence = f"nobody carried the rollout on from {record.step_percent} % in time"
        return Reason(code=ReasonCode.PROCESS_LOST, sentence=sentence)
    died = (
        f"the process that ran rollout {record.rollout_id} died while it was {record.state.value}"
    )
    return Reason(code=ReasonCode.PROCESS_LOST, sentence=died)


def _recover_labelled(
    ports: Ports, lease: Lease, actor: Actor, progress: Progress
) -> tuple[Recovery, ...]:
    """Recover the rollout whose labels are still on the service although none is open, if there is one."""
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
        # The right revision serves; the next rollout overwrites these labels.
        progress("untidy", _untidy_sentence(ports, record, error))
    return ()


def _untidy_sentence(ports: Ports, record: RolloutRecord, error: TargetError) -> str:
    """Why labels are left: nobody else is blamed for a write of the rollout itself that was applied late."""
    if not isinstance(error, Drifted):
        return error.message
    try:
        serving = ports.target.snapshot().serving
    except TargetError:
        return error.message
    own = {record.baseline, record.candidate, record.built, record.fresh_baseline}
    if not {revision for revision, _ in serving.shares} <= own:
        return error.message
    return f"a write of rollout {record.rollout_id} was applied late: {serving} serves; its labels stay for now"


def _recover_orphan(
    ports: Ports,
    snapshot: Snapshot,
    rollout_id: RolloutId,
    lease: Lease,
    actor: Actor,
    progress: Progress,
) -> Recovery:
    """Recover a rollout that the store does not know: the labels on the service name the baseline (ADR 4)."""
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
    # A first release has its traffic at the revision that its build made (ADR 22).
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
        candidate=tags.get(TAG_CANDIDATE) or (foreign[0] if len(foreign) == 1 else None),
        verification=tags.get(TAG_VERIFY),
        fresh_baseline=tags.get(TAG_FRESH),
        variants=variants_tagged(tags),
        restore_point=point,
        built=built,
        url=snapshot.url,
    )
    ports.store.begin(record, lease)
    return recover_rollout(ports, record, lease, progress)
