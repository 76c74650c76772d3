"""Rules that only warn: judged as the others, and deciding nothing."""

from dataclasses import replace

from pytest_deploygate.core.comparison import StepDecision
from pytest_deploygate.core.enforcement import Enforcement
from pytest_deploygate.core.evidence import CheckState
from pytest_deploygate.core.identifiers import Phase
from pytest_deploygate.core.measurement import Measurement
from pytest_deploygate.core.step_decision import decide_step
from pytest_deploygate.core.triggers import evaluate
from pytest_deploygate.core.verdict import ReasonCode, judge_phase
from tests.core.policy_factory import a_gate, a_policy, a_trigger, evidence_of
from tests.core.test_step_decision import BAD, GOOD, LOOK, TRIGGER

WARN = Enforcement.WARN
PASSED, FAILED = CheckState.PASSED, CheckState.FAILED
SLOW = Measurement.of("latency_s", 9, check="t")


def test_a_gate_that_warns_is_judged_and_does_not_decide() -> None:
    new = replace(a_gate("new"), enforce=WARN)
    policy = a_policy(a_gate("old"), new, threshold="1")
    found = judge_phase(policy, evidence_of({"old": [PASSED], "new": [FAILED, PASSED]}))
    assert found.holds
    assert [r.gate.name for r in found.gates] == ["old", "new"]
    assert [(w.code, w.subject) for w in found.warnings] == [(ReasonCode.GATE_FAILED, "new")]
    enforced = judge_phase(a_policy(a_gate("old"), a_gate("new"), threshold="1"), found.evidence)
    assert not enforced.holds
    assert enforced.warnings == ()


def test_gates_that_only_warn_are_no_evidence() -> None:
    policy = a_policy(replace(a_gate("new"), enforce=WARN))
    found = judge_phase(policy, evidence_of({"new": [PASSED]}))
    assert (found.holds, found.reason.code) == (False, ReasonCode.EVIDENCE_INCOMPLETE)


def test_a_trigger_that_warns_fires_and_does_not_decide() -> None:
    for fires, missing in ((SLOW,), 1), ((), 1):
        trigger = a_trigger("latency_s > 5", needed_in=(Phase.CANDIDATE,))
        policy = a_policy(a_gate("old"), triggers=(replace(trigger, enforce=WARN),))
        found = judge_phase(policy, replace(evidence_of({"old": [PASSED]}), measurements=fires))
        assert found.holds
        assert len(found.warnings) == missing
        strict = a_policy(a_gate("old"), triggers=(trigger,))
        assert not judge_phase(strict, found.evidence).holds


def test_an_objective_that_warns_does_not_stop_a_step() -> None:
    worse = replace(BAD, objective=replace(BAD.objective, name="new", enforce=WARN))
    measured = (Measurement.of("memory_usage_mb", 1600, unit="MB", revision="r"),)
    fired = evaluate((replace(TRIGGER, enforce=WARN),), Phase.LIVE, measured)
    verdict = decide_step(replace(LOOK, results=(GOOD, worse), triggers=fired))
    assert verdict.decision is StepDecision.ADVANCE
    assert verdict.look.warnings.keys() == {"objective.new", "trigger.memory"}
    assert "worse by more than 1pp" in verdict.look.warnings["objective.new"]
    assert LOOK.warnings == {}
