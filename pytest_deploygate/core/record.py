"""What the store keeps of a rollout: journal entries, for recovery, and one record, for good.

Everything that a later decision needs has its own field and type. A value that was never observed is None, so that it
differs from an observed empty value. Texts (``reason``, ``notes``, ...) are only for display.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum, unique
from fractions import Fraction
from typing import NamedTuple

from pytest_deploygate.core.errors import LeaseHeld
from pytest_deploygate.core.evidence import CheckState, Score
from pytest_deploygate.core.identifiers import (
    Actor,
    EnvironmentName,
    Phase,
    RevisionName,
    RolloutId,
    VariantName,
)
from pytest_deploygate.core.measured_comparison import MeasuredPairs
from pytest_deploygate.core.measurement import Measurement
from pytest_deploygate.core.ratchet import RecordedPolicy
from pytest_deploygate.core.release import RolloutLabels
from pytest_deploygate.core.secret_ref import SecretRef
from pytest_deploygate.core.state_machine import State
from pytest_deploygate.core.traffic import Traffic
from pytest_deploygate.core.verdict import Outcome, Reason

FAILURE_NOTE = "failure."
"""Before the id of a check, the name of the note that says how the check failed: ``FILE:LINE: ERROR``."""
SETTING_NOTE = "setting."
"""Before the key of a setting, the name of the note that has its value as TOML."""
STEP_NOTE = "step."
"""Before PERCENT and a command, ``step.10.advance``, the name of the note with what an operator ordered there."""


@unique
class EntryKind(Enum):
    """INTENT is written before an effect, OBSERVED after it, MOVED when the rollout changes its state."""

    INTENT = "intent"
    OBSERVED = "observed"
    MOVED = "moved"


@unique
class EffectFailure(Enum):
    """What an effect that raised did to the platform: it started and failed, was not applied, or is unknown."""

    ENDED = "ended"
    NOT_APPLIED = "not_applied"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class StepDetails:
    """Details of a step. Recovery reads ``operation``, ``revision`` and ``failure``; ``notes`` are only for display.

    ``operation`` is the platform's name of a deployment, "" if there is none or it is unknown; ``revision`` is the
    revision that a deployment created.
    """

    operation: str = ""
    revision: RevisionName | None = None
    failure: EffectFailure | None = None
    notes: Mapping[str, str] = field(default_factory=dict)


class JournalEntry(NamedTuple):
    """One durable step. ``name`` is the effect (or the event, for MOVED)."""

    sequence: int
    at: datetime
    kind: EntryKind
    name: str
    state: State
    details: StepDetails = StepDetails()


@dataclass(frozen=True, slots=True, kw_only=True)
class RestorePoint:
    """What a rollback returns to, as observed before the rollout changed anything.

    ``existed`` is False on a first release: a rollback then deletes the function. ``before`` is the observed traffic
    plan (it may follow LATEST, and has all tags). ``restore_to`` is the plan to return to: it names revisions and keeps
    the tags of the serving revision. ``leaves`` is the traffic that an operator rollback moves away from. ``digest``
    and ``config_digest`` are the baseline's, from its labels. ``was_public`` is None if it was not observed.
    """

    existed: bool
    before: Traffic
    restore_to: Traffic
    leaves: Traffic | None = None
    was_public: bool | None = None
    digest: str = ""
    config_digest: str = ""

    @property
    def follows_latest(self) -> bool:
        """Whether the service should follow LATEST again: it did before, or did not exist."""
        return not (self.existed and self.before.is_pinned)

    @property
    def labels(self) -> RolloutLabels:
        """Labels of a service that serves the baseline, with no rollout under way."""
        return RolloutLabels(
            baseline=self.restore_to.sole, digest=self.digest, config=self.config_digest
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildProvenance:
    """Build and secrets of the candidate: the image (by digest), and the resolved version of each secret.

    ``differs_in`` names the variables in which the verification revision differs; None if there is no second revision.
    """

    image: str
    secrets: Mapping[str, SecretRef]
    base_image: str = ""
    updates_base_image: bool | None = None
    """Whether the platform replaces the base image under the judged code; None if it was not observed."""
    differs_in: tuple[str, ...] | None = None
    variants_differ_in: Mapping[VariantName, tuple[str, ...]] = field(default_factory=dict)
    """The same for each verification variant, by name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedGate:
    """Result of one gate."""

    score: Score
    outcome: Outcome

    def __str__(self) -> str:
        return f"{self.score} {self.outcome.value}"


class RecordedStep(NamedTuple):
    """A step that was judged: its decision, requests and duration.

    ``decision`` is ``advance``, ``abort``, or ``hold`` while it waits; ``objectives`` has one sentence per objective.
    """

    percent: int
    decision: str
    reason: str
    seconds: float
    candidate_requests: int = 0
    baseline_requests: int = 0
    is_undecided: bool = False
    objectives: Mapping[str, str] = {}
    gates: Mapping[str, str] = {}
    """One sentence per gate of the step phase."""
    measured: Mapping[str, MeasuredPairs] = {}
    """By objective, what checks measured of both sides."""
    began_at: datetime | None = None
    """When the compared minutes began, after the gates; None if the step did not wait."""


