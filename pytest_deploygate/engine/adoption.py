"""An operator marks a revision as known good, so that it can be a baseline or a rollback target (ADR 7)."""

from pytest_deploygate.core.errors import DeployGateError, PolicyRefused, TargetRefused
from pytest_deploygate.core.identifiers import Actor, Phase, RevisionName
from pytest_deploygate.core.release import RolloutLabels, Snapshot
from pytest_deploygate.core.state_machine import Event
from pytest_deploygate.core.verdict import Reason, ReasonCode
from pytest_deploygate.engine.engine_context import Ports, Progress, ignore_progress
from pytest_deploygate.engine.journaled_rollout import JournaledRollout
from pytest_deploygate.engine.permits import PhasePermits
from pytest_deploygate.engine.rollback_plan import bad_verdict_on
from pytest_deploygate.engine.rollout import Rollout


def adopt(
    ports: Ports,
    revision: RevisionName,
    *,
    actor: Actor,
    reason: str,
    even_though: str = "",
    progress: Progress = ignore_progress,
) -> JournaledRollout:
    """Record ``revision`` as good; if it serves all traffic, label the service so too. Moves no traffic.

    ``even_though`` is the rollout whose bad verdict on it the operator overrules.

    Raises:
        PolicyRefused: a rollout judged it bad, and that one is not named.
        TargetRefused: it does not exist or is not ready.
        LeaseHeld: somebody acts on this environment.
        TargetError: the service could not be labelled; nothing was adopted.
    """
    snapshot = ports.target.snapshot()
    _require_adoptable(ports, snapshot, revision, even_though)
    serves = snapshot.serving.sole == revision
    # The operator vouches for the revision in place of the live gates.
    vouched = PhasePermits(Phase.LIVE)
    rollout = Rollout.open(ports, actor=actor, purpose="adopt", progress=progress, permits=vouched)
    why = Reason(code=ReasonCode.REQUESTED, sentence=reason)
    try:
        rollout.update(
            rollout.record._replace(
                candidate=revision, serving=revision if serves else None, url=snapshot.url
            )
        )
        if serves:
            # The same traffic plan again: the write only adds the labels, so that the service itself names the baseline
            # (ADR 4). It is compare-and-set: traffic that somebody moved meanwhile is not overwritten.
            rollout.act(
                "mark",
                lambda: ports.target.shift_traffic(
                    snapshot.traffic,
                    expect=snapshot.serving,
                    rollout_labels=RolloutLabels(baseline=revision),
                ),
                observed=lambda s: {"traffic": str(s.traffic)},
            )
    except DeployGateError:
        rollout.end(Event.BROKE, why)
        raise
    rollout.end(Event.UNCHANGED, why)
    return rollout


def _require_adoptable(
    ports: Ports, snapshot: Snapshot, revision: RevisionName, even_though: str
) -> None:
    """Refuse a revision that is not ready, or that a rollout other than ``even_though`` judged bad."""
    info = ports.target.revision(revision) if snapshot.exists else None
    if info is None or not info.is_ready:
        raise TargetRefused(
            f"revision {revision} {'does not exist' if info is None else 'is not ready'}",
            hint=f"deploygate status {ports.environment} shows what serves",
        )
    bad = bad_verdict_on(ports, revision)
    if bad is not None and bad.rollout_id != even_though:
        # An adopted revision can become the automatic rollback target, where nobody looks at it again.
        raise PolicyRefused(
            f"revision {revision} was judged bad by rollout {bad.rollout_id}: {bad.reason}",
            hint=f"if it is good after all: deploygate adopt {ports.environment} {revision} "
            f"--even-though {bad.rollout_id} --reason TEXT",
        )
