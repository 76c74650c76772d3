"""A known defect is listed and is no pass; past its day it fails; one that is gone is said."""

import pytest

from pytest_deploygate.testing import DeploygateProject
from tests.plugin.plugin_project import SUBJECT

MARK = """\
import pytest
@pytest.mark.known_defect(until="{until}", reason="sets are read as pieces, ticket 7")
def test_subject():
    {body}
"""

MEANT = "--deploy-reason=ticket 7"
"""A mark that was not there at the last promotion needs one."""


def check(body: str, until: str = "2999-12-31") -> dict[str, str]:
    return {SUBJECT: MARK.format(body=body, until=until)}


@pytest.mark.parametrize("workers", [0, pytest.param(1, marks=pytest.mark.slow)])
def test_known_defect_is_listed_everywhere_and_is_no_pass(
    project: DeploygateProject, workers: int
) -> None:
    run = project.write(check("assert False")).deploy(MEANT, workers=workers)
    assert run.status == 0, run.output
    text = f"known defect: {SUBJECT}::test_subject (until 2999-12-31: sets are read as pieces, ticket 7)"
    assert text in run.output
    assert run.property(f"known_defect.{SUBJECT}::test_subject") == text
    assert run.record is not None
    assert run.record.notes[f"known_defect.{SUBJECT}::test_subject"] == text
    score = run.record.gates["cand"].score
    assert score.passed == score.counted
    assert run.state_of(f"{SUBJECT}::test_subject") == "known_defect"


def test_defect_that_no_longer_occurs_is_said(project: DeploygateProject) -> None:
    run = project.write(check("pass")).deploy(MEANT)
    assert run.status == 0, run.output
    assert f"known defect no longer occurs, remove its mark: {SUBJECT}::test_subject" in run.output


@pytest.mark.parametrize(
    ("body", "until"),
    [("assert False", "2020-01-31"), ("raise OSError", "2999-12-31")],
    ids=["past its day", "not what is known"],
)
def test_other_failures_fail(
    project: DeploygateProject, before: str, body: str, until: str
) -> None:
    run = project.write(check(body, until)).deploy(MEANT)
    assert (run.status, run.serving) == (1, before), run.output


def test_gate_of_known_defects_alone_is_unknown(project: DeploygateProject, before: str) -> None:
    both = check("assert False") | {"gates/cand/test_honest.py": ""}
    run = project.write(both).deploy(MEANT)
    assert (run.status, run.serving) == (1, before), run.output


@pytest.mark.parametrize("arguments", ["", 'until="soon", reason="x"', 'until="2999-12-31"'])
def test_mark_without_day_and_reason_is_refused(
    project: DeploygateProject, before: str, arguments: str
) -> None:
    text = f"import pytest\n@pytest.mark.known_defect({arguments})\ndef test_subject(): pass\n"
    run = project.write({SUBJECT: text}).deploy()
    assert run.status != 0
    assert run.serving == before
    assert "needs a last day and a reason" in run.output
