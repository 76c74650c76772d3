"""Verdicts on gates and phases: every rule, exact at thresholds, never better than the evidence."""

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_deploygate.core.check_title import check_title
from pytest_deploygate.core.enforcement import Enforcement
from pytest_deploygate.core.evidence import (
    UNCOUNTED,
    CheckState,
    Evidence,
    ExpectedFailure,
    as_known_defect,
)
from pytest_deploygate.core.identifiers import Phase, Severity
from pytest_deploygate.core.policy import Asking, Gate, Leniency, Policy
from pytest_deploygate.core.verdict import (
    Outcome,
    PhaseVerdict,
    Reason,
    ReasonCode,
    judge_gate,
    judge_phase,
    reconcile,
    weighted_ratio,
)
from tests.core.policy_factory import a_gate, a_policy, a_trigger, evidence_of, measured

P, F, E, S, X, K, N, C = (
    CheckState.PASSED,
    CheckState.FAILED,
    CheckState.ERROR,
    CheckState.SKIPPED,
    CheckState.XPASSED,
    CheckState.FLAKY,
    CheckState.NOT_RUN,
    CheckState.CRASHED,
)
ALLOW, FAIL = Leniency.ALLOW, Leniency.FAIL


# -- one gate --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("gate", "states", "outcome", "score"),
    [
        (a_gate(), [P], Outcome.PASSED, "1/1"),
        (a_gate(), [], Outcome.UNKNOWN, "0/0"),
        (a_gate(), [F], Outcome.FAILED, "0/1"),
        (a_gate(), [N], Outcome.UNKNOWN, "0/1"),
        (a_gate(), [P, N], Outcome.FAILED, "1/2"),
        (a_gate(threshold="0.95"), [P] * 19 + [F], Outcome.PASSED, "19/20"),
        (a_gate(threshold="0.95"), [P] * 18 + [F] * 2, Outcome.FAILED, "18/20"),
        (a_gate(threshold="0.951"), [P] * 19 + [F], Outcome.FAILED, "19/20"),
        (a_gate(threshold="0"), [F], Outcome.PASSED, "0/1"),
        (a_gate(least=2), [P], Outcome.UNKNOWN, "1/1"),
        (a_gate(least=2), [P, P], Outcome.PASSED, "2/2"),
        (a_gate(least=2, threshold="0.5"), [P, N], Outcome.UNKNOWN, "1/2"),
        (a_gate(least=2, threshold="0.5"), [P, P, N], Outcome.PASSED, "2/3"),
        (a_gate(least=2, threshold="0.5"), [P, S], Outcome.UNKNOWN, "1/2"),
        (a_gate(least=2, threshold="0.5"), [P, F], Outcome.PASSED, "1/2"),
        (a_gate(least=2, threshold="0.5"), [P, C], Outcome.PASSED, "1/2"),
        (a_gate(), [P, S], Outcome.FAILED, "1/2"),
        (a_gate(skips=ALLOW), [P, S], Outcome.PASSED, "1/1"),
        (a_gate(skips=ALLOW), [S, S], Outcome.UNKNOWN, "0/0"),
        (a_gate(skips=ALLOW, least=2), [P, S], Outcome.UNKNOWN, "1/1"),
        (a_gate(skips=ALLOW, least=2), [P, S, F], Outcome.FAILED, "1/2"),
        (a_gate(skips=ALLOW), [P, N], Outcome.FAILED, "1/2"),
        (a_gate(), [P, K], Outcome.FAILED, "1/2"),
        (a_gate(flaky=ALLOW), [P, K], Outcome.PASSED, "2/2"),
        (a_gate(flaky=ALLOW), [P, X], Outcome.FAILED, "1/2"),
    ],
)
def test_gate(gate: Gate, states: Sequence[CheckState], outcome: Outcome, score: str) -> None:
    result = judge_gate(gate, evidence_of({"g": states}))
    assert (result.outcome, str(result.score)) == (outcome, score)
    assert result.gate is gate


