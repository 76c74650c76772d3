"""One state per check from its reports; measurements; scores."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_deploygate.core.evidence import (
    UNCOUNTED,
    CheckState,
    Evidence,
    ReportFact,
    ReportOutcome,
    Score,
    fold,
)
from pytest_deploygate.core.identifiers import Phase
from pytest_deploygate.core.record import RecordedGate
from pytest_deploygate.core.verdict import Outcome

OUTCOMES = {
    ".": ReportOutcome.PASSED,
    "F": ReportOutcome.FAILED,
    "s": ReportOutcome.SKIPPED,
    "R": ReportOutcome.RERUN,
}
WHENS = {"u": "setup", "c": "call", "d": "teardown", "?": "???"}


def facts(text: str) -> list[ReportFact]:
    """``u. c. d.``: setup, call, teardown passed; ``x`` marks an expected failure, ``t`` a subtest."""
    return [
        ReportFact(
            when=WHENS[word[0]],
            outcome=OUTCOMES[word[1]],
            is_xfail="x" in word[2:],
            is_subtest="t" in word[2:],
        )
        for word in text.split()
    ]


CASES = [
    ("", CheckState.NOT_RUN),
    ("u. c. d.", CheckState.PASSED),
    ("u.", CheckState.NOT_RUN),
    ("u. c.", CheckState.NOT_RUN),
    ("u. d.", CheckState.NOT_RUN),
    ("c. d.", CheckState.NOT_RUN),
    ("u. c. c. d.", CheckState.NOT_RUN),
    ("u. c. d. d.", CheckState.NOT_RUN),
    ("us d.", CheckState.SKIPPED),
    ("u. cs d.", CheckState.SKIPPED),
    ("u. c. ds", CheckState.SKIPPED),
    ("uF d.", CheckState.ERROR),
    ("u. c. dF", CheckState.ERROR),
    ("u. cF dF", CheckState.ERROR),
    ("u. cF d.", CheckState.FAILED),
    ("u. csx d.", CheckState.XFAILED),
    ("usx d.", CheckState.XFAILED),
    ("u. c. dsx", CheckState.XFAILED),
    ("u. c.x d.", CheckState.XPASSED),
    ("u. c.x ds", CheckState.XFAILED),
    ("u. cFx d.", CheckState.FAILED),
    ("u. c.t c.t c. d.", CheckState.PASSED),
    ("u. c.t cFt c. d.", CheckState.FAILED),
    ("u. cst cst c. d.", CheckState.SKIPPED),
    ("u. csxt c. d.", CheckState.XFAILED),
    ("u. c.t d.", CheckState.NOT_RUN),
    ("uFt u. c. d.", CheckState.FLAKY),
    ("u. cR d. u. c. d.", CheckState.FLAKY),
    ("u. d. u. c. d.", CheckState.FLAKY),
    ("u. c. d. u. c. d.", CheckState.FLAKY),
    ("u. cR d. u. cF d.", CheckState.FAILED),
    ("uR d. u. c. d.", CheckState.FLAKY),
    ("u. cR d.", CheckState.FAILED),
    ("uR d.", CheckState.ERROR),
    ("u. c. d. us d.", CheckState.SKIPPED),
    ("?F", CheckState.CRASHED),
    ("u. ?F", CheckState.CRASHED),
    ("u. c. ?F", CheckState.CRASHED),
    ("u. c. d. ?F", CheckState.CRASHED),
    ("?.", CheckState.CRASHED),
]


@pytest.mark.parametrize(("text", "state"), CASES)
def test_fold_names_what_a_check_came_to(text: str, state: CheckState) -> None:
    assert fold(facts(text)) is state


def test_report_is_plain_unless_told_otherwise() -> None:
    report = ReportFact(when="call", outcome=ReportOutcome.PASSED)
    assert (report.is_xfail, report.is_subtest) == (False, False)


def test_fold_has_a_case_for_every_state() -> None:
    assert {state for _, state in CASES} == set(CheckState) - set(UNCOUNTED)


a_fact = st.builds(
    ReportFact,
    when=st.sampled_from(["setup", "call", "teardown", "???"]),
    outcome=st.sampled_from(ReportOutcome),
    is_xfail=st.booleans(),
    is_subtest=st.booleans(),
)


@given(st.lists(a_fact, max_size=8))
def test_fold_passes_only_three_plain_reports_of_one_attempt(reports: list[ReportFact]) -> None:
    """The rule written a second time, independently: every report must be a plain pass."""
    if fold(reports) is not CheckState.PASSED:
        return
    assert all(r.outcome is ReportOutcome.PASSED and not r.is_xfail for r in reports)
    assert sorted(r.when for r in reports if not r.is_subtest) == ["call", "setup", "teardown"]


@given(st.lists(a_fact, min_size=1, max_size=3), st.integers(0, 3))
def test_fold_never_passes_when_anything_is_added_to_a_pass(
    more: list[ReportFact], at: int
) -> None:
    reports = facts("u. c. d.")
    reports[at:at] = more
    is_harmless = all(
        m.is_subtest
        and m.outcome is ReportOutcome.PASSED
        and not m.is_xfail
        and m.when in ("setup", "call", "teardown")
        for m in more
    )
    state = fold(reports)
    if not is_harmless:
        assert state is not CheckState.PASSED


@given(st.permutations(["c.t", "cFt", "cst", "csxt", "c.t"]))
def test_fold_does_not_depend_on_the_order_of_subtests(order: list[str]) -> None:
    assert fold(facts(" ".join(["u.", *order, "c.", "d."]))) is CheckState.FAILED


# -- score and evidence ----------------------------------------------------------------------------


def test_score_of_nothing_is_zero() -> None:
    assert Score(passed=0, counted=0).ratio == 0


def test_score_is_exact_and_readable() -> None:
    score = Score(passed=19, counted=20)
    assert score.ratio == Fraction("0.95")
    assert str(score) == "19/20"


def test_recorded_gate_is_readable() -> None:
    gate = RecordedGate(score=Score(passed=1, counted=2), outcome=Outcome.FAILED)
    assert str(gate) == "1/2 FAILED"


def test_evidence_has_no_states_for_a_gate_that_it_does_not_know() -> None:
    evidence = Evidence(phase=Phase.LIVE, checks={"g": (("a", CheckState.PASSED),)})
    assert evidence.states("g") == (CheckState.PASSED,)
    assert evidence.states("other") == ()
    assert evidence.measurements == ()
    assert evidence.doubts == ()
