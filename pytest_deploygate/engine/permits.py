"""Permits for the next step of a rollout: the phases, or the step, that were judged to hold (ADR 8)."""

from pytest_deploygate.core.state_machine import Permit


class PhasePermits:
    """The phases that were judged to hold and permit the next step of a rollout.

    The code that judges keeps this object, so a hook that receives the rollout cannot permit a step itself.
    """

    def __init__(self, *phases: Permit) -> None:
        self._phases = frozenset(phases)

    def permit(self, *phases: Permit) -> None:
        """Permit the steps after exactly these phases from now on."""
        self._phases = frozenset(phases)

    def allows(self, phase: Permit) -> bool:
        """Whether the step after ``phase`` is permitted."""
        return phase in self._phases
