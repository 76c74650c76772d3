"""Every state of a check has its name in the summary, in the JUnit file and in the ledger."""

from importlib.util import find_spec

import pytest

from pytest_deploygate.core.evidence import UNCOUNTED, CheckState, Score
from pytest_deploygate.testing import DeploygateProject, SessionOutcome

IMPORTS = """\
import os
from pathlib import Path
import pytest
"""
DEFECT = '@pytest.mark.known_defect(until="2999-12-31", reason="ticket 7")\n'
BODIES = {
    CheckState.PASSED: "def test_it(): pass\n",
    CheckState.FAILED: "def test_it(): assert False\n",
    CheckState.ERROR: """\
@pytest.fixture
def f(): raise OSError
def test_it(f): pass
""",
    CheckState.SKIPPED: """\
@pytest.mark.skip
def test_it(): pass
""",
    CheckState.XFAILED: """\
@pytest.mark.xfail
def test_it(): assert False
""",
    CheckState.XPASSED: """\
@pytest.mark.xfail(strict=False)
def test_it(): pass
""",
    CheckState.FLAKY: "@pytest.mark.flaky(reruns=1)\ndef test_it():\n    seen = Path('seen')\n"
    "    is_second = seen.exists()\n    seen.touch()\n    assert is_second\n",
    CheckState.CRASHED: "def test_it(): os._exit(0)\n",
    CheckState.NOT_RUN: "def test_not_run(): pass\n",
    CheckState.KNOWN_DEFECT: DEFECT + "def test_it(): assert False\n",
    CheckState.DEFECT_GONE: DEFECT + "def test_it(): pass\n",
}
LEFT_OUT = """\
def pytest_runtest_protocol(item):
    return True if item.name == "test_not_run" else None
"""


def told(run: SessionOutcome, state: CheckState) -> set[str]:
    """What the JUnit file says of the check that comes to ``state``."""
    cases = [c for c in run.cases if c.classname.endswith(f"test_{state.value}")]
    assert cases, f"{state.value}: no test case"
    return {cases[-1].property("state")}


@pytest.mark.parametrize("workers", [0, pytest.param(2, marks=pytest.mark.slow)])
def test_every_state_has_a_name_in_all_three_places(
    project: DeploygateProject, workers: int
) -> None:
    states = set(CheckState) - (set() if workers else {CheckState.CRASHED})
    if find_spec("pytest_rerunfailures") is None:
        states -= {CheckState.FLAKY}
    project.write({f"gates/cand/test_{s.value}.py": IMPORTS + BODIES[s] for s in states})
    run = project.write({"gates/cand/conftest.py": LEFT_OUT}).deploy(
        "--deploy-reason=new marks of known defects", workers=workers
    )
    assert run.status == 1, run.output
    assert run.record is not None
    assert {s: told(run, s) for s in states} == {s: {s.value} for s in states}
    of_gate = {s: 3 if s is CheckState.PASSED else 1 for s in CheckState if s in states}
    assert ", ".join(f"{n} {s.value}" for s, n in of_gate.items()) in run.output
    assert run.record.not_passed == {
        f"gates/cand/test_{s.value}.py::{name_of(s)}": s for s in states - {CheckState.PASSED}
    }
    counted = sum(of_gate.values()) - len(UNCOUNTED)
    assert run.record.gates["cand"].score == Score(passed=3, counted=counted)


def name_of(state: CheckState) -> str:
    return "test_not_run" if state is CheckState.NOT_RUN else "test_it"