@pytest.mark.parametrize("state", [s for s in CheckState if s not in (P, *UNCOUNTED)])
def test_gate_counts_nothing_but_a_pass(state: CheckState) -> None:
    result = judge_gate(a_gate(), evidence_of({"g": [P, state]}))
    assert str(result.score) == "1/2"
    assert result.outcome is Outcome.FAILED
    assert dict(result.counts) == {P: 1, state: 1}


def test_gate_is_unknown_under_any_doubt() -> None:
    result = judge_gate(a_gate(), evidence_of({"g": [P]}, doubts=("a worker died", "more")))
    assert result.outcome is Outcome.UNKNOWN
    assert result.sentence == "gate g is unknown: a worker died"


@pytest.mark.parametrize(
    ("states", "sentence"),
    [
        ([P, P], "gate g passed: 2/2 checks passed, it needs 0.9"),
        ([P, F], "gate g failed: 1/2 checks passed, it needs 0.9; first: 1"),
        ([P], "gate g is unknown: 1 checks ran, it needs at least 2"),
    ],
)
def test_gate_says_why(states: Sequence[CheckState], sentence: str) -> None:
    gate = a_gate(threshold="0.9", least=2)
    assert judge_gate(gate, evidence_of({"g": states})).sentence == sentence


def test_gate_lists_states_in_their_own_order() -> None:
    result = judge_gate(a_gate(), evidence_of({"g": [N, F, P, F]}))
    assert result.counts == ((P, 1), (F, 2), (N, 1))


# -- one phase -------------------------------------------------------------------------------------


def codes(verdict: PhaseVerdict) -> list[str]:
    return [r.code.value for r in verdict.reasons]


def test_mean_of_gates_is_exact() -> None:
    """In floats the mean of 0.9, 1.0, 0.95 is below 0.95, and in another order it is above."""
    found = {
        "a": [P] * 18 + [F] * 2,
        "b": [P] * 20,
        "c": [P] * 19 + [F],
    }
    for names in ("abc", "acb", "bac", "bca", "cab", "cba"):
        gates = [a_gate(n, threshold="0.9") for n in names]
        verdict = judge_phase(a_policy(*gates, threshold="0.95"), evidence_of(found))
        assert verdict.holds
        assert verdict.score == Fraction(19, 20)
        above = judge_phase(a_policy(*gates, threshold="0.9500001"), evidence_of(found))
        assert codes(above) == ["score_below_threshold"]


def test_large_gate_cannot_drown_a_small_one() -> None:
    policy = a_policy(a_gate("large"), a_gate("small"))
    verdict = judge_phase(policy, evidence_of({"large": [P] * 1000, "small": [F]}))
    assert not verdict.holds
    assert verdict.reason.subject == "small"
    assert verdict.score == Fraction(1, 2)


def test_weights_count_in_the_ratio_only() -> None:
    heavy, light = a_gate("heavy", weight="3"), a_gate("light", required=False)
    policy = a_policy(heavy, light, threshold="0.75")
    verdict = judge_phase(policy, evidence_of({"heavy": [P], "light": [F]}))
    assert verdict.holds
    assert verdict.score == Fraction(3, 4)


def test_optional_gate_can_fail_but_still_counts() -> None:
    policy = a_policy(a_gate("a"), a_gate("b", required=False), threshold="0.6")
    verdict = judge_phase(policy, evidence_of({"a": [P], "b": [F]}))
    assert codes(verdict) == ["score_below_threshold"]
    assert verdict.reason.sentence == "the candidate phase scored 0.5000, it needs 0.6"


def test_only_gates_of_the_phase_are_judged() -> None:
    policy = a_policy(a_gate("a"), a_gate("b", phase=Phase.LIVE))
    verdict = judge_phase(policy, evidence_of({"a": [P]}))
    assert verdict.holds
    assert [r.gate.name for r in verdict.gates] == ["a"]


def test_phase_without_a_gate_does_not_hold() -> None:
    verdict = judge_phase(a_policy(a_gate(phase=Phase.LIVE)), evidence_of({}))
    assert codes(verdict) == ["evidence_incomplete"]
    assert verdict.reason.sentence == "the candidate phase has no gate"
    assert verdict.score == 0


