"""Triggers at, below and above their bounds, and with a missing value."""

from dataclasses import replace
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_deploygate.core.enforcement import Enforcement
from pytest_deploygate.core.identifiers import Phase, Severity
from pytest_deploygate.core.measurement import Measurement
from pytest_deploygate.core.policy import Comparison, Condition
from pytest_deploygate.core.triggers import Firing, evaluate, lacks_measurement
from tests.core.policy_factory import a_trigger, measured

TINY = Fraction(1, 10**12)


def fires(condition: str, value: Fraction) -> bool:
    name = condition.split(maxsplit=1)[0]
    [result] = evaluate((a_trigger(condition),), Phase.LIVE, (Measurement(name=name, value=value),))
    return result.firing is Firing.FIRED


@pytest.mark.parametrize(
    ("condition", "below", "at", "above"),
    [
        ("accuracy_score < 0.85", True, False, False),
        ("processing_time_s > 120", False, False, True),
        ("error_rate > 0.10", False, False, True),
        ("memory_usage_mb > 1500", False, False, True),
        ("m <= 1", True, True, False),
        ("m >= 1", False, True, True),
        ("m < -0.5", True, False, False),
    ],
)
def test_trigger_is_exact_at_its_bound(condition: str, below: bool, at: bool, above: bool) -> None:
    parsed = Condition.parse(condition)
    assert str(parsed) == condition, "plan shows it as the settings have it"
    bound = parsed.bound
    found = [fires(condition, bound + step) for step in (-TINY, Fraction(0), TINY)]
    assert found == [below, at, above]


def test_trigger_takes_a_float_at_its_word() -> None:
    """0.1 + 0.2 is not 0.3 in floats; a measured 0.1 is exactly a tenth."""
    [result] = evaluate(
        (a_trigger("error_rate > 0.10"),), Phase.LIVE, (measured("error_rate", 0.1),)
    )
    assert result.firing is Firing.QUIET


@pytest.mark.parametrize("phase", list(Phase))
def test_trigger_without_its_measurement_is_unknown_where_it_is_needed(phase: Phase) -> None:
    trigger = a_trigger("a > 1", "b > 1", needed_in=(Phase.READINESS, Phase.LIVE))
    [result] = evaluate((trigger,), phase, ())
    if phase in (Phase.CANDIDATE, Phase.STEP):
        assert result.firing is Firing.QUIET
        assert result.sentence == "trigger t is quiet"
    else:
        assert result.firing is Firing.UNKNOWN
        assert result.sentence == (
            f"trigger t needs a, b, which was not measured in the {phase.value} phase"
        )


def test_what_was_measured_of_the_baseline_fires_nothing() -> None:
    trigger = a_trigger("accuracy_score < 0.85")
    sides = {
        side: Measurement.of("accuracy_score", 0.5, side=side) for side in ("candidate", "baseline")
    }
    [of_baseline] = evaluate((trigger,), Phase.STEP, (sides["baseline"],))
    assert of_baseline.firing is Firing.QUIET
    [of_both] = evaluate((trigger,), Phase.STEP, tuple(sides.values()))
    assert of_both.firing is Firing.FIRED


def test_trigger_is_needed_in_the_live_phase_unless_told_otherwise() -> None:
    assert a_trigger("a > 1").needed_in == (Phase.LIVE,)


def test_trigger_with_half_of_its_measurements_is_unknown() -> None:
    [result] = evaluate((a_trigger("a > 1", "b > 1"),), Phase.LIVE, (measured("a", 0),))
    assert result.firing is Firing.UNKNOWN
    assert result.sentence.startswith("trigger t needs b,")


def test_trigger_fires_by_any_condition_even_where_another_value_is_missing() -> None:
    [result] = evaluate((a_trigger("a > 1", "b > 1"),), Phase.LIVE, (measured("b", 2, "s"),))
    assert result.firing is Firing.FIRED
    assert result.sentence == "trigger t (high) fired: b is 2 s (c), and b > 1"


def test_trigger_fires_by_any_of_several_measurements_and_names_the_worst() -> None:
    values = (measured("a", 0.9), measured("a", 0.2), measured("a", 0.5), measured("a", 7))
    [result] = evaluate((a_trigger("a < 0.85"),), Phase.CANDIDATE, values)
    assert result.firing is Firing.FIRED
    assert result.sentence == "trigger t (high) fired: a is 0.2 (c), and a < 0.85"