class RolloutRecord(NamedTuple):
    """One rollout: actor, environment, release, and state. ``purpose`` is deploy, rollback, adopt or recover.

    ``digest`` is the digest of the source, ``config_digest`` of the settings, ``checks_digest`` of the checks' files,
    ``approval`` of the plan that an operator approved. ``inventory`` maps each gate to its check ids, ``overrides``
    each overridden gate to the reason, ``not_passed`` each check of the inventory that did not pass to its state.
    ``rollback_cause`` is the reason for a rollback that could not be verified (``rollback_error``).
    """

    rollout_id: RolloutId
    environment: EnvironmentName
    purpose: str
    actor: Actor
    began_at: datetime
    state: State
    ended_at: datetime | None = None
    baseline: RevisionName | None = None
    candidate: RevisionName | None = None
    verification: RevisionName | None = None
    variants: Mapping[VariantName, RevisionName] = {}
    """Further verification revisions of the same build, by name; they are not kept after a promotion."""
    fresh_baseline: RevisionName | None = None
    """New revision of the baseline's image that the candidate is compared with; no rollback ever returns to it."""
    serving: RevisionName | None = None
    reason_code: str = ""
    reason: str = ""
    deploy_reason: str = ""
    digest: str = ""
    config_digest: str = ""
    checks_digest: str = ""
    plugins: Mapping[str, str] = {}
    """Version and digest of each module that the settings name as a plugin of the deciding process."""
    approval: str = ""
    overrides: Mapping[str, str] = {}
    watchdog_pid: int | None = None
    """None if no watchdog was started."""
    built: RevisionName | None = None
    """The revision that the build made, if candidate and verification revision were created from its image."""
    backup: str = ""
    restore_point: RestorePoint | None = None
    """None until the service is observed: nothing is touched before that, so there is nothing to return to."""
    redeployed: RevisionName | None = None
    """The revision that was redeployed from the backup because the baseline was gone."""
    build: BuildProvenance | None = None
    inventory: Mapping[str, tuple[str, ...]] = {}
    policy: RecordedPolicy | None = None
    """What it was judged by; None in records of before that was kept."""
    scores: Mapping[Phase, Fraction] = {}
    gates: Mapping[str, RecordedGate] = {}
    not_passed: Mapping[str, CheckState] = {}
    measurements: Mapping[Phase, tuple[Measurement, ...]] = {}
    steps: tuple[RecordedStep, ...] = ()
    detached_until: datetime | None = None
    """Until when a later session may carry the rollout on from its step; None if none may."""
    step_percent: int = 0
    """The step that the rollout is or was last at; 0 before the first one that was judged."""
    warnings: Mapping[str, str] = {}
    """By rule (``gate.NAME``, ``trigger.NAME``, ``objective.NAME``), the reason for which it would have blocked."""
    drill_s: float | None = None
    """Seconds that the rollback drill took from the decision to the confirmation; None if it was not drilled."""
    rollback_s: float | None = None
    """Seconds from the start of the rollback until it was verified."""
    rollback_error: str = ""
    rollback_cause: Reason | None = None
    unfinished: str = ""
    """Error of the clean-up after a promotion or rollback; empty if it succeeded."""
    url: str = ""
    notes: Mapping[str, str] = {}

    @property
    def failures(self) -> Mapping[str, str]:
        """First failure of each check by id, for display: ``FILE:LINE: ERROR``."""
        return {
            name.removeprefix(FAILURE_NOTE): text
            for name, text in self.notes.items()
            if name.startswith(FAILURE_NOTE)
        }

    @property
    def settings(self) -> Mapping[str, str]:
        """Settings of the environment by key, each as TOML; empty in records of before they were kept."""
        return {
            name.removeprefix(SETTING_NOTE): text
            for name, text in self.notes.items()
            if name.startswith(SETTING_NOTE)
        }

    @property
    def is_open(self) -> bool:
        """Whether the rollout has not ended, or is stranded."""
        return self.ended_at is None

    @property
    def duration_s(self) -> float | None:
        """Seconds from the lease to the end; None if it has not ended."""
        if self.ended_at is None:
            return None
        return round((self.ended_at - self.began_at).total_seconds(), 3)

    @property
    def score(self) -> Fraction | None:
        """Score of the last phase that was judged; None if none was."""
        judged = [self.scores[phase] for phase in Phase if phase in self.scores]
        return judged[-1] if judged else None


class Lease(NamedTuple):
    """The right to act on one environment. ``token`` grows with every grant, so that a stale holder is recognised.

    ``beat`` grows with every heartbeat. A holder lives while it grows; clocks of machines are never compared.
    """

    environment: EnvironmentName
    token: int
    actor: Actor
    purpose: str
    rollout_id: RolloutId
    since: datetime
    beat: int
    ttl_s: int
    beat_at: datetime


def lease_held_error(lease: Lease) -> LeaseHeld:
    """The error that names the holder of ``lease`` and what to do."""
    since, beat = (f"{moment:%Y-%m-%d %H:%M:%S} UTC" for moment in (lease.since, lease.beat_at))
    return LeaseHeld(
        f"the environment {lease.environment} is held by {lease.actor} since {since} for "
        f"{lease.purpose} (rollout {lease.rollout_id}, last heartbeat {beat})",
        hint="wait for it (--deploy-wait=SECONDS); if that process is dead: 'deploygate recover "
        f"{lease.environment}'; to break the lease: 'deploygate unlock {lease.environment} "
        "--reason TEXT'",
    )
