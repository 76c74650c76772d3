"""The policy ratchet: each point in which a policy got looser is named, and nothing that got stricter is."""

from dataclasses import replace
from fractions import Fraction

import pytest

from pytest_deploygate.core.duration import Duration
from pytest_deploygate.core.enforcement import Enforcement
from pytest_deploygate.core.engine_settings import TrafficStep
from pytest_deploygate.core.identifiers import Phase, Severity
from pytest_deploygate.core.margin import Margin
from pytest_deploygate.core.objective import Objective
from pytest_deploygate.core.policy import Asking, Condition, Leniency, PhasePolicy, Policy, Trigger
from pytest_deploygate.core.ratchet import RecordedPolicy, find_looser
from tests.core.policy_factory import a_gate, a_policy, a_trigger

HAD = {"g": ("a", "b"), "h": ("c",)}
POLICY = a_policy(
    a_gate("g", threshold="0.9", least=2, asks=Asking.CLIENTS),
    a_gate("h", weight="3"),
    threshold="0.75",
    triggers=(a_trigger("error_rate > 0.10", "memory_mb >= 900", needed_in=(Phase.LIVE,)),),
)
SLOW = Objective(
    name="slow",
    metric="processing_time_s",
    worse_by=Margin.parse("x1.25"),
    quantile=Fraction("0.95"),
    confidence=Fraction("0.95"),
)
POLICY = replace(POLICY, objectives=(SLOW,))
BEFORE = RecordedPolicy(
    policy=POLICY,
    known_defects={"c": "until 2026-10-01: ticket 1"},
    unchecked_files=("g/old.py",),
    approval="required",
)


def looser(now: RecordedPolicy) -> tuple[str, ...]:
    return find_looser(BEFORE, now, HAD, HAD)


def with_gate(name: str, **changes: object) -> RecordedPolicy:
    gates = tuple(replace(g, **changes) if g.name == name else g for g in POLICY.gates)  # type: ignore[arg-type]
    return replace(BEFORE, policy=replace(POLICY, gates=gates))


def with_phase(**changes: object) -> RecordedPolicy:
    phases = {**POLICY.phases, Phase.CANDIDATE: replace(POLICY.phases[Phase.CANDIDATE], **changes)}  # type: ignore[arg-type]
    return replace(BEFORE, policy=replace(POLICY, phases=phases))


def with_trigger(*conditions: str, needed_in: tuple[Phase, ...] = (Phase.LIVE,)) -> RecordedPolicy:
    trigger = a_trigger(*conditions, needed_in=needed_in)
    return replace(BEFORE, policy=replace(POLICY, triggers=(trigger,)))


def with_objective(**changes: object) -> RecordedPolicy:
    changed = replace(SLOW, **changes)  # type: ignore[arg-type]
    return replace(BEFORE, policy=replace(POLICY, objectives=(changed,)))


