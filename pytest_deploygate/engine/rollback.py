"""Going back from what serves to a revision that was judged good before: chosen, checked, carried out."""

from dataclasses import dataclass, replace

from pytest_deploygate.core.errors import TargetRefused
from pytest_deploygate.core.record import RolloutRecord
from pytest_deploygate.core.release import (
    TAG_LIVE_VERIFY,
    TAG_PREVIOUS,
    TAG_PREVIOUS_VERIFY,
    Snapshot,
)
from pytest_deploygate.core.rollout import State
from pytest_deploygate.core.traffic import Traffic
from pytest_deploygate.core.values import Actor, RevisionName
from pytest_deploygate.core.verdict import Reason
from pytest_deploygate.engine.restore import restore
from pytest_deploygate.engine.rollout import Rollout
from pytest_deploygate.engine.session import Ledgered, Ports, Progress, silent

HISTORY = 50
"""How many past rollouts are looked through for the last good revision."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RollbackPlan:
    """From which revision to which. ``to_verify`` is the verification revision of ``to`` if it is known."""

    serving: Traffic
    to: RevisionName
    to_verify: RevisionName | None = None
    digest: str = ""
    config: str = ""
    public: bool = False


def plan_rollback(
    ports: Ports, snapshot: Snapshot, *, to: RevisionName | None = None
) -> RollbackPlan:
    """Choose where to go back to: ``to`` if named, else the last revision judged good before what serves.

    Raises:
        TargetRefused: there is none, it is not ready, or it is known to be bad.
    """
    if not snapshot.exists:
        raise TargetRefused("nothing is deployed, so there is nothing to roll back")
    wanted = to or _last_good(ports, snapshot)
    if snapshot.serving.sole == wanted:
        raise TargetRefused(f"{wanted} already serves all traffic")
    info = ports.target.revision(wanted)
    if info is None or not info.is_ready:
        raise TargetRefused(
            f"revision {wanted} {'does not exist' if info is None else 'is not ready'}",
            hint="deploygate history ENV lists the revisions that were judged good",
        )
    release = _release_of(ports, wanted)
    if release is not None and not ports.store.is_known_good(ports.environment, wanted):
        raise TargetRefused(
            f"revision {wanted} was rolled back before, so it is no place to go back to",
            hint="name another one with --to",
        )
    tags = dict(snapshot.traffic.tags)
    verify = release.verify if release is not None else None
    if verify is None and tags.get(TAG_PREVIOUS) == wanted:
        verify = tags.get(TAG_PREVIOUS_VERIFY)
    return RollbackPlan(
        serving=snapshot.serving,
        to=wanted,
        to_verify=verify,
        digest=release.digest[:63] if release is not None else "",
        config=release.facts.get("config", "")[:63] if release is not None else "",
        public=snapshot.is_public,
    )


def _last_good(ports: Ports, snapshot: Snapshot) -> RevisionName:
    serving = dict(snapshot.serving.shares)
    previous = dict(snapshot.traffic.tags).get(TAG_PREVIOUS)
    if previous is not None and previous not in serving:
        return previous
    for record in ports.store.history(ports.environment, HISTORY):
        good = record.candidate if record.state is State.PROMOTED else record.baseline
        if (
            good is not None
            and good not in serving
            and ports.store.is_known_good(ports.environment, good)
        ):
            return good
    raise TargetRefused(
        "no revision that was judged good is known besides what serves",
        hint="name one: deploygate rollback ENV --to REVISION --reason TEXT",
    )


def _release_of(ports: Ports, revision: RevisionName) -> RolloutRecord | None:
    """The rollout that promoted ``revision``, if the store knows it."""
    for record in ports.store.history(ports.environment, HISTORY):
        if record.state is State.PROMOTED and record.candidate == revision:
            return record
    return None


def roll_back(
    ports: Ports,
    plan: RollbackPlan,
    *,
    actor: Actor,
    purpose: str,
    reason: Reason,
    progress: Progress = silent,
) -> Ledgered:
    """Carry out a plan under the lease; the result's state is ROLLED_BACK or STRANDED.

    Raises:
        LockHeld: somebody else acts on this environment.
    """
    rollout = Rollout.open(ports, actor=actor, purpose=purpose, progress=progress)
    tags = {TAG_LIVE_VERIFY: plan.to_verify} if plan.to_verify is not None else {}
    rollout.update(
        replace(
            rollout.record,
            baseline=plan.to,
            candidate=plan.serving.sole,
            serving=plan.serving.sole,
            facts={
                **rollout.record.facts,
                "existed": "true",
                "traffic": str(plan.serving),
                "restore_to": str(Traffic.of({plan.to: 100}, tags)),
                "baseline_digest": plan.digest,
                "baseline_config": plan.config,
            },
        )
    )
    restore(rollout, reason)
    return rollout
