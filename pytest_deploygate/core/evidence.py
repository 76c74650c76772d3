"""Evidence of a phase: the state of each check, where only an explicit and complete pass is a pass.

A check is one collected test. The inventory, fixed at collection, is the denominator of every score. A check that did
not run, ran twice, was skipped or crashed stays in it and is not a pass.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum, unique
from fractions import Fraction

from pytest_deploygate.core.identifiers import Phase
from pytest_deploygate.core.measurement import Measurement


@unique
class CheckState(Enum):
    """State of one check. Only PASSED is a pass."""

    PASSED = "passed"
    FAILED = "failed"
    ERROR = "error"
    SKIPPED = "skipped"
    XFAILED = "xfailed"
    XPASSED = "xpassed"
    FLAKY = "flaky"
    CRASHED = "crashed"
    NOT_RUN = "not_run"
    KNOWN_DEFECT = "known_defect"
    """Failed as expected, which is accepted until a given day. Neither a pass nor counted."""
    DEFECT_GONE = "defect_gone"
    """Did not fail although it is marked as a known defect: remove the mark. Neither a pass nor counted."""


@unique
class ReportOutcome(Enum):
    """Outcome of one report in the test runner's terms; rerun plugins report RERUN for a failed attempt."""

    PASSED = "passed"
    FAILED = "failed"
    SKIPPED = "skipped"
    RERUN = "rerun"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportFact:
    """The part of one report about one check that counts.

    ``when`` is ``setup``, ``call`` or ``teardown``; any other value comes from a runner whose worker crashed.
    ``is_xfail`` is set if an expected failure was involved, whatever the outcome.
    """

    when: str
    outcome: ReportOutcome
    is_xfail: bool = False
    is_subtest: bool = False


_WHENS = ("setup", "call", "teardown")
PLAIN_PASS = tuple(ReportFact(when=when, outcome=ReportOutcome.PASSED) for when in _WHENS)
"""The reports of almost every check."""


def fold(facts: Iterable[ReportFact]) -> CheckState:
    """State of a check from all its reports, in the order in which they arrive.

    PASSED needs exactly one attempt in which setup, call and teardown passed, no failure was expected, and every
    subtest passed. Several attempts of which the last one passed are FLAKY.
    """
    facts = tuple(facts)
    if facts == PLAIN_PASS:
        return CheckState.PASSED
    attempts: list[list[ReportFact]] = []
    for fact in facts:
        if fact.when not in _WHENS:
            return CheckState.CRASHED
        if (fact.when == "setup" and not fact.is_subtest) or not attempts:
            attempts.append([])
        attempts[-1].append(fact)
    if not attempts:
        return CheckState.NOT_RUN
    last = _fold_attempt(attempts[-1])
    was_rerun = len(attempts) > 1 or any(
        f.outcome is ReportOutcome.RERUN for a in attempts for f in a
    )
    if last is CheckState.PASSED and was_rerun:
        return CheckState.FLAKY
    return last


def _fold_attempt(facts: list[ReportFact]) -> CheckState:
    whole = [f for f in facts if not f.is_subtest]
    bad = [f for f in facts if f.outcome in (ReportOutcome.FAILED, ReportOutcome.RERUN)]
    if any(f.when != "call" for f in bad):
        return CheckState.ERROR
    if bad:
        return CheckState.FAILED
    if any(f.is_xfail for f in facts):
        is_pass = all(f.outcome is ReportOutcome.PASSED for f in facts)
        return CheckState.XPASSED if is_pass else CheckState.XFAILED
    if any(f.outcome is ReportOutcome.SKIPPED for f in facts):
        return CheckState.SKIPPED
    if sorted(f.when for f in whole) != sorted(_WHENS):
        return CheckState.NOT_RUN
    return CheckState.PASSED


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """Checks of one gate, ``0 <= passed <= counted``; ``counted`` is the inventory without allowed skips."""

    passed: int
    counted: int

    @property
    def ratio(self) -> Fraction:
        """Passed over counted; 0 when nothing counts."""
        return Fraction(self.passed, self.counted) if self.counted else Fraction(0)

    def __str__(self) -> str:
        return f"{self.passed}/{self.counted}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpectedFailure:
    """A check that ran and is marked as a known defect; ``text`` is its last day and reason."""

    check: str
    text: str
    is_gone: bool

    def __str__(self) -> str:
        if self.is_gone:
            return f"known defect no longer occurs, remove its mark: {self.check} ({self.text})"
        return f"known defect: {self.check} ({self.text})"


_AS_EXPECTED = {
    CheckState.XFAILED: CheckState.KNOWN_DEFECT,
    CheckState.XPASSED: CheckState.DEFECT_GONE,
}
UNCOUNTED = tuple(_AS_EXPECTED.values())
"""States of known defects, which leave the denominator."""


def as_known_defect(state: CheckState) -> CheckState:
    """The state of a check that is marked as a known defect; states other than xfail and xpass do not change."""
    return _AS_EXPECTED.get(state, state)


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """Evidence of one phase: the state of every check of every gate, measurements, and what makes it incomplete.

    ``checks`` maps a gate's name to (check id, state) in collection order; it has every gate of the phase, also empty
    ones. ``doubts`` are the reasons why the evidence is incomplete (interrupted, collection error, ...): with any of
    them no gate of the phase can pass.
    """

    phase: Phase
    checks: Mapping[str, tuple[tuple[str, CheckState], ...]]
    measurements: tuple[Measurement, ...] = ()
    doubts: tuple[str, ...] = ()
    expected_failures: tuple[ExpectedFailure, ...] = ()
    answers: Mapping[str, int] = field(default_factory=dict)
    """Requests of a gate's checks that the candidate or the verification revision answered, by gate."""
    failures: Mapping[str, str] = field(default_factory=dict)
    """First failure of each check by id, for display: ``FILE:LINE: ERROR``."""
    mistakes: frozenset[str] = frozenset()
    """Checks (ids) that failed in their own code, so that they say nothing of the revision."""

    def states(self, gate: str) -> tuple[CheckState, ...]:
        """States of the gate's checks, in collection order."""
        return tuple(state for _, state in self.checks.get(gate, ()))
