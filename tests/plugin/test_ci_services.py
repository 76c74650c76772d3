"""A job of GitHub Actions, imitated by its documented variables and files; one of GitLab by its dotenv report."""

import re
from pathlib import Path

import yaml

from pytest_deploygate.testing import DeploygateProject
from tests.plugin.plugin_project import REPOSITORY, SUBJECT

HOSTILE = """
    def test_subject():
        print("::error::forged by output")
        print("##[error]forged")
        raise AssertionError("50% of it, see: a|b <img src=x> @team\\n::set-output name=state::PROMOTED")
"""
OUTPUTS = (
    "state",
    "verdict",
    "reason",
    "candidate-revision",
    "serving-revision",
    "url",
    "rollout-id",
)


def github(project: DeploygateProject) -> dict[str, str]:
    """Variables of a job whose workspace is the folder above the project."""
    return {
        "GITHUB_ACTIONS": "true",
        "CI": "true",
        "GITHUB_WORKSPACE": str(project.root.parent),
        "GITHUB_OUTPUT": str(project.root / "output"),
        "GITHUB_STEP_SUMMARY": str(project.root / "summary.md"),
    }


def outputs_of(text: str) -> dict[str, str]:
    """What GitHub reads of the file: ``name<<DELIMITER``, lines, the delimiter."""
    found: dict[str, str] = {}
    lines = iter(text.splitlines())
    for line in lines:
        name, mark, end = line.partition("<<")
        assert mark, line
        value = []
        for part in lines:
            if part == end:
                break
            value.append(part)
        found[name] = "\n".join(value)
    return found


def test_promotion_sets_outputs_and_writes_a_summary(project: DeploygateProject) -> None:
    run = project.pytest(*project.deploy_options(), **github(project))
    assert run.status == 0, run.output
    found = outputs_of((project.root / "output").read_text())
    assert tuple(found) == OUTPUTS
    assert (found["state"], found["verdict"]) == ("PROMOTED", "PROMOTE")
    assert found["serving-revision"] == found["candidate-revision"] == run.serving
    assert found["rollout-id"] == run.property("rollout_id")
    summary = (project.root / "summary.md").read_text()
    assert summary.startswith("### PROMOTE: fake\n")
    assert "| candidate | cand | ✅ PASSED | 2/2 | 1 |" in summary
    assert not [line for line in run.out.splitlines() if line.startswith("::")]


def test_failing_check_is_annotated_and_can_forge_nothing(project: DeploygateProject) -> None:
    run = project.write({SUBJECT: HOSTILE}).pytest(*project.deploy_options(), **github(project))
    assert run.status == 1, run.output
    commands = [line for line in run.out.splitlines() if re.match(r"\s*::", line)]
    place = f"file={project.root.name}/{SUBJECT},line=4,title={SUBJECT}%3A%3Atest_subject"
    error = "AssertionError: 50%25 of it, see: a|b <img src=x> @team"
    assert commands == [f"::error {place}::{error}"]
    assert "##[error]" not in run.out
    found = outputs_of((project.root / "output").read_text())
    assert tuple(found) == OUTPUTS
    assert found["state"] == "ROLLED_BACK"
    summary = (project.root / "summary.md").read_text()
    assert "❌ FAILED" in summary
    assert "<img" not in summary
    assert "@team" not in summary
    assert "a|b" not in summary


def test_session_that_cannot_begin_sets_outputs_too(project: DeploygateProject) -> None:
    run = project.pytest("--deploy-to=nowhere", **github(project))
    assert run.status == 4
    found = outputs_of((project.root / "output").read_text())
    assert (found["state"], found["rollout-id"]) == ("REFUSED", "")
    assert "unknown environment" in found["reason"]
    assert "| gate |" not in (project.root / "summary.md").read_text()


def test_file_that_cannot_be_written_changes_nothing(project: DeploygateProject) -> None:
    where = {**github(project), "GITHUB_OUTPUT": str(project.root / "no" / "output")}
    assert project.pytest(*project.deploy_options(), **where).status == 0


def test_other_services_read_variables_of_a_file(project: DeploygateProject) -> None:
    run = project.deploy(DEPLOYGATE_OUTPUTS="deployment.env")
    assert run.status == 0, run.output
    lines = (project.root / "deployment.env").read_text().splitlines()
    found = dict(line.split("=", 1) for line in lines)
    assert found["DEPLOYGATE_STATE"] == "PROMOTED"
    assert found["DEPLOYGATE_URL"] == "https://svc.example"


def test_action_hands_on_every_output_and_runs_no_input_as_code() -> None:
    action = yaml.safe_load((REPOSITORY / "action.yml").read_text())
    assert tuple(action["outputs"]) == OUTPUTS
    for step in action["runs"]["steps"]:
        assert "${{" not in step.get("run", "")
    assert any(step.get("if") == "always()" and "recover" in step["run"]
               for step in action["runs"]["steps"] if "run" in step)  # fmt: skip
    spec, job = yaml.safe_load_all((REPOSITORY / "templates" / "deploy.yml").read_text())
    assert "environment" in spec["spec"]["inputs"]
    (only,) = job.values()
    assert only["artifacts"]["reports"] == {"junit": "deployment.xml", "dotenv": "deployment.env"}


def test_docs_use_the_action_with_inputs_that_it_has() -> None:
    action = yaml.safe_load((REPOSITORY / "action.yml").read_text())
    page = Path(REPOSITORY, "docs", "how-to", "ci.md").read_text()
    uses = page.partition("uses: pytest-deploygate/pytest-deploygate@")[2].partition("```")[0]
    inputs = re.findall(r"^ {10}([a-z-]+):", uses, re.MULTILINE)
    assert inputs
    assert set(inputs) <= set(action["inputs"])
