"""What is kept of rollouts: journal entries (to resume one) and ledger entries (one line per ended rollout)."""

from collections.abc import Mapping
from datetime import datetime
from enum import Enum, unique
from typing import NamedTuple

from pytest_deploygate.core.identifiers import Actor, EnvironmentName, RevisionName, RolloutId
from pytest_deploygate.core.state_machine import State


@unique
class EntryKind(Enum):
    """INTENT is written before an effect, OBSERVED after it, MOVED when the rollout changes its state."""

    INTENT = "intent"
    OBSERVED = "observed"
    MOVED = "moved"


class JournalEntry(NamedTuple):
    """One durable record. ``name`` is the effect (or the event, for MOVED); ``facts`` are plain texts."""

    sequence: int
    at: datetime
    kind: EntryKind
    name: str
    state: State
    facts: Mapping[str, str] = {}


class RolloutRecord(NamedTuple):
    """One rollout: who, where, what, and how it stands or ended. ``purpose`` is deploy, rollback or recover.

    ``inventory`` maps each gate to its check ids, ``checks`` each gate to ``passed/counted OUTCOME``; ``facts``
    carries further plain texts (package digest, configuration digest, override, deploy reason).
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
    score: str = ""
    digest: str = ""
    backup: str = ""
    inventory: Mapping[str, tuple[str, ...]] = {}
    gates: Mapping[str, str] = {}
    measurements: Mapping[str, str] = {}
    facts: Mapping[str, str] = {}

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