@pytest.mark.parametrize("states", [[], [S], [N], [F]])
def test_phase_in_which_nothing_passed_does_not_hold_under_the_most_lenient_policy(
    states: Sequence[CheckState],
) -> None:
    policy = a_policy(a_gate(threshold="0", required=False), threshold="0")
    verdict = judge_phase(policy, evidence_of({"g": states}))
    assert codes(verdict) == ["evidence_incomplete"]
    assert verdict.reason.sentence == "no check of the candidate phase passed"


def test_holding_phase_says_its_score() -> None:
    verdict = judge_phase(a_policy(a_gate(), threshold="0.75"), evidence_of({"g": [P]}))
    assert codes(verdict) == ["held"]
    assert verdict.reason.sentence == "the candidate phase holds: 1.0000 of 0.75"
    assert verdict.threshold == Fraction(3, 4)


def test_all_broken_rules_are_named_the_deciding_one_first() -> None:
    policy = a_policy(
        a_gate("failed"),
        a_gate("unknown"),
        a_gate("fine"),
        threshold="0.5",
        triggers=(
            a_trigger("late > 1", name="missing", needed_in=(Phase.CANDIDATE,)),
            a_trigger("m > 1", name="high", severity=Severity.HIGH),
            a_trigger("m > 1", name="grave", severity=Severity.CRITICAL),
        ),
    )
    evidence = evidence_of(
        {"failed": [F], "unknown": [], "fine": [P]}, measured=(measured("m", 2),)
    )
    verdict = judge_phase(policy, evidence)
    assert [(r.code.value, r.subject) for r in verdict.reasons] == [
        ("gate_unknown", "unknown"),
        ("trigger_fired", "grave"),
        ("trigger_fired", "high"),
        ("trigger_unknown", "missing"),
        ("gate_failed", "failed"),
        ("score_below_threshold", ""),
    ]
    assert verdict.reason is verdict.reasons[0]
    assert all(r.sentence.startswith(f"trigger {r.subject} ") for r in verdict.reasons[1:4])


def test_doubt_decides_before_everything_else() -> None:
    policy = a_policy(a_gate())
    verdict = judge_phase(policy, evidence_of({"g": [P]}, doubts=("one", "two")))
    assert [(r.code.value, r.sentence) for r in verdict.reasons] == [
        ("evidence_incomplete", "one"),
        ("evidence_incomplete", "two"),
        ("gate_unknown", "gate g is unknown: one"),
    ]


def test_ratio_of_no_gates_is_zero() -> None:
    assert weighted_ratio(()) == 0


# -- properties ------------------------------------------------------------------------------------

a_ratio = st.fractions(min_value=0, max_value=1, max_denominator=20)
some_states = st.lists(st.sampled_from(CheckState), max_size=6)


@st.composite
def worlds(draw: st.DrawFn) -> tuple[Policy, Evidence]:
    gates = [
        replace(
            a_gate(
                f"g{i}",
                required=draw(st.booleans()),
                least=draw(st.integers(1, 3)),
                skips=draw(st.sampled_from(Leniency)),
                flaky=draw(st.sampled_from(Leniency)),
            ),
            threshold=draw(a_ratio),
            weight=draw(st.fractions(min_value=Fraction(1, 10), max_value=5, max_denominator=10)),
        )
        for i in range(draw(st.integers(1, 4)))
    ]
    policy = a_policy(*gates, threshold=str(draw(a_ratio)))
    return policy, evidence_of({g.name: draw(some_states) for g in gates})


RANK = {Outcome.UNKNOWN: 0, Outcome.FAILED: 0, Outcome.PASSED: 1}


def worse_than(evidence: Evidence, data: st.DataObject) -> Evidence:
    """The evidence with one pass turned into anything else; itself if there is none."""
    passes = [(g, i) for g, c in evidence.checks.items() for i, (_, s) in enumerate(c) if s is P]
    if not passes:
        return evidence
    gate, index = data.draw(st.sampled_from(passes))
    other = data.draw(st.sampled_from([s for s in CheckState if s is not P]))
    checks = list(evidence.checks[gate])
    checks[index] = (checks[index][0], other)
    return replace(evidence, checks={**evidence.checks, gate: tuple(checks)})