ERRORS, MEMORY = "error_rate > 0.10", "memory_mb >= 900"
LOOSER: dict[str, tuple[RecordedPolicy, str]] = {
    "gate gone": (
        replace(BEFORE, policy=replace(POLICY, gates=POLICY.gates[1:])),
        "gate g is gone",
    ),
    "phase": (
        with_gate("h", phase=Phase.LIVE),
        "gate h went from the candidate phase to the live phase",
    ),
    "threshold": (
        with_gate("g", threshold=Fraction("0.89")),
        "gate g: threshold was 0.9, is 0.89",
    ),
    "least checks": (with_gate("g", least_checks=1), "gate g: least-checks was 2, is 1"),
    "required": (with_gate("g", required=False), "gate g: it was required, and is not"),
    "skips": (with_gate("g", skips=Leniency.ALLOW), 'gate g: skips was "fail", is "allow"'),
    "flaky": (with_gate("g", flaky=Leniency.ALLOW), 'gate g: flaky was "fail", is "allow"'),
    "asks": (with_gate("g", asks=Asking.NOTHING), 'gate g: asks was "clients", is "nothing"'),
    "lighter": (
        with_gate("g", weight=Fraction("0.5")),
        "gate g: its share in the candidate phase was 0.25, is 0.142857",
    ),
    "lighter than another": (
        with_gate("g", weight=Fraction(2)),
        "gate h: its share in the candidate phase was 0.75, is 0.6",
    ),
    "phase threshold": (
        with_phase(threshold=Fraction("0.7")),
        "candidate phase: threshold was 0.75, is 0.7",
    ),
    "budget": (with_phase(budget_s=11), "candidate phase: budget-s was 10, is 11"),
    "trigger gone": (
        replace(BEFORE, policy=replace(POLICY, triggers=())),
        "trigger t is gone",
    ),
    "condition gone": (
        with_trigger(ERRORS),
        "trigger t: it fired when memory_mb >= 900, now when error_rate > 0.10",
    ),
    "higher bound": (
        with_trigger("error_rate > 0.2", MEMORY),
        "trigger t: it fired when error_rate > 0.10, now when error_rate > 0.2, memory_mb >= 900",
    ),
    "bound itself left out": (
        with_trigger(ERRORS, "memory_mb > 900"),
        "trigger t: it fired when memory_mb >= 900, now when error_rate > 0.10, memory_mb > 900",
    ),
    "other way round": (
        with_trigger("error_rate < 0.10", MEMORY),
        "trigger t: it fired when error_rate > 0.10, now when error_rate < 0.10, memory_mb >= 900",
    ),
    "not needed": (
        with_trigger(ERRORS, MEMORY, needed_in=()),
        "trigger t: its measurements are not needed in the live phase any more",
    ),
    "gate only warns": (
        with_gate("g", enforce=Enforcement.WARN),
        "gate g: it decided, and only warns",
    ),
    "trigger only warns": (
        replace(
            BEFORE,
            policy=replace(
                POLICY, triggers=(replace(POLICY.triggers[0], enforce=Enforcement.WARN),)
            ),
        ),
        "trigger t: it decided, and only warns",
    ),
    "objective gone": (
        replace(BEFORE, policy=replace(POLICY, objectives=())),
        "objective slow is gone",
    ),
    "objective of another metric": (
        with_objective(metric="error_rate"),
        "objective slow: it compares something else",
    ),
    "wider margin": (
        with_objective(worse_by=Margin.parse("x1.3")),
        "objective slow: worse-by was x1.25, is x1.3",
    ),
    "another kind of margin": (
        with_objective(worse_by=Margin.parse("1pp")),
        "objective slow: worse-by was x1.25, is 1pp",
    ),
    "less confidence": (
        with_objective(confidence=Fraction("0.9")),
        "objective slow: confidence was 0.95, is 0.9",
    ),
    "objective only warns": (
        with_objective(enforce=Enforcement.WARN),
        "objective slow: it decided, and only warns",
    ),
    "defect": (
        replace(BEFORE, known_defects={**BEFORE.known_defects, "a": "until 2026-11-01: slow"}),
        "check a is marked as a known defect until 2026-11-01: slow",
    ),
    "defect put off": (
        replace(BEFORE, known_defects={"c": "until 2026-12-01: ticket 1"}),
        "check c: its known defect was accepted until 2026-10-01, now until 2026-12-01: ticket 1",
    ),
    "approval": (replace(BEFORE, approval="none"), 'approval was "required", is "none"'),
    "file without checks": (
        replace(BEFORE, unchecked_files=("g/new.py", "g/old.py")),
        "g/new.py is below the path of a gate, but no check was collected from it",
    ),
}


@pytest.mark.parametrize(("now", "sentence"), LOOSER.values(), ids=LOOSER)
def test_policy_that_is_looser_says_in_which_point(now: RecordedPolicy, sentence: str) -> None:
    assert sentence in looser(now)
    assert len(looser(now)) == 1


STRICTER: dict[str, RecordedPolicy] = {
    "the same": BEFORE,
    "threshold": with_gate("g", threshold=Fraction(1)),
    "least checks": with_gate("g", least_checks=3),
    "all weights alike": replace(
        BEFORE,
        policy=replace(POLICY, gates=tuple(replace(g, weight=g.weight * 2) for g in POLICY.gates)),
    ),
    "phase": with_phase(threshold=Fraction(1), budget_s=9),
    "lower bounds": with_trigger("error_rate >= 0.10", "memory_mb > 800"),
    "more conditions": with_trigger(ERRORS, MEMORY, "error_rate < 0"),
    "needed in more phases": with_trigger(ERRORS, MEMORY, needed_in=(Phase.LIVE, Phase.CANDIDATE)),
    "narrower margin": with_objective(worse_by=Margin.parse("x1.2"), confidence=Fraction("0.99")),
    "defect gone": replace(BEFORE, known_defects={}),
    "defect sooner": replace(BEFORE, known_defects={"c": "until 2026-09-01: other words"}),
    "approval of each step": replace(BEFORE, approval="step"),
    "files have checks": replace(BEFORE, unchecked_files=()),
}


@pytest.mark.parametrize("now", STRICTER.values(), ids=STRICTER)
def test_stricter_policy_is_free(now: RecordedPolicy) -> None:
    assert looser(now) == ()


