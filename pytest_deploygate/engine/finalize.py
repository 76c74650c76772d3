"""Finalises a promoted service: sets tags, rollout labels and LATEST.

It reads only the record and the service, so a recovery can repeat it.
"""

from pytest_deploygate.core.errors import DeployGateError, LeaseLost, StoreError, TargetError
from pytest_deploygate.core.identifiers import RevisionName
from pytest_deploygate.core.own_tags import TAG_LIVE_VERIFY, TAG_PREVIOUS, TAG_PREVIOUS_VERIFY
from pytest_deploygate.core.record import RestorePoint, RolloutRecord
from pytest_deploygate.core.release import RolloutLabels, Snapshot
from pytest_deploygate.core.state_machine import Event, State
from pytest_deploygate.core.traffic import LATEST, Traffic
from pytest_deploygate.core.verdict import Reason
from pytest_deploygate.engine.journaled_rollout import JournaledRollout


def require_revision(revision: RevisionName | None, role: str) -> RevisionName:
    """Return the revision; raise StoreError if the record does not name one."""
    if revision is None:
        raise StoreError(f"the record of the rollout names no {role}")
    return revision


def require_restore_point(record: RolloutRecord) -> RestorePoint:
    """Return the restore point; raise StoreError if the record has none."""
    if record.restore_point is None:
        raise StoreError("the record of the rollout does not say what served before it")
    return record.restore_point


def finalize_best_effort(rollout: JournaledRollout, reason: Reason) -> None:
    """Clean up and end as PROMOTED. The candidate serves and was judged good, so a failure here is only recorded."""
    rollout.is_lenient = True  # a store that cannot be written must not undo a promotion
    _keep_previous_image(rollout)
    event = Event.FINALISED
    try:
        rollout.act("finalise", lambda: _clean_up(rollout))
    except LeaseLost:
        raise
    except DeployGateError as error:
        rollout.update(rollout.record._replace(unfinished=error.message))
        event = Event.BROKE
    rollout.move(event, {"reason": reason.sentence})
    rollout.close(reason)


def _keep_previous_image(rollout: JournaledRollout) -> None:
    """Tag the image of the baseline in the registry, because clean-up policies delete untagged images (ADR 22).

    Without the permission a rollback can still redeploy the source from the backup, so a failure is only recorded.
    """
    baseline = rollout.record.baseline
    if baseline is None:
        return
    try:
        rollout.act(
            "keep_image",
            lambda: rollout.ports.target.keep_image(baseline, TAG_PREVIOUS),
            intent={"revision": baseline, "tag": TAG_PREVIOUS},
        )
    except TargetError as error:
        notes = {**rollout.record.notes, "previous image": str(error)}
        rollout.update(rollout.record._replace(notes=notes))


def clear_labels(rollout: JournaledRollout, snapshot: Snapshot) -> None:
    """Clean up a service that still has the labels of a rollout that has ended.

    Either the clean-up after a promotion failed, or a build ended after the rollback and wrote its labels again. If
    neither the candidate nor the baseline serves alone, somebody else acted since, and nothing is touched.
    """
    record, point = rollout.record, rollout.record.restore_point
    if record.state is State.PROMOTED and snapshot.serving.sole == record.candidate:
        rollout.act("finalise", lambda: _clean_up(rollout))
    elif record.state is State.PROMOTED or point is None:
        return
    elif snapshot.serving.shares == point.restore_to.shares:
        resting = point.restore_to
        rollout.act(
            "clear_labels",
            lambda: rollout.ports.target.shift_traffic(
                resting, expect=resting, rollout_labels=point.labels
            ),
        )


def _clean_up(rollout: JournaledRollout) -> None:
    record, target = rollout.record, rollout.ports.target
    candidate = require_revision(record.candidate, "candidate")
    point = require_restore_point(record)
    now = target.snapshot()
    # Follow LATEST only if it leads to the candidate: it would give the traffic to a newer revision that somebody else
    # deployed and no gate judged (ADR 22).
    is_latest = now.latest_ready == candidate and now.latest_created == candidate
    tags: dict[str, RevisionName] = {}
    if record.verification is not None:
        tags[TAG_LIVE_VERIFY] = record.verification
    if record.baseline is not None:
        tags[TAG_PREVIOUS] = record.baseline
        previous_verify = dict(point.before.tags).get(TAG_LIVE_VERIFY)
        if previous_verify is not None:
            tags[TAG_PREVIOUS_VERIFY] = previous_verify
    # A missing revision cannot be tagged: drop its tag, so that the rest of the write succeeds.
    tags = {tag: revision for tag, revision in tags.items() if target.revision(revision)}
    target.shift_traffic(
        Traffic.of({LATEST if point.follows_latest and is_latest else candidate: 100}, tags),
        expect=Traffic.of({candidate: 100}),
        rollout_labels=RolloutLabels(
            baseline=candidate, digest=record.digest[:63], config=record.config_digest[:63]
        ),
    )
