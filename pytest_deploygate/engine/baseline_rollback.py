"""Automatic rollback: returns all traffic to the baseline and verifies that. Needs nothing that the rollout created.

It needs no build, no upload and no store: one traffic write, and reads. If somebody else moved traffic to a revision
that is neither the baseline nor ours, it changes nothing. A rollback that cannot be verified ends as STRANDED.
"""

import logging
from collections.abc import Callable
from dataclasses import replace

from pytest_deploygate.core.artifacts import Backup
from pytest_deploygate.core.errors import (
    Drifted,
    NotCarriedOut,
    OutcomeUnknown,
    StoreError,
    TargetError,
    TargetRefused,
    TargetUnavailable,
)
from pytest_deploygate.core.function_spec import Variant
from pytest_deploygate.core.identifiers import BackupId, RevisionName
from pytest_deploygate.core.record import RestorePoint, RolloutRecord
from pytest_deploygate.core.release import Snapshot
from pytest_deploygate.core.state_machine import Event, State
from pytest_deploygate.core.traffic import LATEST, Traffic
from pytest_deploygate.core.verdict import Reason, ReasonCode
from pytest_deploygate.engine.deploy_operations import wait_for_running_operations
from pytest_deploygate.engine.journaled_rollout import JournaledRollout
from pytest_deploygate.engine.redeploy import redeploy
from pytest_deploygate.engine.traffic_verification import wait_until_serving
from pytest_deploygate.system.retry import Backoff, attempts

logger = logging.getLogger(__name__)


def rollback_to_baseline(rollout: JournaledRollout, reason: Reason) -> None:
    """Return all traffic to the baseline and end as ROLLED_BACK, or as STRANDED when that cannot be verified.

    Raises:
        LeaseLost: somebody else acts on this environment now.
    """
    # From here on a store that cannot be written is only logged: users are on a bad release.
    rollout.is_lenient = True
    clock = rollout.ports.clock
    began = clock.monotonic()
    deadline = began + rollout.ports.settings.rollback_budget_s
    event = Event.SERVING_BAD if rollout.state is State.OPEN else Event.BROKE
    rollout.move(event, {"reason": reason.sentence})
    rollout.progress("rolling back", reason.sentence)
    failure = _retry_until(deadline, rollout, lambda: _return_traffic(rollout, deadline))
    if failure is None:
        seconds, point = round(clock.monotonic() - began, 3), rollout.record.restore_point
        if point is not None and point.existed:
            # Traffic first, template second: the template affects only the next deployment (ADR 22).
            _put_template_back(rollout)
        serving = point.restore_to.sole if point is not None else None
        rollout.update(rollout.record._replace(serving=serving, rollback_s=seconds))
        rollout.move(Event.RESTORED, {"seconds": f"{seconds:.3f}"})
        rollout.close(reason)
        return
    rollout.update(rollout.record._replace(rollback_error=str(failure), rollback_cause=reason))
    rollout.move(Event.NOT_RESTORED, {"error": failure.message})
    code = ReasonCode.DRIFTED if isinstance(failure, Drifted) else ReasonCode.ROLLBACK_UNVERIFIED
    rollout.close(
        Reason(code=code, sentence=f"{failure.message} (rolling back because {reason.sentence})")
    )


def _retry_until(
    deadline: float, rollout: JournaledRollout, attempt: Callable[[], None]
) -> TargetError | None:
    """Repeat ``attempt`` while its error may be temporary; returns the error that ended it, or None."""
    clock, failure = rollout.ports.clock, None
    backoff = Backoff(first_s=rollout.ports.settings.pause_s, longest_s=15.0)
    for tried in attempts(clock, backoff, deadline=deadline):
        try:
            attempt()
        except (Drifted, TargetRefused) as error:
            return error
        except (TargetUnavailable, OutcomeUnknown) as error:
            failure = error  # repeating is safe: each attempt reads the service before it writes
            if not tried.is_last:
                logger.warning(
                    "rollback.retry",
                    extra={"correlation_id": rollout.record.rollout_id, "reason": error.message},
                )
                left = deadline - clock.monotonic()
                rollout.progress("retrying", f"{error.message}; gives up in {left:.0f} s")
        else:
            return None
    return failure