@given(worlds(), st.data())
def test_losing_a_pass_never_improves_a_verdict(
    world: tuple[Policy, Evidence], data: st.DataObject
) -> None:
    policy, evidence = world
    worse = worse_than(evidence, data)
    before, after = judge_phase(policy, evidence), judge_phase(policy, worse)
    assert after.holds <= before.holds
    assert after.score <= before.score
    for was, now in zip(before.gates, after.gates, strict=True):
        assert RANK[now.outcome] <= RANK[was.outcome]


@given(worlds(), st.data())
def test_verdict_does_not_depend_on_any_order(
    world: tuple[Policy, Evidence], data: st.DataObject
) -> None:
    policy, evidence = world
    gates = data.draw(st.permutations(policy.gates))
    checks = {g: tuple(data.draw(st.permutations(c))) for g, c in evidence.checks.items()}
    one = judge_phase(policy, evidence)
    other = judge_phase(
        replace(policy, gates=tuple(gates)),
        replace(evidence, checks=dict(reversed(checks.items()))),
    )
    assert (one.holds, one.score) == (other.holds, other.score)
    assert {r.gate.name: r.outcome for r in one.gates} == {
        r.gate.name: r.outcome for r in other.gates
    }
    assert sorted(r.code.value for r in one.reasons) == sorted(r.code.value for r in other.reasons)


@given(worlds())
def test_verdict_that_holds_has_every_rule_behind_it(world: tuple[Policy, Evidence]) -> None:
    policy, evidence = world
    verdict = judge_phase(policy, evidence)
    if verdict.holds:
        assert all(r.outcome is Outcome.PASSED for r in verdict.gates if r.gate.required)
        assert verdict.score >= verdict.threshold
        assert any(
            P in evidence.states(g.name) or K in evidence.states(g.name) for g in policy.gates
        )
        assert codes(verdict) == ["held"]
    else:
        assert ReasonCode.HELD not in {r.code for r in verdict.reasons}
    doubted = judge_phase(policy, replace(evidence, doubts=("doubt",)))
    assert not doubted.holds
    assert all(r.outcome is Outcome.UNKNOWN for r in doubted.gates)


@given(worlds(), st.data())
def test_losing_a_pass_never_improves_a_verdict_whatever_is_overridden(
    world: tuple[Policy, Evidence], data: st.DataObject
) -> None:
    policy, evidence = world
    names = data.draw(st.sets(st.sampled_from([g.name for g in policy.gates])))
    worse = worse_than(evidence, data)
    before, after = (
        reconcile(policy, judge_phase(policy, found), None, dict.fromkeys(names, "why"))
        for found in (evidence, worse)
    )
    assert after.holds <= before.holds


@pytest.mark.parametrize("states", [[P, F], [F, F]])
def test_override_lets_as_much_pass_of_a_gate_that_passed_as_of_one_that_failed(
    states: Sequence[CheckState],
) -> None:
    """Whether the phase does not hold with the overridden gate, whatever its outcome, and holds without it."""
    policy = a_policy(a_gate("a"), a_gate("b", threshold="0.5"), threshold="0.8")
    own = judge_phase(policy, evidence_of({"a": [P], "b": states}))
    assert not own.holds
    assert reconcile(policy, own, None, {"b": "why"}).holds


@given(worlds(), st.booleans())
def test_custom_decision_never_improves_a_verdict(
    world: tuple[Policy, Evidence], holds: bool
) -> None:
    policy, evidence = world
    own = judge_phase(policy, evidence)
    custom = replace(own, holds=holds, reasons=(WHY,))
    assert reconcile(policy, own, custom, {}).holds == (own.holds and custom.holds)


@given(worlds())
def test_phase_holds_exactly_from_its_threshold_on(world: tuple[Policy, Evidence]) -> None:
    policy, evidence = world
    score = judge_phase(policy, evidence).score

    def is_below(threshold: Fraction) -> bool:
        phases = dict.fromkeys(Phase, replace(policy.phases[Phase.LIVE], threshold=threshold))
        verdict = judge_phase(replace(policy, phases=phases), evidence)
        return ReasonCode.SCORE_BELOW_THRESHOLD in {r.code for r in verdict.reasons}

    assert not is_below(score)
    assert is_below(score + Fraction(1, 10**30))


