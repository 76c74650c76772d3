"""What people see of a session: little where all is well, what failed first where it is not, all with ``-v``."""

import re
import sys

import pexpect
import pytest

from pytest_deploygate.testing import DeploygateProject
from tests.plugin.plugin_project import SUBJECT, session_variables

FAILS = """
    def test_subject():
        answer = {"rows": 3}
        assert answer["rows"] == 4
"""


def test_rollout_that_promotes_needs_fifteen_lines(project: DeploygateProject) -> None:
    run = project.deploy(CI="")
    assert run.status == 0, run.output
    assert len(run.out.splitlines()) <= 15, run.out
    assert "PROMOTE: the live phase holds" in run.out
    assert "serving: " in run.out
    assert "call it: curl " in run.out
    assert "postings: " in run.out


def test_quiet_rollout_needs_six_lines(project: DeploygateProject) -> None:
    run = project.deploy("-q", CI="")
    assert run.status == 0, run.output
    lines = run.out.splitlines()
    assert len(lines) <= 6, run.out
    assert lines[0].startswith("....")
    assert lines[-1].startswith("state PROMOTED")


def test_verbose_rollout_shows_each_step_and_the_table(project: DeploygateProject) -> None:
    run = project.deploy("-v", CI="")
    assert run.status == 0, run.output
    for text in (
        "packaging: ",
        "building: ",
        "candidate: holds: ",
        "phase      gate",
    ):
        assert text in run.out


@pytest.mark.parametrize("amount", ["-q", "-v"])
def test_failure_names_check_file_line_and_error(project: DeploygateProject, amount: str) -> None:
    run = project.write({SUBJECT: FAILS}).deploy(amount)
    assert run.status == 1
    wanted = f"  first: test_subject: {SUBJECT}:3: assert 3 == 4"
    assert wanted in run.out.splitlines()
    lines = run.out.splitlines()
    (gate,) = [line for line in lines if line.startswith("deploygate: gate cand: FAILED")]
    assert "first" not in gate


def test_what_the_verdict_says_is_not_repeated_below_it(project: DeploygateProject) -> None:
    project.edit("pyproject.toml", 'asks = "nothing"', 'asks = "clients"')
    run = project.write(
        {
            SUBJECT: """\
def test_subject(candidate):
    len(5)
"""
        }
    ).deploy()
    verdict, *below = run.out[run.out.index("\nROLL_BACK: ") + 1 :].splitlines()
    assert "TypeError: object of type 'int' has no len()" in verdict, run.output
    assert not [line for line in below if "TypeError" in line]


def test_time_of_day_is_told_in_continuous_integration(project: DeploygateProject) -> None:
    run = project.deploy("-v", CI="true")
    stamped = [line for line in run.out.splitlines() if re.search(r" \[\d\d:\d\d:\d\dZ\]$", line)]
    assert any("rollout: " in line for line in stamped)
    assert any("gate cand" in line for line in stamped)


@pytest.mark.parametrize("columns", [80, 140])
def test_terminal_shows_what_is_waited_for_and_for_how_long(
    project: DeploygateProject, columns: int
) -> None:
    options = [*project.options, *project.deploy_options()]
    terminal = pexpect.spawn(
        sys.executable,
        ["-m", "pytest", *options],
        cwd=str(project.root),
        env={**session_variables(), "TERM": "xterm", "CI": "", "COLUMNS": str(columns)},
        dimensions=(40, columns),
        encoding="utf-8",
        timeout=120,
    )
    terminal.expect(pexpect.EOF)
    terminal.close()
    assert terminal.exitstatus == 0, terminal.before
    said = str(terminal.before)
    shown = [part for part in said.split("\r\x1b[2K") if re.match(r"[|/\\-] ", part)]
    assert any("building: " in part and re.search(r"  \d+ s$", part) for part in shown)
    left = re.sub(r"\r\x1b\[2K[|/\\-] [^\r\n]*", "", said)
    left = re.sub(r"\x1b\[[0-9;]*[A-Za-z]", "", left)
    assert "building" not in left  # it was taken away again
    assert max(len(line) for line in left.splitlines()) <= columns
    assert "PROMOTE: the live phase holds" in left