def _return_traffic(rollout: JournaledRollout, deadline: float) -> None:
    point = rollout.record.restore_point
    if point is None:
        return  # nothing was observed, so nothing was touched
    if not point.existed:
        _remove_first_release(rollout, deadline)
        return
    now = rollout.ports.target.snapshot()
    # The write below expects the traffic of this snapshot: it raises Drifted if somebody moves traffic in between.
    _refuse_if_foreign(rollout, now, point)
    point = _restore_missing_baseline(rollout, point, now, deadline)
    try:
        _shift_back(rollout, point, now)
    except NotCarriedOut as error:
        point, now = _replace_broken_baseline(rollout, point, now, error, deadline)
        _shift_back(rollout, point, now)
    if point.restore_to.sole is not None:
        wait_until_serving(rollout, point.restore_to.sole, deadline)


def _shift_back(rollout: JournaledRollout, point: RestorePoint, now: Snapshot) -> None:
    final = _unpin_if_untouched(rollout, point, now)
    expect = Traffic.of(dict(now.serving.shares))
    if not final.is_pinned and now.serving.sole != point.restore_to.sole:
        # LATEST may be written only where it already leads, so the baseline gets the traffic by its name first.
        _write_back(rollout, point, point.restore_to, expect)
        expect = Traffic.of(dict(point.restore_to.shares))
    _write_back(rollout, point, final, expect)


def _write_back(
    rollout: JournaledRollout, point: RestorePoint, wanted: Traffic, expect: Traffic
) -> None:
    rollout.act(
        "shift_back",
        lambda: rollout.ports.target.shift_traffic(
            wanted, expect=expect, rollout_labels=point.labels
        ),
        intent={"from": str(expect), "to": str(wanted)},
        observed=lambda s: {"traffic": str(s.traffic)},
    )


def _revisions_of(record: RolloutRecord) -> set[str]:
    """Revisions that the rollout created."""
    made = {record.candidate, record.verification, record.built, record.fresh_baseline}
    made.update(record.variants.values())
    return {name for name in made if name}


def _put_template_back(rollout: JournaledRollout) -> None:
    """Remove the variables of a verification revision from the service's template, if a rollout left them there.

    Google starts every deployment from the template, so the next one would take the test variables over (ADR 22). The
    newest revision shows whether they are there, because the record may be lost. Traffic is already back, so a failure
    here is only recorded.
    """
    target = rollout.ports.target
    if not target.spec.has_verification:
        return
    try:
        newest = target.snapshot().latest_created
        info = target.revision(newest) if newest is not None else None
        if newest is None or info is None or not target.spec.is_of_verification(info.variables):
            return
        of = rollout.record.built or newest
        rollout.act(
            "put_template_back",
            lambda: target.add_revision(of, Variant.CANDIDATE),
            intent={"of": of},
        )
    except TargetError as error:
        unfinished = f"the service's template still has test variables: {error.message}"
        rollout.update(rollout.record._replace(unfinished=unfinished))


def _refuse_if_foreign(rollout: JournaledRollout, now: Snapshot, point: RestorePoint) -> None:
    ours = _revisions_of(rollout.record) | set(dict(point.restore_to.shares))
    if point.leaves is not None:  # an operator rollback may leave a traffic split
        ours |= set(dict(point.leaves.shares))
    foreign = [r for r, _ in now.serving.shares if r not in ours]
    if not now.exists:
        raise TargetRefused(
            "the function no longer exists, so no revision can serve",
            hint="find out who deleted it, then deploy again",
        )
    if foreign:
        raise Drifted(
            f"somebody else moved traffic during the rollout: {now.serving} serves now",
            found=str(now.serving),
            hint="nothing was overwritten; decide what should serve, then: deploygate rollback",
        )


def _restore_missing_baseline(
    rollout: JournaledRollout, point: RestorePoint, now: Snapshot, deadline: float
) -> RestorePoint:
    """Return ``point``; if the platform lost the baseline, redeploy it from its backup and return to that revision."""
    baseline = point.restore_to.sole
    if baseline is None:
        return point
    info = rollout.ports.target.revision(baseline)
    if info is not None and info.is_ready:
        return point
    backup = _find_backup(rollout, baseline)
    if backup is None:
        raise TargetRefused(
            f"baseline {baseline} is gone or not ready, and there is no backup of it",
            hint="name another revision: deploygate rollback ENV --to REVISION --reason TEXT",
        )
    rollout.progress("redeploying", f"{baseline} is gone: restoring it from {backup.identifier}")
    return _redeploy_baseline(rollout, point, now, backup, deadline)


