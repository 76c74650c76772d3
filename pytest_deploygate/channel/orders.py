"""What the judge tells the session to do. They travel as pickles: only this direction can be trusted so."""

from dataclasses import dataclass
from typing import TypeAlias

from pytest_deploygate.core.evidence import Evidence
from pytest_deploygate.core.identifiers import Phase
from pytest_deploygate.core.record import RolloutRecord
from pytest_deploygate.core.verdict import PhaseVerdict


@dataclass(frozen=True, slots=True, kw_only=True)
class RunPhase:
    """Run the checks of ``phase`` within ``budget_s`` seconds; ``deployment`` is JSON, for workers too.

    Answered by ``PhaseDone``.
    """

    phase: Phase
    checks: tuple[str, ...]
    deployment: str
    budget_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Decide:
    """Ask ``pytest_deploygate_decide`` of the project. Answered by ``Opinion``."""

    evidence: Evidence


@dataclass(frozen=True, slots=True, kw_only=True)
class TellVerdict:
    """Call ``pytest_deploygate_verdict``. Answered by ``Done``."""

    record: RolloutRecord
    verdict: PhaseVerdict


@dataclass(frozen=True, slots=True, kw_only=True)
class TellFinished:
    """Call ``pytest_deploygate_finished``. Answered by ``Done``."""

    record: RolloutRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class EndChecks:
    """End all workers. Answered by ``Done`` when none is left."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SkipChecks:
    """Report these checks (node ids) as skipped for ``reason``. Answered by ``Done``."""

    checks: tuple[str, ...]
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Finish:
    """End the session. Not answered."""


Order: TypeAlias = RunPhase | Decide | TellVerdict | TellFinished | EndChecks | SkipChecks | Finish
