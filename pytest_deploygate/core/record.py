"""What is kept of rollouts: journal entries (to resume one) and the record (one a rollout, for good).

Whatever a later decision rests on has a field and a type of its own. A value that was never observed is None, so that
it cannot be mistaken for one that was observed and is empty. Texts (``reason``, ``notes``, ...) are for people.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum, unique
from fractions import Fraction
from typing import NamedTuple

from pytest_deploygate.core.evidence import CheckState, Score
from pytest_deploygate.core.identifiers import (
    Actor,
    EnvironmentName,
    Phase,
    RevisionName,
    RolloutId,
)
from pytest_deploygate.core.measurement import Measurement
from pytest_deploygate.core.release import RolloutLabels, SecretRef
from pytest_deploygate.core.state_machine import State
from pytest_deploygate.core.traffic import Traffic
from pytest_deploygate.core.verdict import Outcome, Reason


@unique
class EntryKind(Enum):
    """INTENT is written before an effect, OBSERVED after it, MOVED when the rollout changes its state."""

    INTENT = "intent"
    OBSERVED = "observed"
    MOVED = "moved"


@unique
class EffectFailure(Enum):
    """What became of an effect that raised: it had begun and failed, it was not applied, or nobody knows."""

    ENDED = "ended"
    NOT_APPLIED = "not_applied"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class StepDetails:
    """What a step was about. Recovery reads ``operation``, ``revision`` and ``failure``; ``notes`` are for people.

    ``operation`` is the platform's name of a deployment, "" if there is none or it is not known; ``revision`` is what
    a deployment made.
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
    """What a rollback returns to, as observed before anything was touched.

    ``existed`` is False on a first release: going back then deletes the function. ``before`` is the traffic plan as it
    was (it may follow LATEST, and has all tags); ``restore_to`` is the plan to return to, which names revisions and
    keeps those tags that describe what serves. ``leaves`` is what a rollback by hand found and moves away from.
    ``digest`` and ``config_digest`` are the baseline's, as its labels have them. ``was_public`` is None if
    nobody looked.
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
        """Whether the service is to follow LATEST again: it did before, or was not there."""
        return not (self.existed and self.before.is_pinned)

    @property
    def labels(self) -> RolloutLabels:
        """Labels of a service that rests at the baseline."""
        return RolloutLabels(
            baseline=self.restore_to.sole, digest=self.digest, config=self.config_digest
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildProvenance:
    """What the candidate was built and given: the image (by digest), and each secret in the version it resolved to.

    ``differs_in`` names the variables in which the verification revision differs; None where there is no other one.
    """

    image: str
    secrets: Mapping[str, SecretRef]
    base_image: str = ""
    updates_base_image: bool | None = None
    """Whether the platform exchanges the base image below what was judged; None if nobody looked."""
    differs_in: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedGate:
    """What one gate came to."""

    score: Score
    outcome: Outcome

    def __str__(self) -> str:
        return f"{self.score} {self.outcome.value}"


class RolloutRecord(NamedTuple):
    """One rollout: who, where, what, and how it stands or ended. ``purpose`` is deploy, rollback, adopt or recover.

    ``digest`` is that of the source, ``config_digest`` of the settings, ``checks_digest`` of the checks' files,
    ``approval`` that of the plan that a person approved. ``inventory`` maps each gate to its check ids, ``overrides``
    each overridden gate to the reason, ``not_passed`` each check that ran or should have and did not pass to its
    state. ``rollback_cause`` is why a rollback that could not be verified (``rollback_error``) was begun.
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
    serving: RevisionName | None = None
    reason_code: str = ""
    reason: str = ""
    deploy_reason: str = ""
    digest: str = ""
    config_digest: str = ""
    checks_digest: str = ""
    approval: str = ""
    overrides: Mapping[str, str] = {}
    watchdog_pid: int | None = None
    """None where no watchdog was started."""
    built: RevisionName | None = None
    """What the release's build made, where candidate and verification revision are others of its image."""
    backup: str = ""
    restore_point: RestorePoint | None = None
    """None until the service was observed: then nothing was touched, and there is nothing to return to."""
    redeployed: RevisionName | None = None
    """What was made of the backup, since the baseline was gone."""
    build: BuildProvenance | None = None
    inventory: Mapping[str, tuple[str, ...]] = {}
    scores: Mapping[Phase, Fraction] = {}
    gates: Mapping[str, RecordedGate] = {}
    not_passed: Mapping[str, CheckState] = {}
    measurements: Mapping[Phase, tuple[Measurement, ...]] = {}
    rollback_s: float | None = None
    """Seconds that the rollback took until it was verified."""
    rollback_error: str = ""
    rollback_cause: Reason | None = None
    unfinished: str = ""
    """What of the clean-up after a promotion failed."""
    url: str = ""
    notes: Mapping[str, str] = {}

    @property
    def is_open(self) -> bool:
        """Whether the rollout has not ended, or ended so that a person must look."""
        return self.ended_at is None

    @property
    def duration_s(self) -> float | None:
        """Seconds from the lease to the end; None while it has not ended."""
        if self.ended_at is None:
            return None
        return round((self.ended_at - self.began_at).total_seconds(), 3)

    @property
    def score(self) -> Fraction | None:
        """Score of the last phase that was judged; None if none was."""
        judged = [self.scores[phase] for phase in Phase if phase in self.scores]
        return judged[-1] if judged else None


class Lease(NamedTuple):
    """The right to act on one environment. ``token`` grows with every grant, so a stale holder is told apart.

    ``beat`` grows with every heartbeat; whether a holder lives is told by watching it grow, never by clocks.
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