def test_another_gate_and_another_trigger_are_free() -> None:
    more = replace(
        POLICY,
        gates=(*POLICY.gates, a_gate("new", weight="9")),
        triggers=(*POLICY.triggers, a_trigger("x > 1", name="new", severity=Severity.CRITICAL)),
    )
    assert looser(replace(BEFORE, policy=more)) == ()


@pytest.mark.parametrize(
    ("old", "new", "is_covered"),
    [
        ("x < 5", "x < 5", True),
        ("x < 5", "x <= 5", True),
        ("x <= 5", "x < 5", False),
        ("x < 5", "x < 6", True),
        ("x < 5", "x <= 4", False),
        ("x < 5", "y < 5", False),
    ],
)
def test_condition_covers_another_one_exactly(old: str, new: str, is_covered: bool) -> None:
    def policy(text: str) -> RecordedPolicy:
        trigger = Trigger(
            name="t", conditions=(Condition.parse(text),), severity=Severity.HIGH, needed_in=()
        )
        return RecordedPolicy(policy=a_policy(triggers=(trigger,)))

    assert (find_looser(policy(old), policy(new), {}, {}) == ()) is is_covered


@pytest.mark.parametrize(
    ("has", "sentences"),
    [
        ({"g": ("a", "b", "new"), "h": ("c",)}, ()),
        ({"g": ("a", "new"), "h": ("c",)}, ("check b of gate g is gone",)),
        ({"g": ("a",), "h": ("c", "b")}, ("check b went from gate g to gate h",)),
        ({}, tuple(f"check {c} of gate {g} is gone" for g, cs in HAD.items() for c in cs)),
    ],
)
def test_checks_are_remembered_by_name(
    has: dict[str, tuple[str, ...]], sentences: tuple[str, ...]
) -> None:
    assert find_looser(BEFORE, BEFORE, HAD, has) == sentences
    assert find_looser(None, BEFORE, HAD, has)[: len(sentences)] == sentences


def test_without_a_record_only_files_without_checks_are_listed() -> None:
    nothing = Policy(
        gates=(), phases=dict.fromkeys(Phase, PhasePolicy(threshold=Fraction(0), budget_s=1))
    )
    assert find_looser(None, replace(BEFORE, policy=nothing), {}, HAD) == (
        "g/old.py is below the path of a gate, but no check was collected from it",
    )


WAITS = TrafficStep(percent=5, wait=Duration(600), least_requests=200)
WATCHED = TrafficStep(percent=100, watch=Duration(900))


@pytest.mark.parametrize(
    ("steps", "sentences"),
    [
        ((WAITS, WATCHED), ()),
        ((WAITS._replace(wait=Duration(900), least_requests=300), WATCHED), ()),
        ((WATCHED,), ("step of 5 %: it waited for 10m, and does not",)),
        (
            (WAITS._replace(wait=None), WATCHED),
            ("step of 5 %: it waited for 10m, and does not",),
        ),
        ((WAITS._replace(wait=Duration(60)), WATCHED), ("step of 5 %: for was 10m, is 1m",)),
        (
            (WAITS._replace(least_requests=1), WATCHED),
            ("step of 5 %: least-requests was 200, is 1",),
        ),
        (
            (WAITS._replace(undecided="advance"), WATCHED),
            ('step of 5 %: undecided was "roll-back", is "advance"',),
        ),
        ((WAITS, TrafficStep(percent=100)), ("step of 100 %: watch was 15m, is none",)),
        (
            (WAITS, WATCHED._replace(watch=Duration(60))),
            ("step of 100 %: watch was 15m, is 1m",),
        ),
        ((WAITS,), ("step of 100 %: watch was 15m, is none",)),
    ],
)
def test_steps_that_ask_less_are_named(
    steps: tuple[TrafficStep, ...], sentences: tuple[str, ...]
) -> None:
    before = replace(BEFORE, steps=(WAITS, WATCHED))
    assert find_looser(before, replace(before, steps=steps), HAD, HAD) == sentences
    # records of before steps were kept have nothing to compare with
    assert find_looser(BEFORE, replace(before, steps=steps), HAD, HAD) == ()


def test_policy_of_some_phases_has_their_gates_and_all_triggers_but_no_objectives() -> None:
    live = a_gate("l", phase=Phase.LIVE)
    found = replace(POLICY, gates=(*POLICY.gates, live)).of_phases([Phase.LIVE])
    assert found.gates == (live,)
    assert set(found.phases) <= {Phase.LIVE}
    assert (found.triggers, found.objectives) == (POLICY.triggers, ())
