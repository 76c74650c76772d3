"""A rollout from the lease to its final state, one journaled effect at a time.

The session calls :meth:`Rollout.stage`, :meth:`Rollout.promote` and :meth:`Rollout.finalise` while its gates hold, and
:meth:`Rollout.abort` as soon as one does not. Each of them ends in a state that says which revision serves. The first
three raise PolicyRefused unless the session permitted the phase that they follow from (ADR 8).
"""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from pytest_deploygate.core.artifacts import Package
from pytest_deploygate.core.errors import PolicyRefused, TargetRefused
from pytest_deploygate.core.identifiers import Actor, RevisionName, RolloutId
from pytest_deploygate.core.record import BuildProvenance, RestorePoint, RolloutRecord, StepDetails
from pytest_deploygate.core.release import (
    TAG_CANDIDATE,
    TAG_VERIFY,
    TAGS_OF_SERVING,
    RevisionInfo,
    RolloutLabels,
    Snapshot,
    Variant,
    secrets_text,
)
from pytest_deploygate.core.state_machine import NEEDED_FOR, Event, State, Step
from pytest_deploygate.core.traffic import Traffic, steps_to
from pytest_deploygate.core.verdict import Reason
from pytest_deploygate.engine.baseline_rollback import rollback_to_baseline
from pytest_deploygate.engine.deploy_operations import RELEASE, deploy
from pytest_deploygate.engine.engine_context import Ports, Progress, ignore_progress
from pytest_deploygate.engine.finalize import (
    finalize_best_effort,
    require_restore_point,
    require_revision,
)
from pytest_deploygate.engine.journaled_rollout import JournaledRollout
from pytest_deploygate.engine.permits import PhasePermits
from pytest_deploygate.engine.traffic_verification import wait_until_serving, wait_until_tag_answers


def _settled_traffic(snapshot: Snapshot) -> Traffic:
    """The serving traffic by revision name, with our tags of the serving revision but not those of a candidate."""
    keep = {t: r for t, r in snapshot.traffic.tags if t in TAGS_OF_SERVING}
    return Traffic.of(dict(snapshot.serving.shares), keep)


