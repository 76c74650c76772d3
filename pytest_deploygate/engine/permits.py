"""Permits for the next step of a rollout: the phases that were judged to hold (ADR 8)."""

from pytest_deploygate.core.identifiers import Phase


class PhasePermits:
    """The phases that were judged to hold and permit the next step of a rollout.

    The code that judges keeps this object, so a hook that receives the rollout cannot permit a step itself.
    """

    def __init__(self, *phases: Phase) -> None:
        self._phases = frozenset(phases)

    def grant(self, *phases: Phase) -> None:
        """Permit the steps after exactly these phases from now on."""
        self._phases = frozenset(phases)

    def allows(self, phase: Phase) -> bool:
        """Whether the step after ``phase`` is permitted."""
        return phase in self._phases