def test_trigger_that_fires_by_the_platform_names_the_revision() -> None:
    by_check = Measurement.of("a", 2, check="suites/test_a.py::test_a")
    by_platform = Measurement.of("a", 3, revision="r-1")
    [one] = evaluate((a_trigger("a > 1"),), Phase.LIVE, (by_check,))
    [other] = evaluate((a_trigger("a > 1"),), Phase.LIVE, (by_check, by_platform))
    assert one.sentence == "trigger t (high) fired: a is 2 (a), and a > 1"
    assert other.sentence == "trigger t (high) fired: a is 3 (platform: r-1), and a > 1"


def test_triggers_are_listed_with_the_gravest_that_fired_first() -> None:
    triggers = (
        a_trigger("a > 1", name="quiet", severity=Severity.CRITICAL),
        a_trigger("b > 1", name="low", severity=Severity.LOW),
        a_trigger("b > 1", name="high", severity=Severity.HIGH),
        a_trigger("c > 1", name="unknown", severity=Severity.CRITICAL),
        a_trigger("b > 0", name="critical", severity=Severity.CRITICAL),
        a_trigger("b > 0", name="medium", severity=Severity.MEDIUM),
    )
    results = evaluate(triggers, Phase.LIVE, (measured("a", 0), measured("b", 5)))
    names = [r.trigger.name for r in results]
    assert names == ["critical", "high", "medium", "low", "quiet", "unknown"]


@given(st.lists(st.fractions(min_value=0, max_value=2), min_size=1, max_size=6))
def test_triggers_do_not_depend_on_the_order_of_measurements(
    values: list[Fraction],
) -> None:
    trigger = (a_trigger("m > 1", "m < 0.5"),)
    forward = tuple(Measurement(name="m", value=v) for v in values)
    [one], [other] = (evaluate(trigger, Phase.LIVE, order) for order in (forward, forward[::-1]))
    assert one.firing is other.firing
    assert (one.firing is Firing.FIRED) == any(v > 1 or v < Fraction("0.5") for v in values)


@given(
    st.lists(st.fractions(min_value=0, max_value=2), max_size=4),
    st.fractions(min_value=0, max_value=2),
)
def test_measurement_more_never_silences_a_trigger(values: list[Fraction], more: Fraction) -> None:
    trigger = (a_trigger("m > 1", "m < 0.5"),)
    found = tuple(Measurement(name="m", value=v) for v in values)
    [before] = evaluate(trigger, Phase.LIVE, found)
    [after] = evaluate(trigger, Phase.LIVE, (*found, Measurement(name="m", value=more)))
    assert after.firing is Firing.FIRED or before.firing is not Firing.FIRED


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a",
        "a <",
        "a < b",
        "a == 1",
        "1a < 2",
        "a < 1 2",
        "a < nan",
        "a < inf",
        "a<1",
        "a < 1/0",
    ],
)
def test_condition_of_another_form_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r".+") as caught:
        Condition.parse(text)
    assert str(caught.value) not in ("", "None")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a < 1 2", "not of the form 'metric < number': 'a < 1 2'"),
        ("a < 1/0", "not a number: 'a < 1/0'"),
    ],
)
def test_condition_says_what_is_wrong_with_it(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=r".+") as caught:
        Condition.parse(text)
    assert str(caught.value) == message


def test_condition_reads_what_it_is_given() -> None:
    found = Condition.parse("error_rate >= 0.10")
    assert found == Condition(
        metric="error_rate",
        comparison=Comparison.AT_LEAST,
        bound=Fraction(1, 10),
        text="error_rate >= 0.10",
    )


def test_what_was_not_measured_is_missed_only_by_a_trigger_that_decides() -> None:
    decides = a_trigger("error_rate > 0.1", "memory_usage_mb > 1500")
    assert lacks_measurement((decides,), (measured("error_rate", 0.0),))
    both = (measured("error_rate", 0.0), measured("memory_usage_mb", 1))
    assert not lacks_measurement((decides,), both)
    assert not lacks_measurement((replace(decides, enforce=Enforcement.WARN),), ())