def new_rollout_id(now: datetime) -> RolloutId:
    """An id that sorts by time: ``20261123-074500-1a2b3c``."""
    return RolloutId(f"{now:%Y%m%d-%H%M%S}-{secrets.token_hex(3)}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Staged:
    """Names and URLs of the staged revisions. ``verification`` equals ``candidate`` if there is no second revision."""

    candidate: RevisionName
    verification: RevisionName
    candidate_url: str
    verification_url: str


class Rollout(JournaledRollout):
    """One attempt to replace the baseline with a new release."""

    snapshot: Snapshot
    package: Package
    staged: Staged | None = None
    _grants: PhasePermits

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
        grants: PhasePermits | None = None,
    ) -> "Rollout":
        """Take the lease and record the rollout; the target is not touched (ADR 2).

        Without ``grants`` the rollout can only be refused, aborted or rolled back.

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
        rollout._grants = grants or PhasePermits()
        return rollout

    def move(self, event: Event, notes: Mapping[str, str] | None = None) -> Step:
        """Take the row for ``event``; a row towards a promotion needs a permit for its phase.

        Raises:
            PolicyRefused: there is no permit; nothing was changed.
        """
        phase = NEEDED_FOR.get(event)
        if phase is not None and not self._grants.allows(phase):
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
                restore_point=RestorePoint(
                    existed=snapshot.exists,
                    before=snapshot.traffic,
                    restore_to=_settled_traffic(snapshot),
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
        deadline = self.ports.clock.monotonic() + self.ports.settings.rollout_budget_s
        snapshot = self.snapshot
        if snapshot.exists:
            self._back_up(snapshot)
            # Pin before the build: traffic that follows LATEST moves to a new revision as soon as it is ready.
            snapshot = self._pin(snapshot)
        self.progress(
            "uploading", f"{self.package.size_bytes} bytes, {len(self.package.files)} files"
        )
        source = self.act("upload", lambda: self.ports.target.upload(self.package))
        built = self._release(source, deadline)
        candidate, verification = built, None
        if self.ports.target.spec.has_verification:
            candidate, verification = self._add_revisions(built, deadline)
        self.update(self.record._replace(candidate=candidate, verification=verification))
        build = self._record_build(candidate, verification)
        self.staged = self._tag(candidate, verification, build)
        self.move(Event.STAGED)
        return self.staged

    def _back_up(self, snapshot: Snapshot) -> None:
        self.progress("backing up", str(snapshot.baseline))
        backup = self.act(
            "backup",
            lambda: self.ports.target.backup(snapshot),
            observed=lambda b: {"identifier": b.identifier, "sha256": b.sha256},
        )
        self.ports.store.save_backup(self.ports.environment, backup, self.ports.clock.now())
        self.update(self.record._replace(backup=backup.identifier))

    def _pin(self, snapshot: Snapshot) -> Snapshot:
        rollout_labels = snapshot.rollout_labels._replace(
            rollout=self.record.rollout_id, baseline=self.record.baseline
        )
        self.progress("pinning", f"traffic stays at {snapshot.baseline}")
        return self.act(
            "pin",
            lambda: self.ports.target.pin(snapshot, rollout_labels),
            intent={"serving": str(snapshot.serving)},
            observed=lambda s: {"traffic": str(s.traffic)},
        )

    def _rollout_labels(self) -> RolloutLabels:
        """Labels during the rollout: they describe the baseline, not the candidate (ADR 4)."""
        labels = require_restore_point(self.record).labels
        return labels._replace(rollout=self.record.rollout_id, baseline=self.record.baseline)

    def _release(self, source: str, deadline: float) -> RevisionName:
        target = self.ports.target
        self.progress("building", "the release, with the production variables")
        revision = deploy(
            self,
            RELEASE,
            lambda: target.begin_release(source, self._rollout_labels()),
            deadline=deadline,
        )
        self.progress("started", f"revision {revision}")
        return revision

    def _add_revisions(
        self, built: RevisionName, deadline: float
    ) -> tuple[RevisionName, RevisionName]:
        """Candidate and verification revision, both from the image that ``built`` runs.

        The verification revision is requested first and the candidate right after it, before either has started: the
        last request stays in the service's template, and everybody's next deployment starts from there (ADR 22).
        """
        target, clock = self.ports.target, self.ports.clock
        # Each name goes to the record before the next write, so that a recovery knows which revisions are ours.
        self.update(self.record._replace(built=built))
        if not self.snapshot.exists:
            self._pin(target.snapshot())
        verification = self._add(built, Variant.VERIFICATION)
        self.update(self.record._replace(verification=verification))
        candidate = self._add(built, Variant.CANDIDATE)
        self.update(self.record._replace(candidate=candidate))
        for revision in (verification, candidate):
            self.act(
                "see_ready",
                lambda revision=revision: target.await_revision(  # type: ignore[misc]
                    revision, budget_s=deadline - clock.monotonic()
                ),
                intent={"revision": revision},
            )
            self.progress("started", f"revision {revision}")
        return candidate, verification

    def _add(self, built: RevisionName, variant: Variant) -> RevisionName:
        self.progress("starting", f"{variant.value} revision")
        return self.act(
            f"add_{variant.value}",
            lambda: self.ports.target.add_revision(built, variant),
            intent={"of": built},
            observed=lambda name: StepDetails(revision=name),
        )

    def _record_build(
        self, candidate: RevisionName, verification: RevisionName | None
    ) -> BuildProvenance:
        """Record the candidate's image digest and secret versions, so that a rollback can return to exactly these.

        Raises:
            TargetRefused: the verification revision has another build, or differs in more than the named variables.
        """
        info = self._staged_revision(candidate)
        build = BuildProvenance(
            image=info.digest or info.image, secrets=info.secrets, base_image=info.base_image
        )
        self.update(self.record._replace(build=build))
        if verification is not None:
            differs_in = self._require_same_build(self._staged_revision(verification), info)
            build = replace(build, differs_in=differs_in)
            self.update(self.record._replace(build=build))
        return build

    def _staged_revision(self, name: RevisionName) -> RevisionInfo:
        info = self.ports.target.revision(name)
        if info is None:
            raise TargetRefused(f"the staged revision {name} vanished")
        return info

    def _require_same_build(
        self, verification: RevisionInfo, candidate: RevisionInfo
    ) -> tuple[str, ...]:
        """Require one build and a difference in exactly the named variables; return their names."""
        spec, one, other = self.ports.target.spec, verification, candidate
        # The digest, not the image tag: Google gives every build the same tag (ADR 22).
        if not one.digest or one.digest != other.digest:
            raise TargetRefused(
                f"{one.name} and {other.name} are not of one build: "
                f"{one.digest or one.image!r}, {other.digest or other.image!r}",
                hint="nothing was promoted; deploy again, and report it if it happens again",
            )
        if one.secrets != other.secrets:
            given = f"{secrets_text(one.secrets)}, {secrets_text(other.secrets)}"
            raise TargetRefused(
                f"{one.name} and {other.name} are given different secrets: {given}",
                hint="nothing was promoted; deploy again, and report it if it happens again",
            )
        names = set(one.variables) | set(other.variables)
        differing = {n for n in names if one.variables.get(n) != other.variables.get(n)}
        expected = {n for n, v in spec.verify_variables.items() if spec.variables.get(n) != v}
        if differing != expected:
            raise TargetRefused(
                f"{one.name} and {other.name} differ in {sorted(differing)}, expected {sorted(expected)}"
            )
        return tuple(sorted(differing))

    def _tag(
        self, candidate: RevisionName, verification: RevisionName | None, build: BuildProvenance
    ) -> Staged:
        base = self._settled_traffic_with(candidate)
        tags = {TAG_CANDIDATE: candidate}
        if verification is not None:
            tags[TAG_VERIFY] = verification
        wanted = self._keep_tags(base).with_tags(tags)
        after = self.act(
            "tag",
            lambda: self.ports.target.shift_traffic(wanted, expect=base),
            intent={"traffic": str(wanted)},
            observed=lambda s: {"traffic": str(s.traffic)},
        )
        # With automatic base image updates the judged code may change without a new revision, so record them.
        build = replace(build, updates_base_image=after.updates_base_image)
        self.update(self.record._replace(build=build))
        # The gates must not judge the revision that had the tag before (ADR 10).
        for tag, revision in tags.items():
            wait_until_tag_answers(self, revision, tag, after.tag_urls[tag])
        candidate_url = after.tag_urls[TAG_CANDIDATE]
        return Staged(
            candidate=candidate,
            verification=verification or candidate,
            candidate_url=candidate_url,
            verification_url=after.tag_urls[TAG_VERIFY]
            if verification is not None
            else candidate_url,
        )

    def _settled_traffic_with(self, candidate: RevisionName) -> Traffic:
        """Traffic while the candidate is judged: at the baseline, or on a first release at the built revision."""
        if self.snapshot.exists:
            return Traffic.of(dict(self.snapshot.serving.shares))
        return Traffic.of({self.record.built or candidate: 100})

    def _keep_tags(self, base: Traffic) -> Traffic:
        """``base`` with our tags of the serving revision."""
        return base.with_tags(dict(_settled_traffic(self.snapshot).tags))

    # -- promotion -------------------------------------------------------------------------------

    def promote(self) -> None:
        """Move the traffic to the candidate, step by step.

        Raises:
            DeployGateError: a step failed; the rollout is still PROMOTING: call :meth:`abort`.
        """
        self.move(Event.CANDIDATE_HELD)
        candidate, verification = self._candidate(), self.record.verification
        tags = {TAG_CANDIDATE: candidate}
        if verification is not None:
            tags[TAG_VERIFY] = verification
        expect = self._settled_traffic_with(candidate)
        for plan in steps_to(candidate, self.record.baseline, self.ports.settings.steps):
            wanted = self._keep_tags(plan).with_tags(tags)
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
            expect = plan
        if not self.snapshot.exists and self.ports.target.spec.public:
            self.progress("opening", "anyone may call it now")
            self.act("open", lambda: self.ports.target.set_public(True))
        # The record says that the candidate serves only after answers or the traffic status have shown it.
        wait_until_serving(self, candidate)
        self.update(self.record._replace(serving=candidate))
        self.move(Event.SHIFTED)

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
            # OPEN: nothing was touched. FINALISING: the live gates held, and the candidate serves.
            self.end(Event.BROKE, reason)
        else:
            rollback_to_baseline(self, reason)

    def end(self, event: Event, reason: Reason) -> None:
        """Take a row that ends the rollout, and release the lease."""
        self.move(event, {"reason": reason.sentence})
        self.close(reason)