def _redeploy_baseline(
    rollout: JournaledRollout, point: RestorePoint, now: Snapshot, backup: Backup, deadline: float
) -> RestorePoint:
    revision = redeploy(rollout, backup, now, deadline=deadline)
    point = replace(point, restore_to=Traffic.of({revision: 100}))
    rollout.update(rollout.record._replace(restore_point=point, redeployed=revision))
    return point


def _replace_broken_baseline(
    rollout: JournaledRollout,
    point: RestorePoint,
    now: Snapshot,
    error: NotCarriedOut,
    deadline: float,
) -> tuple[RestorePoint, Snapshot]:
    """Redeploy from its backup a baseline that reports ready but takes no traffic, because its image is gone.

    First undo the failed traffic plan: the platform refuses deployments as long as the plan names that revision (ADR
    22).
    """
    target, baseline = rollout.ports.target, point.restore_to.sole
    backup = _find_backup(rollout, baseline) if baseline is not None else None
    if backup is None:
        raise NotCarriedOut(f"{error.message}; there is no backup of it", hint=error.hint)
    if now.serving.shares == point.restore_to.shares:  # it may still serve, so move no traffic
        raise NotCarriedOut(
            f"{error.message}; its source is in the backup {backup.identifier}",
            hint=f"deploygate rollback ENV --to-backup {backup.identifier} --reason TEXT",
        )
    rollout.progress("redeploying", f"{error.message}: restoring it from {backup.identifier}")
    # By revision name, not LATEST: the redeployed revision must get no traffic before it is verified.
    by_name = now.traffic.with_shares(dict(now.serving.shares))
    rollout.act(
        "keep",
        lambda: target.shift_traffic(by_name, expect=target.snapshot().serving),
        intent={"serving": str(now.serving)},
    )
    point = _redeploy_baseline(rollout, point, target.snapshot(), backup, deadline)
    return point, target.snapshot()


def _find_backup(rollout: JournaledRollout, baseline: RevisionName) -> Backup | None:
    """The rollout's backup, if it was taken of ``baseline`` or if ``baseline`` was redeployed from it."""
    if not rollout.record.backup:
        return None
    try:
        backup = rollout.ports.store.backup(BackupId(rollout.record.backup))
    except StoreError as error:
        raise TargetUnavailable(
            f"the baseline is gone, and the store cannot be read for its backup: {error.message}",
            hint=error.hint,
        ) from error
    made = rollout.record.redeployed
    return backup if backup is not None and baseline in {backup.revision, made} else None


def _unpin_if_untouched(rollout: JournaledRollout, point: RestorePoint, now: Snapshot) -> Traffic:
    """Follow LATEST again if traffic did before, and no newer revision exists or is being built."""
    wanted = point.restore_to
    baseline = wanted.sole
    is_newest = baseline is not None and now.latest_created == baseline == now.latest_ready
    if point.before.is_pinned or not is_newest or not now.is_settled:
        return wanted
    if rollout.ports.target.find_operation() is not None:
        return wanted  # its revision would become LATEST and take the traffic without a gate
    return Traffic.of({LATEST: 100}, dict(wanted.tags))


def _remove_first_release(rollout: JournaledRollout, deadline: float) -> None:
    """Delete a function that this rollout created and did not promote."""
    target = rollout.ports.target
    wait_for_running_operations(rollout, deadline=deadline)  # one may still create the function
    now = _require_own_first_release(rollout)
    if now.is_public:
        # Close first: a deletion takes time, nobody may call an unjudged release, and delete_function refuses a
        # public service.
        rollout.act("close", lambda: target.set_public(False))
        now = _require_own_first_release(rollout)
    # A release that failed to start leaves a function that serves nothing and has our label.
    if now.exists or now.rollout_labels.rollout == rollout.record.rollout_id:
        rollout.act("delete", target.delete_function)


def _require_own_first_release(rollout: JournaledRollout) -> Snapshot:
    """The service as it is now; raises Drifted unless this rollout made it and nobody else changed it."""
    now, record = rollout.ports.target.snapshot(), rollout.record
    ours = _revisions_of(record)
    foreign = [r for r, _ in now.serving.shares if ours and r not in ours]
    if now.exists and (now.rollout_labels.rollout != record.rollout_id or foreign):
        raise Drifted(
            f"the function was created or changed by somebody else: {now.serving} serves",
            found=str(now.serving),
            hint="nothing was deleted; look at the function, then: deploygate unlock",
        )
    return now
