"""Computes a verdict from evidence: pure, exact, and never better than the evidence.

A phase holds if all of these rules hold. Each broken rule is a reason, and the first one decides. The step phase may
have no gate, or only gates that warn; then the last two rules do not apply to it.

1. the evidence is complete (``evidence_incomplete``);
2. no required gate is UNKNOWN (``gate_unknown``);
3. no trigger fired (``trigger_fired``), and none lacks a value that it needs (``trigger_unknown``);
4. every required gate PASSED (``gate_failed``);
5. the weighted ratio over the phase's gates reaches the phase's threshold (``score_below_threshold``);
6. at least one check passed, however lenient the policy is (``evidence_incomplete``).
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import Enum, unique
from fractions import Fraction
from typing import Final

from pytest_deploygate.core.check_title import check_title
from pytest_deploygate.core.enforcement import Enforcement
from pytest_deploygate.core.evidence import UNCOUNTED, CheckState, Evidence, Score
from pytest_deploygate.core.identifiers import Phase
from pytest_deploygate.core.policy import Asking, Gate, Leniency, Policy
from pytest_deploygate.core.triggers import Firing, TriggerResult, evaluate

_FIRST: Final = 2
"""Failed checks that a reason names."""


@unique
class Outcome(Enum):
    """Result of one gate. UNKNOWN: too few checks ran, or the evidence is incomplete."""

    PASSED = "PASSED"
    FAILED = "FAILED"
    UNKNOWN = "UNKNOWN"


@unique
class ReasonCode(Enum):
    """The rule that decided, for machines."""

    HELD = "held"
    NOTHING_TO_DEPLOY = "nothing_to_deploy"
    EVIDENCE_INCOMPLETE = "evidence_incomplete"
    GATE_UNKNOWN = "gate_unknown"
    TRIGGER_FIRED = "trigger_fired"
    TRIGGER_UNKNOWN = "trigger_unknown"
    GATE_FAILED = "gate_failed"
    SCORE_BELOW_THRESHOLD = "score_below_threshold"
    WORSE_THAN_BASELINE = "worse_than_baseline"
    STEP_UNDECIDED = "step_undecided"
    CUSTOM = "custom"
    REQUESTED = "requested"
    OVERRIDDEN = "overridden"
    INTERRUPTED = "interrupted"
    STAGE_FAILED = "stage_failed"
    PROMOTE_FAILED = "promote_failed"
    DRIFTED = "drifted"
    COULD_NOT_ACT = "could_not_act"
    ROLLBACK_UNVERIFIED = "rollback_unverified"
    PROCESS_LOST = "process_lost"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    """A rule that was broken (or held): its code, the gate or trigger, and a sentence for display."""

    code: ReasonCode
    sentence: str
    subject: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class GateResult:
    """One judged gate; ``counts`` has the number of checks in each state."""

    gate: Gate
    outcome: Outcome
    score: Score
    counts: tuple[tuple[CheckState, int], ...]
    sentence: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PhaseVerdict:
    """Whether a phase holds; ``reasons`` has the deciding rule first and is never empty."""

    evidence: Evidence
    holds: bool
    score: Fraction
    threshold: Fraction
    gates: tuple[GateResult, ...]
    triggers: tuple[TriggerResult, ...]
    reasons: tuple[Reason, ...]
    warnings: tuple[Reason, ...] = ()
    """Reasons of broken rules with ``enforce = "warn"``, which do not decide."""

    @property
    def reason(self) -> Reason:
        """The deciding reason."""
        return self.reasons[0]


def judge_gate(gate: Gate, evidence: Evidence) -> GateResult:
    """Judge one gate on the evidence of its phase."""
    states = evidence.states(gate.name)
    counts = tuple((state, states.count(state)) for state in CheckState if state in states)
    counted = len(states) - sum(map(states.count, UNCOUNTED))
    if gate.skips is Leniency.ALLOW:
        counted -= states.count(CheckState.SKIPPED)
    passed = states.count(CheckState.PASSED)
    if gate.flaky is Leniency.ALLOW:
        passed += states.count(CheckState.FLAKY)
    score = Score(passed=passed, counted=counted)
    ran = counted - states.count(CheckState.NOT_RUN)
    if gate.skips is Leniency.FAIL:
        ran -= states.count(CheckState.SKIPPED)
    outcome, sentence = _outcome(gate, score, ran, evidence)
    return GateResult(gate=gate, outcome=outcome, score=score, counts=counts, sentence=sentence)


def _outcome(gate: Gate, score: Score, ran: int, evidence: Evidence) -> tuple[Outcome, str]:
    need = f"needs {float(gate.threshold):g}"
    if evidence.doubts:
        return Outcome.UNKNOWN, f"gate {gate.name} is unknown: {evidence.doubts[0]}"
    if ran < gate.least_checks:
        return (
            Outcome.UNKNOWN,
            f"gate {gate.name} is unknown: {ran} checks ran, it needs at least {gate.least_checks}",
        )
    if score.ratio < gate.threshold:
        if _could_hold(gate, score, evidence):
            return Outcome.UNKNOWN, _mistakes_told(gate, evidence)
        first = _first_told(gate, evidence)
        return Outcome.FAILED, f"gate {gate.name} failed: {score} checks passed, it {need}{first}"
    if _has_asked_nobody(gate, evidence):
        others = "public URL" if gate.phase is Phase.STEP else "verification revision"
        sentence = (
            f"gate {gate.name} is unknown: neither the candidate nor the {others} answered its checks; "
            f'if they use a client of their own, set asks = "itself" in [tool.deploygate.gates.{gate.name}]'
        )
        return Outcome.UNKNOWN, sentence
    return Outcome.PASSED, f"gate {gate.name} passed: {score} checks passed, it {need}"


def _mistaken(gate: Gate, evidence: Evidence) -> tuple[str, ...]:
    """Checks of a gate that did not pass, because of their own code."""
    bad = (CheckState.FAILED, CheckState.ERROR)
    checks = evidence.checks.get(gate.name, ())
    return tuple(check for check, state in checks if state in bad and check in evidence.mistakes)


def _best(gate: Gate, score: Score, evidence: Evidence) -> Score:
    """The score of a gate if all checks with mistakes of their own passed."""
    return replace(score, passed=score.passed + len(_mistaken(gate, evidence)))


def _could_hold(gate: Gate, score: Score, evidence: Evidence) -> bool:
    """Whether nothing but mistakes in checks keeps a gate from its threshold."""
    return _best(gate, score, evidence).ratio >= gate.threshold


def _mistakes_told(gate: Gate, evidence: Evidence) -> str:
    mistaken = _mistaken(gate, evidence)
    why = evidence.failures.get(mistaken[0], "")
    first = f"{check_title(mistaken[0])}: {why}" if why else check_title(mistaken[0])
    count = "a check" if len(mistaken) == 1 else f"{len(mistaken)} checks"
    return f"gate {gate.name} is unknown: {count} failed in code of the gate itself; first: {first}"


def _first_told(gate: Gate, evidence: Evidence) -> str:
    """The first checks that did not pass, by name and parameters."""
    fine = {CheckState.PASSED, *UNCOUNTED}
    if gate.skips is Leniency.ALLOW:
        fine.add(CheckState.SKIPPED)
    if gate.flaky is Leniency.ALLOW:
        fine.add(CheckState.FLAKY)
    bad = [check for check, state in evidence.checks.get(gate.name, ()) if state not in fine]
    return f"; first: {', '.join(map(check_title, bad[:_FIRST]))}"


def _has_asked_nobody(gate: Gate, evidence: Evidence) -> bool:
    """Whether a gate that judges a revision over HTTP has not heard from it."""
    asks_over_http = gate.phase in (Phase.CANDIDATE, Phase.STEP)
    is_to_ask = asks_over_http and gate.asks is Asking.CLIENTS
    return is_to_ask and not evidence.answers.get(gate.name)


def weighted_ratio(results: tuple[GateResult, ...]) -> Fraction:
    """Weighted mean of the gates' ratios; 0 without gates."""
    total = sum(r.gate.weight for r in results)
    if not total:
        return Fraction(0)
    return sum(r.gate.weight * r.score.ratio for r in results) / total


