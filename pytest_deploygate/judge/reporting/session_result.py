"""How a session ended, as people and CI are told."""

from dataclasses import dataclass

from pytest_deploygate.core.errors import ExitStatus
from pytest_deploygate.core.record import RolloutRecord
from pytest_deploygate.core.verdict import Reason


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionResult:
    """How a session ended. ``status`` None leaves pytest's own status; ``verdict`` and ``state`` are words."""

    verdict: str
    state: str
    reason: Reason
    status: ExitStatus | None
    others: tuple[Reason, ...] = ()
    record: RolloutRecord | None = None
    serving: str = ""
    """What serves where no rollout was begun that could say so."""
    lines: tuple[str, ...] = ()
    """Who serves, and where: printed at any verbosity."""
    hints: tuple[str, ...] = ()
    """What else to know, and what to do next; not with ``-q``."""