@given(st.integers(1, 60), st.data())
def test_gate_passes_exactly_from_its_threshold_on(counted: int, data: st.DataObject) -> None:
    need = data.draw(st.integers(0, counted))
    gate = replace(a_gate(), threshold=Fraction(need, counted))
    for passed in range(counted + 1):
        states = [P] * passed + [F] * (counted - passed)
        outcome = judge_gate(gate, evidence_of({"g": states})).outcome
        assert outcome is (Outcome.PASSED if passed >= need else Outcome.FAILED)


# -- a custom decision, overrides --------------------------------------------------------------------

GOOD = evidence_of({"a": [P], "b": [P]})
BAD = evidence_of({"a": [P], "b": [F]})
POLICY = a_policy(a_gate("a"), a_gate("b"))
WHY = Reason(code=ReasonCode.CUSTOM, sentence="not on a Friday")


def decided(
    evidence: Evidence, custom: PhaseVerdict | None = None, **overrides: str
) -> PhaseVerdict:
    return reconcile(POLICY, judge_phase(POLICY, evidence), custom, overrides)


def test_without_a_custom_decision_the_policy_decides() -> None:
    assert decided(GOOD) == judge_phase(POLICY, GOOD)
    assert decided(BAD) == judge_phase(POLICY, BAD)


def test_custom_decision_can_be_stricter() -> None:
    custom = replace(judge_phase(POLICY, GOOD), holds=False, reasons=(WHY,))
    assert decided(GOOD, custom).reasons == (WHY,)
    assert not decided(GOOD, custom).holds


def test_custom_decision_that_agrees_gives_its_own_reasons() -> None:
    verdict = decided(GOOD, replace(judge_phase(POLICY, GOOD), reasons=(WHY,)))
    assert verdict.holds
    assert verdict.reasons == (WHY,)


def test_policy_gives_its_reasons_after_those_of_a_custom_decision() -> None:
    evidence = evidence_of({"a": [F], "b": [F]})
    own = judge_phase(POLICY, evidence)
    verdict = decided(evidence, replace(own, holds=False, reasons=(WHY, own.reasons[1])))
    assert verdict.reasons == (WHY, own.reasons[1], own.reasons[0])


def test_custom_decision_that_gives_no_reason_is_given_one() -> None:
    held = judge_phase(POLICY, GOOD)
    for reasons in ((), held.reasons):
        verdict = decided(GOOD, replace(held, holds=False, reasons=reasons))
        assert not verdict.holds
        assert verdict.reasons == (
            Reason(code=ReasonCode.CUSTOM, sentence="a custom decision turned it down"),
        )


def test_custom_reasons_come_before_those_of_the_policy_and_none_twice() -> None:
    own = judge_phase(POLICY, BAD)
    verdict = decided(BAD, replace(own, reasons=(WHY, own.reasons[0])))
    assert verdict.reasons == (WHY, *own.reasons)


def test_custom_decision_cannot_be_more_lenient() -> None:
    own = judge_phase(POLICY, BAD)
    verdict = decided(BAD, replace(judge_phase(POLICY, GOOD), evidence=own.evidence))
    assert not verdict.holds
    assert codes(verdict) == [*codes(own), "custom"]
    assert verdict.reasons[-1].sentence == (
        "a custom decision would have let it pass, which needs --deploy-override=GATE:REASON"
    )


def test_of_a_custom_decision_only_the_word_and_the_reasons_count() -> None:
    """Its evidence, scores and phase differ from what was seen."""
    made_up = replace(
        judge_phase(POLICY, GOOD),
        evidence=replace(GOOD, phase=Phase.LIVE, checks={}),
        score=Fraction(2),
        gates=(),
    )
    own = judge_phase(POLICY, GOOD)
    assert decided(GOOD, made_up) == replace(own, reasons=made_up.reasons)
    assert decided(GOOD, replace(made_up, reasons=())) == own
    turned_down = decided(GOOD, replace(made_up, holds=False, reasons=(WHY,)))
    assert turned_down == replace(own, holds=False, reasons=(WHY,))


