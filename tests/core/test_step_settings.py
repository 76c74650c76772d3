"""Steps and objectives as they are written in the settings."""

import re
from fractions import Fraction
from pathlib import Path

import pytest

from pytest_deploygate.config.settings import Settings, load
from pytest_deploygate.core.duration import Duration
from pytest_deploygate.core.engine_settings import TrafficStep
from pytest_deploygate.core.errors import ConfigError

PROJECT = """
[tool.deploygate.gates.smoke]
phase = "live"
marker = "smoke"
[tool.deploygate.function]
function = "f"
entry-point = "f"
runtime = "python312"
source = "src"
[tool.deploygate.environments.local]
target = "local"
steps = {steps}
"""
TRIGGER = '[tool.deploygate.triggers.t]\nfires-when = ["error_rate > 0.1"]\nseverity = "high"\n'
ERRORS = '[tool.deploygate.objectives.errors]\nmetric = "error_rate"\nworse-by = "1pp"\n'


def read(tmp_path: Path, steps: str, more: str = ERRORS) -> Settings:
    (tmp_path / "pyproject.toml").write_text(PROJECT.format(steps=steps) + more)
    return load(tmp_path)


def test_plain_numbers_are_steps_that_do_not_wait(tmp_path: Path) -> None:
    steps = read(tmp_path, "[5, 25, 100]", "").environments["local"].engine
    assert steps.percents == (5, 25, 100)
    assert all(step.wait is None for step in steps.steps)


def test_a_step_says_how_long_and_on_how_much_it_is_judged(tmp_path: Path) -> None:
    text = (
        '[{ percent = 5, for = "10m", least-requests = 200, at-most = "2h", undecided = "advance" },'
        '{ percent = 25, for = "90s" }, { percent = 100, watch = "15m" }]'
    )
    first, second, last = read(tmp_path, text, ERRORS + TRIGGER).environments["local"].engine.steps
    assert (first.wait, first.least_requests, first.longest_s) == (600, 200, 7200)
    assert first.undecided == "advance"
    assert (second.wait, second.longest_s, second.undecided) == (90, 270, "roll-back")
    assert last == TrafficStep(percent=100, watch=Duration(900))


GATE = '[tool.deploygate.gates.at]\nphase = "step"\nmarker = "at"\n'
MEASURED = '[tool.deploygate.objectives.m]\nmetric = "price_accuracy"\nworse-by = "5pp"\n'


def test_an_objective_may_be_what_checks_of_a_step_measure(tmp_path: Path) -> None:
    [one] = read(tmp_path, "[5, 100]", f'{MEASURED}better = "higher"\n{GATE}').policy.objectives
    assert one.is_measured
    assert (one.better, float(one.up_to)) == ("higher", 1.0)
    more = MEASURED.replace("5pp", "x1.2") + "up-to = 500\n" + GATE
    [one] = read(tmp_path, "[5, 100]", more).policy.objectives
    assert (one.better, float(one.up_to)) == ("lower", 500.0)
    assert one.worse_by.is_ratio


@pytest.mark.parametrize(
    ("more", "cause"),
    [
        (MEASURED, "objectives.m.metric: no gate of the step phase could measure price_accuracy"),
        (
            f"{MEASURED}quantile = 0.9\n{GATE}",
            "quantile: what checks measure is compared by its mean",
        ),
        (
            f"{MEASURED}up-to = 500\n{GATE}",
            "5pp is a difference of shares, and a value up to 500 is",
        ),
        (f'{ERRORS}better = "higher"\n', "errors.better: it belongs to what checks measure"),
        (f"{ERRORS}up-to = 2\n", "errors.up-to: it belongs to what checks measure"),
        (f"{MEASURED}up-to = 0\n{GATE}", "m.up-to"),
        (MEASURED.replace("price_accuracy", "price accuracy") + GATE, "m.metric"),
    ],
)
def test_a_measured_objective_that_cannot_be_judged_is_told(
    tmp_path: Path, more: str, cause: str
) -> None:
    with pytest.raises(ConfigError, match=re.escape(cause)):
        read(tmp_path, "[5, 100]", more)


@pytest.mark.parametrize(
    ("text", "has_fresh"),
    [
        ('[{ percent = 5, for = "1m" }, 100]', False),
        ('[{ percent = 5, for = "1m" }, 100]\nbaseline = "serving"', False),
        ('[{ percent = 5, for = "1m" }, 100]\nbaseline = "fresh"', True),
    ],
)
def test_a_baseline_is_made_fresh_where_the_settings_say_so(
    tmp_path: Path, text: str, *, has_fresh: bool
) -> None:
    engine = read(tmp_path, text).environments["local"].engine
    assert engine.has_fresh_baseline is has_fresh
    assert not engine.without_steps().has_fresh_baseline


