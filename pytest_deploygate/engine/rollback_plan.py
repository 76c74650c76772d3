"""Chooses and checks the rollback target: the last revision that was judged good."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

from pytest_deploygate.core.errors import TargetRefused
from pytest_deploygate.core.identifiers import RevisionName
from pytest_deploygate.core.own_tags import TAG_PREVIOUS, TAG_PREVIOUS_VERIFY
from pytest_deploygate.core.record import RolloutRecord
from pytest_deploygate.core.release import Snapshot
from pytest_deploygate.core.state_machine import State
from pytest_deploygate.core.traffic import Traffic
from pytest_deploygate.engine.engine_context import Ports

if TYPE_CHECKING:
    from pytest_deploygate.core.artifacts import Backup

HISTORY = 1000
"""How many past rollouts are searched for the last good revision."""
FIRST = 20
"""How many of them are read first (ADR 13)."""


class RollbackPlan(NamedTuple):
    """From which revision to which. ``to_verification`` is the verification revision of ``to`` if it is known.

    ``digest`` and ``config`` are those of ``to``, ``bad_digest`` and ``bad_config`` those of the serving revision, so
    that the bad release is recognised when somebody deploys it again. ``to`` is redeployed from ``backup`` if it is
    gone.
    """

    serving: Traffic
    to: RevisionName
    to_verification: RevisionName | None = None
    digest: str = ""
    config: str = ""
    public: bool = False
    bad_digest: str = ""
    bad_config: str = ""
    backup: str = ""
    url: str = ""


def plan_rollback(
    ports: Ports,
    snapshot: Snapshot,
    *,
    to: RevisionName | None = None,
    backup: "Backup | None" = None,
    is_emergency: bool = False,
) -> RollbackPlan:
    """Choose the rollback target: ``to`` or the revision of ``backup``, else the last one that was judged good.

    In an emergency the operator who names a revision answers for it: only its readiness is checked.

    Raises:
        TargetRefused: there is none, it is not ready, it is known to be bad, or it was never verified.
    """
    if not snapshot.exists:
        raise TargetRefused(
            "nothing is deployed, so there is nothing to roll back",
            hint=f"to deploy: pytest --deploy-to={ports.environment}",
        )
    wanted = backup.revision if backup is not None else to or _find_last_good(ports, snapshot)
    if snapshot.serving.sole == wanted:
        raise TargetRefused(f"{wanted} already serves all traffic")
    info = ports.target.revision(wanted)
    if backup is None and (info is None or not info.is_ready):
        raise TargetRefused(
            f"revision {wanted} {'does not exist' if info is None else 'is not ready'}",
            hint=f"deploygate history {ports.environment} lists the revisions that were judged good, "
            f"deploygate backups {ports.environment} the backups for --to-backup",
        )
    is_named = to is not None or backup is not None
    if not (is_emergency and is_named):
        _refuse_unjudged(ports, snapshot, wanted)
    release, bad = ports.store.promotion_of(ports.environment, wanted), None
    if snapshot.serving.sole is not None:
        bad = ports.store.promotion_of(ports.environment, snapshot.serving.sole)
    return RollbackPlan(
        serving=snapshot.serving,
        to=wanted,
        to_verification=_verification_of(wanted, release, snapshot),
        digest=release.digest[:63] if release is not None else "",
        config=release.config_digest[:63] if release is not None else "",
        public=snapshot.is_public,
        bad_digest=bad.digest if bad is not None else "",
        bad_config=bad.config_digest if bad is not None else "",
        backup=backup.identifier if backup is not None else _newest_backup(ports, wanted),
        url=snapshot.url,
    )


def _verification_of(
    wanted: RevisionName, release: RolloutRecord | None, snapshot: Snapshot
) -> RevisionName | None:
    """The verification revision beside ``wanted``: of its release, else by our tags."""
    if release is not None and release.verification is not None:
        return release.verification
    tags = dict(snapshot.traffic.tags)
    return tags.get(TAG_PREVIOUS_VERIFY) if tags.get(TAG_PREVIOUS) == wanted else None


def bad_verdict_on(ports: Ports, revision: RevisionName) -> RolloutRecord | None:
    """The rollout that rolled ``revision`` back, if that is the latest verdict on it."""
    for record in _iterate_history(ports):
        if record.state is State.PROMOTED and revision in (record.candidate, record.serving):
            return None
        if record.state is State.ROLLED_BACK and record.candidate == revision:
            return record
    return None


def _newest_backup(ports: Ports, revision: RevisionName) -> str:
    """Id of the newest backup of ``revision``, for a redeployment if the platform lost it or its image; "" if none."""
    known = ports.store.backups(ports.environment)
    return next((backup.identifier for _, backup in known if backup.revision == revision), "")


def _refuse_unjudged(ports: Ports, snapshot: Snapshot, wanted: RevisionName) -> None:
    """The latest verdict on ``wanted`` must not be bad, and at least one earlier verdict must be good."""
    if ports.store.is_known_good(ports.environment, wanted):
        return
    has_served = False
    for record in ports.store.history(ports.environment, HISTORY):
        if record.state is State.ROLLED_BACK and record.candidate == wanted:
            raise TargetRefused(
                f"revision {wanted} was rolled back before (rollout {record.rollout_id}); cannot roll back to it",
                hint="name another one with --to, or adopt it if it is good after all: "
                f"deploygate adopt {ports.environment} {wanted} --reason TEXT",
            )
        has_served = has_served or record.baseline == wanted
    marked = (snapshot.rollout_labels.baseline, dict(snapshot.traffic.tags).get(TAG_PREVIOUS))
    if not (has_served or wanted in marked):
        raise TargetRefused(
            f"revision {wanted} was never verified by deploygate; cannot roll back to it",
            hint=f"adopt it first if it is good: deploygate adopt {ports.environment} {wanted} --reason TEXT; in an "
            "emergency: --emergency",
        )


def _find_last_good(ports: Ports, snapshot: Snapshot) -> RevisionName:
    serving = dict(snapshot.serving.shares)
    previous = dict(snapshot.traffic.tags).get(TAG_PREVIOUS)
    # The tag first: it is on the service itself, so it is right even where the record is lost or stale (ADR 4).
    if previous is not None and previous not in serving:
        return previous
    left = _unrecorded_rollback(ports, snapshot)
    for record in _iterate_history(ports):
        good = record.candidate if record.state is State.PROMOTED else record.baseline
        if (
            good is not None
            and good != left
            and good not in serving
            and ports.store.is_known_good(ports.environment, good)
        ):
            return good
    # Never go to the revision that somebody left without recording it: it may be the bad one (ADR 12).
    doubt = f"; {left} was rolled back without a record" if left is not None else ""
    raise TargetRefused(
        f"no revision besides the one that serves is known to be good{doubt}",
        hint=f"name one: deploygate rollback {ports.environment} --to REVISION --reason TEXT",
    )


def _iterate_history(ports: Ports) -> Iterator[RolloutRecord]:
    """Past rollouts, newest first; reads a few first, which usually suffice."""
    yield from (recent := ports.store.history(ports.environment, FIRST))
    if len(recent) == FIRST:
        yield from ports.store.history(ports.environment, HISTORY)[FIRST:]


def _unrecorded_rollback(ports: Ports, snapshot: Snapshot) -> RevisionName | None:
    """The revision the store believes serves, when the service shows another good one (an unrecorded rollback)."""
    believed = next(
        (r.serving for r in _iterate_history(ports) if r.state.is_final and r.serving), None
    )
    serves = snapshot.baseline
    is_good = snapshot.is_marked_good or (
        serves is not None and ports.store.is_known_good(ports.environment, serves)
    )
    return believed if is_good and believed != serves else None