def test_override_lets_the_rest_decide_and_is_named() -> None:
    verdict = decided(BAD, b="sheet is down")
    assert verdict.holds
    assert verdict.reason.code is ReasonCode.OVERRIDDEN
    assert verdict.reason.subject == "b"
    assert verdict.reason.sentence == (
        "gate b was overridden: sheet is down (gate b failed: 0/1 checks passed, it needs 1; first: 0)"
    )
    assert [r.code for r in verdict.reasons[1:]] == [ReasonCode.GATE_FAILED]


def test_override_of_another_gate_changes_nothing() -> None:
    assert decided(BAD, a="why") == judge_phase(POLICY, BAD)


def test_override_of_a_gate_that_passed_is_not_needed() -> None:
    assert decided(GOOD, a="why") == judge_phase(POLICY, GOOD)


def test_override_of_one_broken_gate_does_not_cover_the_other() -> None:
    both = evidence_of({"a": [F], "b": [F]})
    assert not decided(both, a="why").holds
    assert decided(both, a="why", b="too").holds
    assert [r.subject for r in decided(both, a="why", b="too").reasons[:2]] == ["a", "b"]


def test_override_speaks_only_of_the_gates_that_it_names() -> None:
    policy = a_policy(a_gate("a"), a_gate("optional", required=False), a_gate("c"))
    own = judge_phase(policy, evidence_of({"a": [F], "optional": [F], "c": [P]}))
    verdict = reconcile(policy, own, None, {"a": "why", "c": "too"})
    assert not verdict.holds, "without a and c there is nothing that passed"
    verdict = reconcile(policy, own, None, {"a": "why"})
    assert [r.subject for r in verdict.reasons if r.code is ReasonCode.OVERRIDDEN] == ["a"]


def test_override_of_the_only_gate_lets_it_pass() -> None:
    policy = a_policy(a_gate(), threshold="0.75")
    own = judge_phase(policy, evidence_of({"g": [F]}))
    assert reconcile(policy, own, None, {"g": "why"}).holds


def test_override_of_the_only_gate_does_not_cover_a_missing_value() -> None:
    policy = a_policy(a_gate(), triggers=(a_trigger("m > 1", needed_in=(Phase.CANDIDATE,)),))
    own = judge_phase(policy, evidence_of({"g": [F]}))
    assert not reconcile(policy, own, None, {"g": "why"}).holds


def test_override_does_not_cover_a_trigger() -> None:
    policy = a_policy(a_gate(), triggers=(a_trigger("m > 1"),))
    evidence = evidence_of({"g": [F]}, measured=(measured("m", 2),))
    assert not reconcile(policy, judge_phase(policy, evidence), None, {"g": "why"}).holds


def test_override_does_not_cover_a_trigger_beside_other_gates() -> None:
    policy = a_policy(a_gate("a"), a_gate("b"), triggers=(a_trigger("m > 1"),))
    evidence = evidence_of({"a": [P], "b": [F]}, measured=(measured("m", 2),))
    assert not reconcile(policy, judge_phase(policy, evidence), None, {"b": "why"}).holds


@pytest.mark.parametrize("policy", [POLICY, a_policy(a_gate("b"))])
def test_override_does_not_cover_doubt(policy: Policy) -> None:
    evidence = replace(BAD, doubts=("interrupted",))
    assert not reconcile(policy, judge_phase(policy, evidence), None, {"b": "why"}).holds


def test_override_does_not_make_a_custom_refusal_pass() -> None:
    custom = replace(judge_phase(POLICY, BAD), reasons=(WHY,))
    assert not decided(BAD, custom, b="why").holds


def test_override_allows_a_custom_decision_to_be_more_lenient() -> None:
    verdict = decided(BAD, judge_phase(POLICY, GOOD), b="why")
    assert verdict.holds
    assert verdict.reason.code is ReasonCode.OVERRIDDEN


