"""What was promoted with is remembered by name: whatever got looser needs a person's reason."""

import pytest

from pytest_deploygate.testing import (
    DeploygateProject,
    ProjectFactory,
    deploygate_project,  # noqa: F401
)
from tests.plugin.plugin_project import SETTINGS, SUBJECT, VARIABLES

GATE = "[tool.deploygate.gates.cand]\n"
UNCHECKED = "gates/cand/{} is below the path of a gate, but no check was collected from it"
REASON = "--deploy-reason=we talked about it"


def set_gate(setting: str) -> dict[str, str]:
    return {"pyproject.toml": SETTINGS.replace(GATE, f"{GATE}{setting}\n")}


LOOSER: dict[str, tuple[dict[str, str], str]] = {
    "renamed check": (
        {SUBJECT: "def test_other(): pass\n"},
        f"check {SUBJECT}::test_subject of gate cand is gone",
    ),
    "threshold": (set_gate("threshold = 0.5"), "gate cand: threshold was 1, is 0.5"),
    "required": (set_gate("required = false"), "gate cand: it was required, and is not"),
    "skips": (set_gate('skips = "allow"'), 'gate cand: skips was "fail", is "allow"'),
    "budget": (
        {"pyproject.toml": SETTINGS.replace("budget-s = 60", "budget-s = 90")},
        "candidate phase: budget-s was 60, is 90",
    ),
    "known defect": (
        {
            SUBJECT: """
                import pytest
                @pytest.mark.known_defect(until="2999-12-31", reason="ticket 7")
                def test_subject(): assert False
            """
        },
        f"check {SUBJECT}::test_subject is marked as a known defect until 2999-12-31: ticket 7",
    ),
    "file that is not collected": (
        {
            "gates/cand/test_more.py": "def test_more(): pass\n",
            "gates/cand/conftest.py": "collect_ignore = ['test_more.py']\n",
        },
        UNCHECKED.format("test_more.py"),
    ),
}


@pytest.mark.parametrize(("files", "sentence"), LOOSER.values(), ids=LOOSER)
def test_looser_policy_needs_a_reason(
    project: DeploygateProject, before: str, files: dict[str, str], sentence: str
) -> None:
    run = project.write(files).deploy()
    assert (run.status, run.serving) == (1, before), run.output
    assert run.property("verdict") == "REFUSE"
    assert sentence in run.property("reason")
    assert "--deploy-reason=TEXT" in run.output


def test_reason_lets_a_looser_policy_pass_and_it_is_what_counts_from_then_on(
    project: DeploygateProject,
) -> None:
    files, sentence = LOOSER["threshold"]
    project.write(files)
    run = project.deploy(REASON)
    assert run.status == 0, run.output
    assert sentence in run.output
    assert sentence in run.property("looser_policy")
    assert run.record is not None
    assert sentence in run.record.notes["looser_policy"]
    project.write({"function/main.py": "v3"})
    again = project.deploy()
    assert again.status == 0, again.output
    assert again.property("looser_policy") == ""


def test_stricter_policy_needs_none(project: DeploygateProject, before: str) -> None:
    more = set_gate("least-checks = 2") | {"gates/cand/test_more.py": "def test_more(): pass\n"}
    run = project.write(more).deploy()
    assert run.status == 0, run.output
    assert run.serving != before


def test_plan_says_that_a_looser_policy_needs_a_reason(project: DeploygateProject) -> None:
    files, sentence = LOOSER["renamed check"]
    project.write(files)
    run = project.deploy("--deploy-plan")
    assert run.status == 1, run.output
    assert sentence in run.property("reason")
    assert project.deploy("--deploy-plan", REASON).status == 0


def test_record_that_is_not_there_is_said(project: DeploygateProject) -> None:
    run = project.deploy(DEPLOYGATE_STATE=f"sqlite:///{project.root}/elsewhere.db")
    assert run.status == 0, run.output
    said = "no promotion to fake is on record here, so policy and checks are compared with nothing"
    assert run.output.count(said) == 1
    assert run.property("record") == said


