"""A rollout from the lease to its final state, one journaled effect at a time.

The session calls :meth:`Rollout.stage`, :meth:`Rollout.promote` and :meth:`Rollout.finalise` while its gates hold, and
:meth:`Rollout.abort` as soon as one does not. Each of them ends in a state that says which revision serves. The first
three raise PolicyRefused unless the session permitted the phase that they follow from (ADR 8).
"""

import secrets
from collections.abc import Mapping
from datetime import datetime

from pytest_deploygate.core.artifacts import Package
from pytest_deploygate.core.engine_settings import TrafficStep
from pytest_deploygate.core.errors import PolicyRefused
from pytest_deploygate.core.identifiers import Actor, RevisionName, RolloutId
from pytest_deploygate.core.record import RestorePoint, RolloutRecord
from pytest_deploygate.core.release import Snapshot
from pytest_deploygate.core.state_machine import NEEDED_FOR, Event, State, Step
from pytest_deploygate.core.traffic import Traffic, steps_to
from pytest_deploygate.core.verdict import Reason
from pytest_deploygate.engine.baseline_rollback import rollback_to_baseline
from pytest_deploygate.engine.engine_context import Ports, Progress, ignore_progress
from pytest_deploygate.engine.finalize import finalize_best_effort, require_revision
from pytest_deploygate.engine.journaled_rollout import JournaledRollout
from pytest_deploygate.engine.permits import PhasePermits
from pytest_deploygate.engine.rollback_writes import drill_rollback
from pytest_deploygate.engine.staging import (
    Staged,
    settled_traffic,
    stage_release,
    traffic_while_judged,
    with_staged_tags,
)
from pytest_deploygate.engine.traffic_verification import wait_until_serving


def new_rollout_id(now: datetime) -> RolloutId:
    """An id that sorts by time: ``20261123-074500-1a2b3c``."""
    return RolloutId(f"{now:%Y%m%d-%H%M%S}-{secrets.token_hex(3)}")


