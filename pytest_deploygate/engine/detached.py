"""A rollout that waits at a step without a process: who leaves it there, who carries it on, who ends it.

It holds no lease while nobody works on it. Every runner takes the lease, carries the rollout one step on, and leaves it
again or ends it. A runner that dies at a step leaves it to the next runner; one that dies while it moves traffic leaves
it to the recovery, as any other rollout. A step that nobody carries on in time returns to the baseline.
"""

from datetime import datetime, timedelta
from typing import Final

from pytest_deploygate.core.artifacts import Package
from pytest_deploygate.core.engine_settings import TrafficStep
from pytest_deploygate.core.errors import ConfigError, Drifted, LeaseHeld
from pytest_deploygate.core.identifiers import Actor, EnvironmentName
from pytest_deploygate.core.record import Lease, RolloutRecord
from pytest_deploygate.core.state_machine import State
from pytest_deploygate.core.traffic import steps_to
from pytest_deploygate.core.verdict import Reason
from pytest_deploygate.engine.baseline_rollback import rollback_to_baseline
from pytest_deploygate.engine.engine_context import Ports, Progress, ignore_progress
from pytest_deploygate.engine.finalize import require_revision
from pytest_deploygate.engine.journaled_rollout import JournaledRollout
from pytest_deploygate.engine.permits import PhasePermits
from pytest_deploygate.engine.rollout import Rollout

GRACE_S: Final = 3600
"""How long after the end of a step somebody may still carry the rollout on."""


def is_detached(record: RolloutRecord, now: datetime) -> bool:
    """Whether the next runner carries the rollout on; from ``detached_until`` on nobody does."""
    until = record.detached_until
    return record.state is State.STEPPING and until is not None and now < until


def find_detached(ports: Ports) -> RolloutRecord | None:
    """The rollout that waits at a step of the environment, if there is one."""
    now = ports.clock.now()
    found = [r for r in ports.store.open_rollouts(ports.environment) if is_detached(r, now)]
    return found[-1] if found else None


def waiting_sentence(record: RolloutRecord) -> str:
    """At which step ``record`` waits, and until when."""
    until = record.detached_until
    told = f"rollout {record.rollout_id} is at {record.step_percent} % in {record.environment}"
    return f"{told} and goes on until {until:%Y-%m-%d %H:%M} UTC" if until is not None else told


def waiting_hint(environment: EnvironmentName) -> str:
    """What to do about a rollout that waits at a step."""
    return (
        f"carry it on: pytest --deploy-resume={environment}; "
        f"or end it: deploygate abort {environment} --reason TEXT"
    )


def check_nothing_is_detached(ports: Ports) -> None:
    """Raise LeaseHeld if a rollout waits at a step: it has the environment although no process holds the lease."""
    record = find_detached(ports)
    if record is not None:
        raise LeaseHeld(waiting_sentence(record), hint=waiting_hint(ports.environment))


def detach(rollout: Rollout, elapsed_s: float) -> None:
    """Leave the rollout at its step, which has taken ``elapsed_s`` seconds, and release the lease."""
    assert rollout.step is not None
    left_s = max(0.0, rollout.step.longest_s - elapsed_s) + GRACE_S
    until = rollout.ports.clock.now() + timedelta(seconds=left_s)
    # Durable before the lease is free: who takes it next must not take the rollout for one of a dead process.
    rollout.update(rollout.record._replace(detached_until=until))
    rollout.ports.store.release_lease(rollout.lease)


def resume(
    ports: Ports,
    record: RolloutRecord,
    *,
    actor: Actor,
    package: Package,
    permits: PhasePermits,
    progress: Progress = ignore_progress,
) -> Rollout | None:
    """Take the lease and carry ``record`` on from its step; None if somebody else has done so meanwhile.

    Raises:
        LeaseHeld: another runner works on it.
        ConfigError: the settings have no such step any more.
        Drifted: somebody moved traffic meanwhile; the rollout is not touched.
    """
    step = _step_at(ports, record.step_percent)
    snapshot = ports.target.snapshot()
    candidate = require_revision(record.candidate, "candidate")
    (expected,) = steps_to(candidate, record.baseline, (step.percent,), record.fresh_baseline)
    if snapshot.serving.shares != expected.shares:
        raise Drifted(
            f"somebody else moved traffic during the rollout: {snapshot.serving} serves now, not {expected}",
            found=str(snapshot.serving),
            hint=f"decide what should serve: deploygate rollback {ports.environment} --to REVISION --reason TEXT",
        )
    taken = _take(ports, record, actor)
    if taken is None:
        return None
    rollout = Rollout(ports, *taken, progress)
    rollout.continue_at(step, snapshot, package, permits)
    return rollout


def _take(ports: Ports, record: RolloutRecord, actor: Actor) -> tuple[RolloutRecord, Lease] | None:
    """The rollout as it is once the lease is ours; None, and no lease, if it is not at that step any more."""
    ttl_s = ports.settings.lease_ttl_s
    lease = ports.store.acquire_lease(
        ports.environment, actor, record.purpose, record.rollout_id, ttl_s
    )
    try:
        now = ports.store.rollout(record.rollout_id)
    except BaseException:
        ports.store.release_lease(lease)
        raise
    if now is None or now.step_percent != record.step_percent or now.state is not State.STEPPING:
        ports.store.release_lease(lease)
        return None
    return now, lease


def _step_at(ports: Ports, percent: int) -> TrafficStep:
    for step in ports.settings.steps:
        if step.percent == percent and ports.settings.is_judged(step):
            return step
    raise ConfigError(
        f"the rollout is at {percent} %, and the settings of {ports.environment} have no such step that is judged",
        hint=f"restore the steps, or end it: deploygate abort {ports.environment} --reason TEXT",
    )


def abort_detached(
    ports: Ports,
    record: RolloutRecord,
    *,
    actor: Actor,
    reason: Reason,
    progress: Progress = ignore_progress,
) -> JournaledRollout | None:
    """Return a rollout that nobody works on to its baseline; None if somebody else has carried it on meanwhile.

    Raises:
        LeaseHeld: a runner works on it.
    """
    taken = _take(ports, record, actor)
    if taken is None:
        return None
    rollout = JournaledRollout(ports, *taken, progress)
    rollback_to_baseline(rollout, reason)
    return rollout
