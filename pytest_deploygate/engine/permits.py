"""Which phases were judged to hold: the permits for the next step of a rollout."""

from pytest_deploygate.core.identifiers import Phase


class PhasePermits:
    """The phases that were judged to hold, as far as they count for the next step of a rollout.

    Whoever judges keeps this object; a hook that is handed the rollout cannot help itself to a step.
    """

    def __init__(self, *phases: Phase) -> None:
        self._phases = frozenset(phases)

    def grant(self, *phases: Phase) -> None:
        """From now on exactly these count."""
        self._phases = frozenset(phases)

    def allows(self, phase: Phase) -> bool:
        """Whether ``phase`` counts."""
        return phase in self._phases
