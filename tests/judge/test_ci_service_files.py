"""What services of CI are given of a result, by itself; tests/plugin/test_ci_services.py has whole sessions."""

from dataclasses import replace
from pathlib import Path

from pytest_deploygate.core.errors import ExitStatus
from pytest_deploygate.core.evidence import CheckState, Evidence
from pytest_deploygate.core.identifiers import Phase
from pytest_deploygate.core.record import RecordedStep
from pytest_deploygate.core.verdict import Reason, ReasonCode, judge_phase
from pytest_deploygate.judge.reporting.ci_services import CiServices
from pytest_deploygate.judge.reporting.session_result import SessionResult
from tests.core.policy_factory import a_gate, a_policy
from tests.report.recorded_rollouts import promotion


def ended(reason: str) -> SessionResult:
    return SessionResult(
        verdict="ROLL_BACK",
        state="ROLLED_BACK",
        reason=Reason(code=ReasonCode.GATE_FAILED, sentence=reason),
        status=ExitStatus.FAILED,
    )


def test_summary_stays_below_what_github_drops_as_a_whole(tmp_path: Path) -> None:
    why = "gates/test_a.py:3: AssertionError: " + "<&|>" * 115
    checks = [f"gates/test_a.py::test_it[{number}]" for number in range(5000)]
    policy = a_policy(a_gate("g", threshold="1"))
    evidence = Evidence(
        phase=Phase.CANDIDATE,
        checks={"g": tuple((check, CheckState.FAILED) for check in checks)},
        failures=dict.fromkeys(checks, why),
    )
    summary = tmp_path / "summary.md"
    variables = {"GITHUB_ACTIONS": "true", "GITHUB_STEP_SUMMARY": str(summary)}
    printed: list[str] = []
    services = CiServices(variables, root=tmp_path, clean=str, write=printed.append)
    services.report("prod", {Phase.CANDIDATE: judge_phase(policy, evidence)}, ended("g failed"))
    text = summary.read_text()
    assert 256 * 1024 < len(text.encode()) < 1024 * 1024
    listed = text.count("\n- ")
    assert text.rstrip().endswith(f"and {5000 - listed} more failing checks: see the JUnit file")
    assert len(printed) == 10


def test_summary_has_the_steps_with_their_numbers(tmp_path: Path) -> None:
    told = "errors: not worse by 1pp or more: 0.00 % against 0.00 % | <b>"
    step = RecordedStep(
        percent=5,
        decision="advance",
        reason=told,
        seconds=61,
        candidate_requests=58,
        baseline_requests=1120,
    )
    record = promotion(1)._replace(steps=(step,), warnings={"trigger.memory": "2 GB > 1 GB"})
    summary = tmp_path / "summary.md"
    variables = {"GITHUB_ACTIONS": "true", "GITHUB_STEP_SUMMARY": str(summary)}
    services = CiServices(variables, root=tmp_path, clean=str, write=print)
    services.report("prod", {}, replace(ended("held"), record=record))
    lines = summary.read_text().splitlines()
    because = "errors: not worse by 1pp or more: 0.00 % against 0.00 % &#124; &#60;b&#62;"
    assert f"| 5 % | advance | 58 | 1120 | {because} |" in lines
    assert "- only warned: 2 GB &#62; 1 GB" in lines


def test_variables_stay_within_what_gitlab_accepts(tmp_path: Path) -> None:
    variables = {"DEPLOYGATE_OUTPUTS": str(tmp_path / "deployment.env")}
    services = CiServices(variables, root=tmp_path, clean=str, write=print)
    services.report("prod", {}, ended("ж" * 9000))
    raw = (tmp_path / "deployment.env").read_bytes()
    assert len(raw) <= 5120
    found = dict(line.split("=", 1) for line in raw.decode().splitlines())
    assert found["DEPLOYGATE_REASON"] == "ж" * 250 + "..."
    assert found["DEPLOYGATE_STATE"] == "ROLLED_BACK"
