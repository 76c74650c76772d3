"""Numbers that checks measure: through workers, into the ledger and JUnit, and what triggers make of them."""

import json

import pytest

from pytest_deploygate.core.identifiers import Phase
from pytest_deploygate.core.measurement import Measurement
from pytest_deploygate.testing import DeploygateProject, SessionOutcome
from tests.plugin.plugin_project import SUBJECT

LIVE = "gates/live/test_live.py"
TRIGGER = """
[tool.deploygate.triggers.{name}]
fires-when = ["{condition}"]
severity = "critical"
"""
MEASURES = """\
def test_{check}(measure):
    measure('{name}', {value}, unit='s')
"""


def measured(run: SessionOutcome) -> list[dict[str, object]]:
    found = [p for case in run.cases for p in case.properties]
    return [json.loads(value) for name, value in found if name == "deploygate.measure"]


@pytest.mark.parametrize("workers", [0, 1])
def test_measurements_travel_to_the_ledger_and_junit(
    project: DeploygateProject, workers: int
) -> None:
    project.write(
        {SUBJECT: MEASURES.format(check="subject", name="processing_time_s", value="0.1 + 0.2")}
    )
    run = project.deploy("-W", "error", workers=workers)
    assert run.status == 0, run.output
    assert measured(run) == [{"name": "processing_time_s", "value": 0.1 + 0.2, "unit": "s"}]
    assert run.record is not None
    (kept,) = run.record.measurements[Phase.CANDIDATE]
    assert kept == Measurement.of(
        "processing_time_s", 0.1 + 0.2, unit="s", check=f"{SUBJECT}::test_subject"
    )


@pytest.mark.parametrize(
    ("value", "holds"), [("0.85", True), ("0.8499999999999999", False), ("0.86", True)]
)
def test_trigger_decides_exactly_at_its_bound(
    project: DeploygateProject, before: str, value: str, holds: bool
) -> None:
    project.add_settings(
        TRIGGER.format(name="accuracy_degradation", condition="accuracy_score < 0.85")
    )
    project.write({LIVE: MEASURES.format(check="honest", name="accuracy_score", value=value)})
    run = project.deploy()
    assert run.status == (0 if holds else 1), run.output
    assert (run.serving != before) is holds
    if not holds:
        assert run.property("reason_code") == "trigger_fired"
        assert "trigger accuracy_degradation (critical) fired: accuracy_score" in run.output


@pytest.mark.parametrize("workers", [0, 1])
def test_trigger_whose_value_is_missing_does_not_let_a_release_stay(
    project: DeploygateProject, before: str, workers: int
) -> None:
    project.add_settings(TRIGGER.format(name="high_error_rate", condition="error_rate > 0.10"))
    run = project.deploy(workers=workers)
    assert (run.status, run.serving) == (1, before), run.output
    assert run.property("reason_code") == "trigger_unknown"
    assert run.property("state") == "ROLLED_BACK"


@pytest.mark.parametrize("workers", [0, 1])
def test_what_is_no_number_is_an_error_at_the_call(
    project: DeploygateProject, workers: int
) -> None:
    """Each of them raises in the check that measured; where it is swallowed, nothing was measured."""
    body = """
        import math
        import pytest

        BAD = [math.nan, math.inf, -math.inf, True, "0.9", None]


        def test_subject(measure):
            for bad in BAD:
                with pytest.raises((TypeError, ValueError), match="'m' needs a"):
                    measure("m", bad)
    """
    run = project.write({SUBJECT: body}).deploy(workers=workers)
    assert run.status == 0, run.output
    assert measured(run) == []


def test_measurement_that_is_no_number_fails_its_check(
    project: DeploygateProject, before: str
) -> None:
    project.write({SUBJECT: MEASURES.format(check="subject", name="m", value="float('nan')")})
    run = project.deploy()
    assert (run.status, run.serving) == (1, before), run.output
    assert run.state_of(f"{SUBJECT}::test_subject") == "failed"
    assert "measurement 'm' needs a finite number, got nan" in run.output