class Rollout(JournaledRollout):
    """One attempt to replace the baseline with a new release."""

    snapshot: Snapshot
    package: Package
    staged: Staged | None = None
    step: TrafficStep | None = None
    """The current step of the traffic; None before the promotion."""
    _permits: PhasePermits

    @classmethod
    def open(
        cls,
        ports: Ports,
        *,
        actor: Actor,
        purpose: str,
        overrides: Mapping[str, str] | None = None,
        checks_digest: str = "",
        deploy_reason: str = "",
        progress: Progress = ignore_progress,
        permits: PhasePermits | None = None,
    ) -> "Rollout":
        """Take the lease and record the rollout; the target is not touched (ADR 2).

        Without ``permits`` the rollout can only be refused, aborted or rolled back.

        Raises:
            LeaseHeld: another holder acts on this environment.
            StoreError: the record cannot be written.
        """
        now = ports.clock.now()
        rollout_id = new_rollout_id(now)
        lease = ports.store.acquire_lease(
            ports.environment, actor, purpose, rollout_id, ports.settings.lease_ttl_s
        )
        record = RolloutRecord(
            rollout_id=rollout_id,
            environment=ports.environment,
            purpose=purpose,
            actor=actor,
            began_at=now,
            state=State.OPEN,
            overrides=overrides or {},
            checks_digest=checks_digest,
            deploy_reason=deploy_reason,
        )
        try:
            ports.store.begin(record, lease)
        except BaseException:
            ports.store.release_lease(lease)
            raise
        rollout = cls(ports, record, lease, progress)
        rollout._permits = permits or PhasePermits()
        return rollout

    def move(self, event: Event, notes: Mapping[str, str] | None = None) -> Step:
        """Take the row for ``event``; a row towards a promotion needs a permit for its phase.

        Raises:
            PolicyRefused: there is no permit; nothing was changed.
        """
        phase = NEEDED_FOR.get(event)
        if phase is not None and not self._permits.allows(phase):
            raise PolicyRefused(
                f"step {event.value!r} refused: the {phase.value} phase was not judged to hold",
                hint="let pytest_deploygate_act continue only if the verdict holds",
            )
        return super().move(event, notes)

    # -- before anything is touched -------------------------------------------------------------

    def observe(self, snapshot: Snapshot, package: Package, config_digest: str) -> None:
        """Record what serves, to which a rollback returns, and what will be staged."""
        self.snapshot = snapshot
        self.package = package
        self.update(
            self.record._replace(
                baseline=snapshot.baseline,
                serving=snapshot.baseline,
                digest=package.digest,
                config_digest=config_digest,
                url=snapshot.url,
                restore_point=RestorePoint(
                    existed=snapshot.exists,
                    before=snapshot.traffic,
                    restore_to=settled_traffic(snapshot),
                    was_public=snapshot.is_public,
                    digest=snapshot.rollout_labels.digest,
                    config_digest=snapshot.rollout_labels.config,
                ),
            )
        )

    @property
    def is_unchanged(self) -> bool:
        """Whether the serving revision already has this source and these settings, and all the traffic."""
        return self.snapshot.is_release(self.package.digest, self.record.config_digest)

    # -- staging ---------------------------------------------------------------------------------

    def stage(self) -> Staged:
        """Start the candidate beside the baseline, without traffic.

        Raises:
            DeployGateError: staging failed; the rollout is still STAGING: call :meth:`abort`.
        """
        self.move(Event.READY)
        self.staged = stage_release(self, self.snapshot, self.package)
        self.move(Event.STAGED)
        return self.staged

    def continue_at(
        self, step: TrafficStep, snapshot: Snapshot, package: Package, permits: PhasePermits
    ) -> None:
        """Go on from ``step``, at which another process left the rollout."""
        self.step, self.snapshot, self.package = step, snapshot, package
        self._permits = permits

    # -- promotion -------------------------------------------------------------------------------

    def promote(self) -> None:
        """Move the traffic to the candidate, step by step, up to a step that is judged: then the rollout is STEPPING.

        Raises:
            DeployGateError: a step failed; the rollout is still PROMOTING: call :meth:`abort`.
        """
        self.move(Event.CANDIDATE_HELD)
        now = traffic_while_judged(self.snapshot, self.record, self._candidate())
        if self.ports.settings.drill and self.record.baseline is not None:
            tagged = with_staged_tags(now, self.snapshot, self.record)
            drill_rollback(self, self.record.baseline, tagged)
        self._shift_on(now)

    def advance_step(self) -> None:
        """Continue after the step that was judged to hold, like :meth:`promote`.

        Raises:
            DeployGateError: a step failed; the rollout is still PROMOTING: call :meth:`abort`.
        """
        done = self.step
        assert done is not None
        self.move(Event.STEP_HELD)
        self._shift_on(self._traffic_at(done))

    def _shift_on(self, expect: Traffic) -> None:
        """Shift from ``expect`` to the next step that is judged, or to the last one."""
        candidate = self._candidate()
        for step in self._remaining_steps():
            plan = self._traffic_at(step)
            wanted = with_staged_tags(plan, self.snapshot, self.record)
            # Each step expects the traffic of the one before: if somebody else moved it, the step raises Drifted.
            self.progress("shifting", f"{plan.percent(candidate)} % to {candidate}")
            before = expect
            self.act(
                "shift",
                lambda wanted=wanted, before=before: self.ports.target.shift_traffic(  # type: ignore[misc]
                    wanted, expect=before
                ),
                intent={"from": str(before), "to": str(plan)},
                observed=lambda s: {"traffic": str(s.traffic)},
            )
            self.step, expect = step, plan
            if self.ports.settings.is_judged(step):
                self.record = self.record._replace(step_percent=step.percent)
                self.move(Event.STEP_SHIFTED, {"percent": str(step.percent)})
                return
        if not self.snapshot.exists and self.ports.target.spec.public:
            self.progress("opening", "anyone may call it now")
            self.act("open", lambda: self.ports.target.set_public(True))
        # The record says that the candidate serves only after answers or the traffic status have shown it.
        wait_until_serving(self, candidate)
        self.update(self.record._replace(serving=candidate))
        self.move(Event.SHIFTED)

    def _traffic_at(self, step: TrafficStep) -> Traffic:
        record = self.record
        (plan,) = steps_to(
            self._candidate(), record.baseline, (step.percent,), record.fresh_baseline
        )
        return plan

    def _remaining_steps(self) -> tuple[TrafficStep, ...]:
        """Steps after the current one; without a baseline there is only the last step."""
        steps = self.ports.settings.steps
        if self.record.baseline is None:
            return steps[-1:]
        reached = self.step.percent if self.step is not None else 0
        return tuple(step for step in steps if step.percent > reached)

    def finalise(self, reason: Reason) -> None:
        """Keep the candidate: set tags and labels. A failure here is recorded, and the next rollout repeats it."""
        self.move(Event.LIVE_HELD)
        finalize_best_effort(self, reason)

    def _candidate(self) -> RevisionName:
        return require_revision(self.record.candidate, "candidate")

    # -- ends ------------------------------------------------------------------------------------

    def refuse(self, reason: Reason) -> None:
        """End before anything is staged."""
        self.end(Event.NOT_READY, reason)

    def keep(self, reason: Reason) -> None:
        """End with nothing to deploy: the serving revision was judged good again."""
        self.end(Event.UNCHANGED, reason)

    def abort(self, reason: Reason) -> None:
        """Return to the baseline from any state, verify that and end; STRANDED if it cannot be verified.

        Raises:
            LeaseLost: another holder acts on this environment now; nothing was changed here.
        """
        if self.state in (State.OPEN, State.FINALISING):
            # OPEN: nothing was touched. FINALISING: the live gates held, and the candidate serves. Either way what
            # serves is right, so a record that cannot be written does not hide why the rollout ended.
            self.is_lenient = True
            self.end(Event.BROKE, reason)
        else:
            rollback_to_baseline(self, reason)

    def end(self, event: Event, reason: Reason) -> None:
        """Take a row that ends the rollout, and release the lease."""
        self.move(event, {"reason": reason.sentence})
        self.close(reason)