def judge_phase(policy: Policy, evidence: Evidence) -> PhaseVerdict:
    """Verdict of one phase by the rules of this module."""
    phase = evidence.phase
    gates = tuple(judge_gate(gate, evidence) for gate in policy.gates_of(phase))
    evaluated = evaluate(policy.triggers, phase, evidence.measurements)
    results = tuple(r for r in gates if r.gate.enforce is Enforcement.BLOCK)
    triggers = tuple(t for t in evaluated if t.trigger.enforce is Enforcement.BLOCK)
    threshold = policy.phases[phase].threshold
    score = weighted_ratio(results)
    broken = [
        Reason(code=ReasonCode.EVIDENCE_INCOMPLETE, sentence=doubt) for doubt in evidence.doubts
    ]
    is_optional = phase is Phase.STEP and not results
    if not (results or is_optional):
        broken.append(
            Reason(
                code=ReasonCode.EVIDENCE_INCOMPLETE, sentence=f"the {phase.value} phase has no gate"
            )
        )
    broken += _broken_rules(results, triggers)
    if is_optional:
        score = threshold
    if score < threshold:
        broken.append(_score_reason(evidence, results, score, threshold))
    if not (broken or is_optional or any(r.score.passed for r in results)):
        sentence = f"no check of the {phase.value} phase passed"
        broken.append(Reason(code=ReasonCode.EVIDENCE_INCOMPLETE, sentence=sentence))
    held = Reason(
        code=ReasonCode.HELD,
        sentence=f"the {phase.value} phase holds: {float(score):.4f} of {float(threshold):g}",
    )
    return PhaseVerdict(
        evidence=evidence,
        holds=not broken,
        score=score,
        threshold=threshold,
        gates=gates,
        triggers=evaluated,
        reasons=tuple(broken) or (held,),
        warnings=tuple(
            _broken_rules(
                tuple(r for r in gates if r.gate.enforce is Enforcement.WARN),
                tuple(t for t in evaluated if t.trigger.enforce is Enforcement.WARN),
            )
        ),
    )


