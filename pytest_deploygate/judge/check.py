"""A check as the judge counts it."""

from dataclasses import dataclass

from pytest_deploygate.core.identifiers import Phase


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One collected test of a gate."""

    nodeid: str
    gate: str
    phase: Phase
    step: int = 0
    """Percent of the traffic at which a check of a step gate runs."""
