"""A check as the judge counts it."""

from dataclasses import dataclass

from pytest_deploygate.channel.messages import CERTAIN, LIKELY
from pytest_deploygate.core.identifiers import Phase
from pytest_deploygate.core.policy import Asking, Gate


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One collected test of a gate."""

    nodeid: str
    gate: str
    phase: Phase
    step: int = 0
    """Percent of the traffic at which a check of a step gate runs."""

    def is_mistaken(self, gate: Gate, told: str) -> bool:
        """Whether it failed in its own code, of which ``told`` says how sure that is, not by what a revision answered.

        What is only likely counts for a candidate, of which a check that asks with a client of ours heard nothing: it
        is not kept either way. To what serves, such a check may have spoken with a client of its own.
        """
        if told == LIKELY:
            return self.phase is Phase.CANDIDATE and gate.asks is Asking.CLIENTS
        return told == CERTAIN and self.phase is not Phase.READINESS