def test_an_objective_says_what_is_compared(tmp_path: Path) -> None:
    more = ERRORS + (
        '[tool.deploygate.objectives.slow]\nmetric = "processing_time_s"\nquantile = 0.95\n'
        'worse-by = "x1.25"\nconfidence = 0.99\n'
    )
    errors, slow = read(tmp_path, "[100]", more).policy.objectives
    assert (errors.name, errors.worse_by.amount, errors.confidence) == (
        "errors",
        Fraction(1, 100),
        Fraction(19, 20),
    )
    assert (slow.quantile, slow.worse_by.amount, slow.confidence) == (
        Fraction(19, 20),
        Fraction(5, 4),
        Fraction(99, 100),
    )


@pytest.mark.parametrize(
    ("steps", "more", "cause"),
    [
        ("[50, 10, 100]", "", "steps: must ascend and end with 100, got [50, 10, 100]"),
        ('[{ percent = 5, for = "1m" }, 50]', ERRORS, "steps: must ascend and end with 100"),
        ('[{ percent = 100, for = "1m" }]', ERRORS, "at 100 percent there is no baseline"),
        ('[{ percent = 100, watch = "1m" }]', ERRORS, "needs a trigger that could end it"),
        ('[{ percent = 5, watch = "1m" }, 100]', ERRORS, "watch is for 100 percent"),
        ('[{ percent = 5, at-most = "1m" }, 100]', ERRORS, "the at-most of 5 percent needs a for"),
        (
            '[{ percent = 5, for = "2m", at-most = "1m" }, 100]',
            ERRORS,
            "the at-most of 5 percent is shorter than its for",
        ),
        ('[{ percent = 5, for = "1m" }, 100]', "", "needs an objective to be judged by"),
        ('[{ percent = 5, for = "soon" }, 100]', ERRORS, '"soon" is not a duration such as'),
        ("[{ percent = 5, wait = 1 }, 100]", ERRORS, "steps.wait: unknown key"),
        ('[5, 100]\napproval = "step"', "", "each step that waits is approved, and there is none"),
        (
            '[5, 100]\nbaseline = "fresh"',
            "",
            "baseline: a fresh baseline is what a step that waits",
        ),
        ('[{ for = "1m" }, 100]', ERRORS, "the key percent is missing"),
        ('["5", 100]', ERRORS, '"5" is not a whole number of percent from 1 to 100'),
        ("[100]", ERRORS.replace("1pp", "1%"), 'is not a margin such as "1pp" or "x1.25"'),
        ("[100]", ERRORS + "quantile = 0.95\n", "an error rate has no quantiles"),
        ("[100]", ERRORS + "confidence = 1\n", "is not a number above 0 and below 1"),
        ("[100]", ERRORS.replace("error_rate", "processing_time_s"), "key quantile is missing"),
        (
            "[100]",
            ERRORS.replace("error_rate", "processing_time_s") + "quantile = 0.5\n",
            "1pp is a difference of shares, and a latency is no share",
        ),
    ],
)
def test_what_is_wrong_is_said_with_its_key(
    tmp_path: Path, steps: str, more: str, cause: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        read(tmp_path, steps, more)
    assert cause in str(caught.value)


STEP_GATE = '[tool.deploygate.gates.prices]\nphase = "step"\npaths = ["gates/step"]\n'


def test_step_gates_are_judged_at_each_step_below_100(tmp_path: Path) -> None:
    settings = read(tmp_path, "[5, 25, 100]", STEP_GATE)
    engine = settings.environments["local"].engine
    assert engine.judged_percents == (5, 25)
    assert not any(engine.is_judged(step) for step in engine.steps)
    stops = engine._replace(has_step_gates=True)
    assert [stops.is_judged(step) for step in stops.steps] == [True, True, False]


@pytest.mark.parametrize(("steps", "has_steps"), [("[100]", True), ("[5, 100]", False)])
def test_step_gates_are_left_out_where_there_is_no_step(
    tmp_path: Path, steps: str, *, has_steps: bool
) -> None:
    settings = read(tmp_path, steps, STEP_GATE)
    judging = settings.narrow_to(settings.environments["local"], has_steps=has_steps)
    assert [gate.name for gate in judging.policy.gates] == ["smoke"]


def test_no_trigger_is_needed_in_the_step_phase(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"t\.needed-in: a step that waits holds in any case"):
        read(tmp_path, "[100]", f'{TRIGGER}needed-in = ["step"]\n')