def _score_reason(
    evidence: Evidence, results: tuple[GateResult, ...], score: Fraction, threshold: Fraction
) -> Reason:
    """A score that is too low; one that only mistakes in checks keep low speaks of the checks, not of the release."""
    best = weighted_ratio(
        tuple(replace(r, score=_best(r.gate, r.score, evidence)) for r in results)
    )
    is_explicit = bool(results) and best < threshold
    needs = f"it needs {float(threshold):g}"
    return Reason(
        code=ReasonCode.SCORE_BELOW_THRESHOLD if is_explicit else ReasonCode.EVIDENCE_INCOMPLETE,
        sentence=f"the {evidence.phase.value} phase scored {float(score):.4f}, {needs}",
    )


def _broken_rules(
    results: tuple[GateResult, ...], triggers: tuple[TriggerResult, ...]
) -> list[Reason]:
    """Reasons of broken rules of required gates and triggers, in the order of the rules."""
    return [
        *_gate_reasons(results, Outcome.UNKNOWN, ReasonCode.GATE_UNKNOWN),
        *_trigger_reasons(triggers, Firing.FIRED, ReasonCode.TRIGGER_FIRED),
        *_trigger_reasons(triggers, Firing.UNKNOWN, ReasonCode.TRIGGER_UNKNOWN),
        *_gate_reasons(results, Outcome.FAILED, ReasonCode.GATE_FAILED),
    ]


def _gate_reasons(
    results: tuple[GateResult, ...], outcome: Outcome, code: ReasonCode
) -> list[Reason]:
    return [
        Reason(code=code, sentence=r.sentence, subject=r.gate.name)
        for r in results
        if r.gate.required and r.outcome is outcome
    ]


def _trigger_reasons(
    results: tuple[TriggerResult, ...], firing: Firing, code: ReasonCode
) -> list[Reason]:
    return [
        Reason(code=code, sentence=r.sentence, subject=r.trigger.name)
        for r in results
        if r.firing is firing
    ]


def reconcile(
    policy: Policy,
    own: PhaseVerdict,
    custom: PhaseVerdict | None,
    overrides: Mapping[str, str],
) -> PhaseVerdict:
    """Combine the policy's ``own`` verdict and a ``custom`` one into the verdict that counts.

    Only ``holds`` and ``reasons`` of a custom verdict count; evidence, scores and phase are always the policy's own. It
    can be stricter. If the policy's rules are broken, only ``overrides`` (gate to reason) can still let the phase hold,
    and only if the phase holds without those gates: triggers and incomplete evidence cannot be overridden.
    """
    if custom is not None and not custom.holds:
        return _turn_down(own, custom)
    if own.holds:
        return own if custom is None else replace(own, reasons=custom.reasons or own.reasons)
    kept = tuple(g for g in policy.gates if g.name not in overrides)
    # An overridden gate that passed is left out too: otherwise the loss of one of its passes could improve the verdict.
    waived = [r for r in own.gates if r.gate.name in overrides]
    if waived and _holds_without(policy, own, kept):
        reasons = tuple(
            Reason(
                code=ReasonCode.OVERRIDDEN,
                sentence=f"gate {r.gate.name} was overridden: {overrides[r.gate.name]} ({r.sentence})",
                subject=r.gate.name,
            )
            for r in waived
        )
        return replace(own, holds=True, reasons=(*reasons, *own.reasons))
    if custom is None:
        return own
    note = Reason(
        code=ReasonCode.CUSTOM,
        sentence="a custom decision would have let it pass, which needs --deploy-override=GATE:REASON",
    )
    return replace(own, reasons=(*own.reasons, note))


def _turn_down(own: PhaseVerdict, custom: PhaseVerdict) -> PhaseVerdict:
    """The policy's verdict, made to fail by a custom one, whose reasons come first."""
    unnamed = Reason(code=ReasonCode.CUSTOM, sentence="a custom decision turned it down")
    given = [r for r in custom.reasons if r.code is not ReasonCode.HELD] or [unnamed]
    more = () if own.holds else tuple(r for r in own.reasons if r not in given)
    return replace(own, holds=False, reasons=(*given, *more))


def _holds_without(policy: Policy, own: PhaseVerdict, kept: tuple[Gate, ...]) -> bool:
    rest = judge_phase(replace(policy, gates=kept), own.evidence)
    if rest.gates:
        return rest.holds
    # Every gate of the phase was overridden: only triggers and completeness of the evidence remain.
    quiet = all(t.firing is Firing.QUIET for t in rest.triggers)
    return quiet and not own.evidence.doubts