def test_known_defects_leave_the_denominator_and_are_no_pass() -> None:
    gate = a_gate(least=2)
    defects = [CheckState.KNOWN_DEFECT, CheckState.DEFECT_GONE]
    found = judge_gate(gate, evidence_of({"g": [P, P, *defects]}))
    assert (found.outcome, str(found.score)) == (Outcome.PASSED, "2/2")
    assert judge_gate(gate, evidence_of({"g": [P, *defects]})).outcome is Outcome.UNKNOWN
    assert (
        judge_gate(gate, evidence_of({"g": [P, P, CheckState.XFAILED]})).outcome is Outcome.FAILED
    )


def test_only_expected_failures_become_known_defects() -> None:
    expected = {
        CheckState.XFAILED: CheckState.KNOWN_DEFECT,
        CheckState.XPASSED: CheckState.DEFECT_GONE,
    }
    assert {s: as_known_defect(s) for s in CheckState} == {
        s: expected.get(s, s) for s in CheckState
    }


@pytest.mark.parametrize(("is_gone", "says"), [(False, "known defect: c"), (True, "no longer")])
def test_known_defect_is_told_with_day_and_reason(is_gone: bool, says: str) -> None:  # a parameter
    text = str(ExpectedFailure(check="c", text="until 2999-12-31: x", is_gone=is_gone))
    assert says in text
    assert "(until 2999-12-31: x)" in text


# -- whether the revision was asked ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("asks", "phase", "answers", "states", "outcome"),
    [
        (Asking.CLIENTS, Phase.CANDIDATE, 0, [P], Outcome.UNKNOWN),
        (Asking.CLIENTS, Phase.CANDIDATE, 1, [P], Outcome.PASSED),
        (Asking.CLIENTS, Phase.CANDIDATE, 0, [F], Outcome.FAILED),
        (Asking.CLIENTS, Phase.READINESS, 0, [P], Outcome.PASSED),
        (Asking.CLIENTS, Phase.LIVE, 0, [P], Outcome.PASSED),
        (Asking.ITSELF, Phase.CANDIDATE, 0, [P], Outcome.PASSED),
        (Asking.NOTHING, Phase.CANDIDATE, 0, [P], Outcome.PASSED),
    ],
)
def test_candidate_gate_is_unknown_when_no_judged_revision_answered_it(
    asks: Asking, phase: Phase, answers: int, states: list[CheckState], outcome: Outcome
) -> None:
    gate = a_gate(asks=asks, phase=phase)
    evidence = replace(evidence_of({"g": states}, phase=phase), answers={"g": answers, "other": 5})
    result = judge_gate(gate, evidence)
    assert result.outcome is outcome
    assert ('set asks = "itself"' in result.sentence) is (outcome is Outcome.UNKNOWN)


@pytest.mark.parametrize(
    "gates", [(), (replace(a_gate(phase=Phase.STEP), enforce=Enforcement.WARN),)]
)
def test_step_phase_needs_no_gate_that_decides(gates: tuple[Gate, ...]) -> None:
    policy = a_policy(*gates, threshold="1")
    states = {"g": [CheckState.FAILED]} if gates else {}
    verdict = judge_phase(policy, evidence_of(states, phase=Phase.STEP))
    assert (verdict.holds, verdict.score) == (True, Fraction(1))
    doubted = judge_phase(policy, evidence_of(states, phase=Phase.STEP, doubts=("a worker died",)))
    assert not doubted.holds


def test_step_gate_that_heard_nothing_is_unknown() -> None:
    policy = a_policy(a_gate(phase=Phase.STEP, asks=Asking.CLIENTS))
    verdict = judge_phase(policy, evidence_of({"g": [P]}, phase=Phase.STEP))
    assert "neither the candidate nor the public URL answered" in verdict.reason.sentence


# -- mistakes in checks ----------------------------------------------------------------------------


def with_mistakes(states: Sequence[CheckState], *numbers: int, gate: str = "g") -> Evidence:
    """Evidence in which the checks of these numbers failed in their own code."""
    mistakes = frozenset(f"{gate}.py::test_{number}" for number in numbers)
    return replace(evidence_of({gate: states}), mistakes=mistakes)


