"""A check as the judge counts it."""

import re
from dataclasses import dataclass
from datetime import date
from typing import Final

from pytest_deploygate.channel.messages import CERTAIN, LIKELY, AttemptEnded
from pytest_deploygate.core.evidence import ReportFact, ReportOutcome
from pytest_deploygate.core.identifiers import Phase
from pytest_deploygate.core.policy import Asking, Gate

_UNTIL: Final = re.compile(r"until (\d{4}-\d{2}-\d{2}): \S")
"""How a process tells of a known defect: its last day, and a reason."""


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


def is_accepted(defect: str, today: date) -> bool:
    """Whether a known defect may fail ``today``: by the judge's clock, whatever the session takes for today."""
    text = _UNTIL.match(defect)
    try:
        return text is not None and today <= date.fromisoformat(text[1])
    except ValueError:
        return False


def facts_of(ended: AttemptEnded) -> tuple[ReportFact, ...]:
    """What counts of an attempt that has ended.

    Raises:
        ValueError: an outcome is none.
    """
    return tuple(
        ReportFact(
            when=part.when,
            outcome=ReportOutcome(part.outcome),
            is_xfail=part.is_xfail,
            is_subtest=part.is_subtest,
        )
        for part in ended.parts
    )
