"""Settling what a dead process left behind: from the journal and the target, or from the target alone.

Settling is idempotent: it observes first, and a second run finds nothing to do.
"""

import contextlib
from collections.abc import Callable
from dataclasses import dataclass

from pytest_deploygate.core.errors import LockHeld, TargetError, TargetRefused
from pytest_deploygate.core.identifiers import Actor, RolloutId
from pytest_deploygate.core.record import Lease, RolloutRecord
from pytest_deploygate.core.release import Snapshot
from pytest_deploygate.core.state_machine import Event, State
from pytest_deploygate.core.traffic import Traffic
from pytest_deploygate.core.verdict import Reason, ReasonCode
from pytest_deploygate.engine.baseline_rollback import restore
from pytest_deploygate.engine.deploy_operations import begun
from pytest_deploygate.engine.engine_context import Ports, Progress, silent
from pytest_deploygate.engine.finalize import clear_marks, tidy_or_note
from pytest_deploygate.engine.heartbeat import LeaseKeeper
from pytest_deploygate.engine.journaled_rollout import Ledgered
from pytest_deploygate.engine.rollout import new_rollout_id

RECOVERY = "recover"
"""Purpose of the lease under which what a dead process left is settled: a matter of a second, as a rule."""
LEFT_OVER = 5
"""How many rollouts back one is looked for that began what still goes on at the platform."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recovery:
    """One rollout settled: how it stood when it was found, how it ended, and why."""

    rollout_id: RolloutId
    found: State
    state: State
    sentence: str


def settle_environment(
    ports: Ports,
    *,
    actor: Actor,
    is_stale: Callable[[Lease], bool],
    progress: Progress = silent,
) -> tuple[Recovery, ...]:
    """Settle every open rollout of the environment, also one that only the target remembers.

    Raises:
        LockHeld: a living process holds the lease; nothing was touched.
    """
    store = ports.store
    held = store.lease(ports.environment)
    if held is not None and not is_stale(held):
        raise held_by(held)
    found = store.open_rollouts(ports.environment)
    marked = ports.target.snapshot().marks.rollout
    is_left_over = marked is not None and marked not in {r.rollout_id for r in found}
    if held is None and not found and not is_left_over:
        return ()
    lease = _lease_for(ports, held, actor)
    with LeaseKeeper(store, lease):
        settled = [settle(ports, record, lease, progress) for record in found]
        if all(s.state is not State.STRANDED for s in settled):
            settled += _settle_marked(ports, lease, actor, progress)
    if all(s.state is not State.STRANDED for s in settled):
        store.release_lease(lease)
    return tuple(settled)


def await_left_over(ports: Ports, progress: Progress = silent) -> bool:
    """Wait for a deployment at the platform that a rollout of ours began before it died; whether there was one.

    The platform takes one at a time. When it ends it brings along a revision without traffic and the marks of its
    rollout, so that the environment is to be settled again.

    Raises:
        OutcomeUnknown: it has not ended when the budget of a rollout is spent.
    """
    records = ports.store.history(ports.environment, LEFT_OVER)
    unended = {r.rollout_id: _unended(ports, r.rollout_id) for r in records}
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


def _unended(ports: Ports, rollout_id: RolloutId) -> set[str]:
    """Operations that the rollout began and whose end nobody saw; "" for one whose name nobody learned."""
    known = begun(ports.store.journal(rollout_id)).values()
    return {one.operation for one in known if one.revision is None}


def supersede(ports: Ports, *, actor: Actor, sentence: str) -> tuple[RolloutId, ...]:
    """Close every open rollout of the environment, since a person decided what serves; touches nothing else.

    Raises:
        LockHeld: somebody acts on this environment.
    """
    found = ports.store.open_rollouts(ports.environment)
    if not found:
        return ()
    serving = ports.target.snapshot().serving.sole
    reason = Reason(code=ReasonCode.PROCESS_LOST, sentence=sentence)
    lease = _lease_for(ports, None, actor)
    for record in found:
        rollout = Ledgered(ports, record._replace(serving=serving), lease)
        rollout.keeps_lease = True
        if not record.state.is_final or record.state is State.STRANDED:
            rollout.move(Event.BROKE, {"reason": sentence})
        if rollout.state is State.ROLLING_BACK:
            rollout.move(Event.RESTORED, {"by": str(actor)})
        rollout.close(reason)
    ports.store.release_lease(lease)
    return tuple(record.rollout_id for record in found)


def held_by(lease: Lease) -> LockHeld:
    """The error that says who holds the lease and what to do."""
    return LockHeld(
        f"environment {lease.environment} is held by {lease.actor} since "
        f"{lease.since:%Y-%m-%d %H:%M:%S} UTC for {lease.purpose} (rollout {lease.rollout_id})",
        hint=f"wait for it (--deploy-wait=SECONDS), or if it is dead and cannot be seen from here: "
        f"deploygate unlock {lease.environment} --reason TEXT",
    )


def _lease_for(ports: Ports, held: Lease | None, actor: Actor) -> Lease:
    ttl_s = ports.settings.lease_ttl_s
    if held is not None:
        return ports.store.take_over(held, actor, RECOVERY, held.rollout_id, ttl_s)
    rollout_id = new_rollout_id(ports.clock.now())
    return ports.store.acquire_lease(ports.environment, actor, RECOVERY, rollout_id, ttl_s)


def settle(
    ports: Ports, record: RolloutRecord, lease: Lease, progress: Progress = silent
) -> Recovery:
    """Bring one open rollout to its end under ``lease``, without giving the lease back."""
    found = record.state
    rollout = Ledgered(ports, record, lease, progress)
    rollout.keeps_lease = True
    reason = _why(record)
    progress("recovering", reason.sentence)
    if found is State.FINALISING:
        tidy_or_note(rollout, reason)
    elif found is State.OPEN:
        rollout.move(Event.BROKE, {"reason": reason.sentence})
        rollout.close(reason)
    elif found.is_final and found is not State.STRANDED:
        rollout.close(
            Reason(code=ReasonCode.PROCESS_LOST, sentence=record.reason or reason.sentence)
        )
    else:
        restore(rollout, reason)
    return Recovery(
        rollout_id=record.rollout_id,
        found=found,
        state=rollout.state,
        sentence=rollout.record.reason,
    )


def _why(record: RolloutRecord) -> Reason:
    """Why an open rollout goes back now; one that is stranded goes on for the reason that it had."""
    facts = record.facts
    if record.state is State.STRANDED and "broke_because" in facts:
        code = ReasonCode(facts.get("broke_code", ReasonCode.PROCESS_LOST.value))
        return Reason(code=code, sentence=facts["broke_because"])
    died = (
        f"the process that ran rollout {record.rollout_id} died while it was {record.state.value}"
    )
    return Reason(code=ReasonCode.PROCESS_LOST, sentence=died)


def _settle_marked(
    ports: Ports, lease: Lease, actor: Actor, progress: Progress
) -> tuple[Recovery, ...]:
    """The rollout whose marks are still on the service although none is open, if there is one."""
    snapshot = ports.target.snapshot()
    if snapshot.marks.rollout is None:
        return ()
    record = ports.store.rollout(snapshot.marks.rollout)
    if record is None:
        return (_settle_orphan(ports, snapshot, snapshot.marks.rollout, lease, actor, progress),)
    try:
        clear_marks(Ledgered(ports, record, lease, progress), snapshot)
    except TargetError as error:
        # What serves is right; the next rollout writes its own marks over these.
        progress("untidy", error.message)
    return ()


def _settle_orphan(
    ports: Ports,
    snapshot: Snapshot,
    rollout_id: RolloutId,
    lease: Lease,
    actor: Actor,
    progress: Progress,
) -> Recovery:
    """A rollout of which the store knows nothing: the marks on the service say where to return to."""
    marks = snapshot.marks
    facts = {
        "existed": str(marks.baseline is not None).lower(),
        "traffic": str(snapshot.traffic),
        "restore_to": str(Traffic.of({marks.baseline: 100} if marks.baseline else {})),
        "baseline_digest": marks.digest,
        "baseline_config": marks.config,
    }
    foreign = [r for r, _ in snapshot.serving.shares if r != marks.baseline]
    tags = dict(snapshot.traffic.tags)
    record = RolloutRecord(
        rollout_id=rollout_id,
        environment=ports.environment,
        purpose=RECOVERY,
        actor=actor,
        began_at=ports.clock.now(),
        state=State.SERVING,
        baseline=marks.baseline,
        candidate=tags.get("dg-cand") or (foreign[0] if len(foreign) == 1 else None),
        verification=tags.get("dg-verify"),
        facts=facts,
    )
    ports.store.begin(record, lease)
    return settle(ports, record, lease, progress)