@pytest.mark.parametrize(
    ("gate", "evidence", "outcome"),
    [
        (a_gate(), with_mistakes([P, F], 1), Outcome.UNKNOWN),
        (a_gate(), with_mistakes([P, E], 1), Outcome.UNKNOWN),
        (a_gate(), with_mistakes([P, F, F], 1), Outcome.FAILED),
        (a_gate(threshold="0.5"), with_mistakes([F, F], 1), Outcome.UNKNOWN),
        (a_gate(threshold="0.5"), with_mistakes([P, F], 1), Outcome.PASSED),
        (a_gate(), with_mistakes([P, P], 1), Outcome.PASSED),
        (a_gate(), with_mistakes([P, S], 1), Outcome.FAILED),
    ],
)
def test_gate_that_only_mistakes_in_its_checks_keep_from_holding_is_unknown(
    gate: Gate, evidence: Evidence, outcome: Outcome
) -> None:
    assert judge_gate(gate, evidence).outcome is outcome


def test_reason_names_the_mistake() -> None:
    evidence = replace(
        with_mistakes([P, E, E], 1, 2), failures={"g.py::test_1": "g.py:3: TypeError: no"}
    )
    told = "gate g is unknown: 2 checks failed in code of the gate itself; first: 1: g.py:3: TypeError: no"
    assert judge_gate(a_gate(), evidence).sentence == told
    told = "gate g is unknown: a check failed in code of the gate itself; first: 1"
    assert judge_gate(a_gate(), with_mistakes([P, E], 1)).sentence == told


@pytest.mark.parametrize(
    ("required", "evidence", "codes"),
    [
        (True, with_mistakes([E], 0), [ReasonCode.GATE_UNKNOWN, ReasonCode.EVIDENCE_INCOMPLETE]),
        (False, with_mistakes([E], 0), [ReasonCode.EVIDENCE_INCOMPLETE]),
        (False, with_mistakes([E, F], 0), [ReasonCode.SCORE_BELOW_THRESHOLD]),
    ],
)
def test_score_that_mistakes_keep_low_says_nothing_of_the_release(
    *, required: bool, evidence: Evidence, codes: list[ReasonCode]
) -> None:
    policy = a_policy(a_gate(threshold="1", required=required), threshold="1")
    verdict = judge_phase(policy, evidence)
    assert not verdict.holds
    assert [reason.code for reason in verdict.reasons] == codes


def test_phase_without_a_gate_says_nothing_of_the_release() -> None:
    verdict = judge_phase(a_policy(threshold="1"), evidence_of({}))
    assert {reason.code for reason in verdict.reasons} == {ReasonCode.EVIDENCE_INCOMPLETE}


# -- what a reason names ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("gate", "states", "first"),
    [
        (a_gate(), [P, F, P], "1"),
        (a_gate(), [F, E, F], "0, 1"),
        (a_gate(skips=ALLOW), [S, F], "1"),
        (a_gate(), [S, F], "0, 1"),
        (a_gate(flaky=ALLOW), [K, F], "1"),
        (a_gate(), [CheckState.KNOWN_DEFECT, F], "1"),
    ],
)
def test_reason_names_the_first_checks_that_did_not_pass(
    gate: Gate, states: Sequence[CheckState], first: str
) -> None:
    sentence = judge_gate(gate, evidence_of({"g": states})).sentence
    assert sentence.endswith(f", it needs 1; first: {first}")


@pytest.mark.parametrize(
    ("nodeid", "title"),
    [
        ("a/test_rows.py::test_rows_begin_in_column_a", "rows begin in column a"),
        ("a.py::test_rows_begin[CS003837319]", "rows begin (CS003837319)"),
        ("a.py::TestRows::test_begin[a::b-[1]]", "begin (a::b-[1])"),
        ("a.py::test_it[" + "x" * 90 + "]", "it (" + "x" * 73 + "..."),
        ("check", "check"),
    ],
)
def test_title_of_a_check(nodeid: str, title: str) -> None:
    assert check_title(nodeid) == title