@pytest.mark.parametrize(
    "files",
    [
        pytest.param(
            {"gates/cand/build/test_more.py": "def test_more(): pass\n"},
            id="left out by pytest itself",
            marks=pytest.mark.full,
        ),
        pytest.param(
            {"gates/cand/more/test_more.py": "def test_more(): pass\n"},
            id="norecursedirs",
            marks=pytest.mark.full,
        ),
        pytest.param(
            {
                "gates/cand/more_test.py": """\
class TestMore:
    def test_it(self): pass
"""
            },
            id="python_files",
        ),
    ],
)
def test_file_without_checks_needs_a_reason_at_a_first_release(
    deploygate_project: ProjectFactory,  # noqa: F811
    files: dict[str, str],
) -> None:
    project = deploygate_project({**files, "function/main.py": "v1"})
    project.variables |= VARIABLES
    options = '\nnorecursedirs = ["more"]\npython_files = ["test_*.py"]'
    ini = "[tool.pytest.ini_options]"
    project.edit("pyproject.toml", ini, f"{ini}{options}")
    run = project.deploy()
    is_meant = not any("build" in name for name in files)
    assert run.status == int(is_meant), run.output
    assert ("no check was collected from it" in run.property("reason")) is is_meant
    if is_meant:
        assert run.serving == ""
        assert project.deploy(REASON).status == 0


def test_helpers_below_the_path_of_a_gate_need_no_reason(project: DeploygateProject) -> None:
    files = {
        "gates/cand/helping.py": "def help(): return 1\n",
        "gates/cand/conftest.py": "def pytest_configure(): pass\n",
        "gates/cand/__init__.py": "X = 1\n",
    }
    run = project.write(files).deploy()
    assert run.status == 0, run.output


LIVE = "gates/live/test_live.py"
LIVE_GATE = "[tool.deploygate.gates.live]\n"
LESS_LIVE: dict[str, tuple[dict[str, str], str]] = {
    "renamed check": (
        {LIVE: "def test_other(): pass\n"},
        f"check {LIVE}::test_honest of gate live is gone",
    ),
    "threshold": (
        {"pyproject.toml": SETTINGS.replace(LIVE_GATE, f"{LIVE_GATE}threshold = 0.5\n")},
        "gate live: threshold was 1, is 0.5",
    ),
}


@pytest.mark.parametrize(
    "session",
    [["-m", "rollback-checks"], pytest.param(["--deploy-env=fake"], marks=pytest.mark.full)],
)
@pytest.mark.parametrize(("files", "sentence"), LESS_LIVE.values(), ids=LESS_LIVE)
def test_judging_session_that_asks_less_than_the_promotion_keeps_nothing_without_a_reason(
    project: DeploygateProject,
    before: str,
    session: list[str],
    files: dict[str, str],
    sentence: str,
) -> None:
    project.write(files)
    run = project.pytest(*session, "-n0")
    assert (run.status, run.serving) == (1, before), run.output
    assert (run.property("verdict"), run.property("state")) == ("UNKNOWN", "JUDGED")
    assert sentence in run.property("reason")
    assert "say why it is enough: --deploy-reason=TEXT" in run.output
    agreed = project.pytest(*session, "-n0", REASON)
    assert (agreed.status, agreed.property("verdict")) == (0, "KEEP"), agreed.output
    assert sentence in agreed.property("looser_policy")


def test_live_gates_are_not_held_against_what_other_phases_were_promoted_with(
    project: DeploygateProject,
) -> None:
    project.write({SUBJECT: "def test_other(): pass\n"})
    run = project.pytest("-m", "rollback-checks", "-n0")
    assert (run.status, run.property("verdict")) == (0, "KEEP"), run.output
    run = project.pytest("--deploy-env=fake", "-n0")
    assert (run.status, run.property("verdict")) == (1, "UNKNOWN"), run.output


def test_what_fails_is_rolled_back_although_less_is_asked(
    project: DeploygateProject, before: str
) -> None:
    assert project.deploy().serving != before
    fails = """\
def test_other(): pass
def test_another(): assert False
"""
    run = project.write({LIVE: fails}).pytest("-m", "rollback-checks", "-n0")
    assert (run.status, run.serving) == (1, before), run.output
    assert run.property("state") == "ROLLED_BACK"
