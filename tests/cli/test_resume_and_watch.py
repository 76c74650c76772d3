"""A rollout that outlives its session: left at a step, carried on by others, ended by an operator."""

from pathlib import Path

import pytest

from pytest_deploygate.core.state_machine import State
from pytest_deploygate.testing import SessionOutcome
from tests.cli.cli_project import CliProject

STEPS = """steps = [{ percent = 5, for = "10m" }, { percent = 50, for = "10m" }, 100]
detach = true
[tool.deploygate.objectives.errors]
metric = "error_rate"
worse-by = "1pp"
[tool.deploygate.gates.step]
phase = "step"
paths = ["suites/test_step.py"]
asks = "nothing"
"""
"""The fake target has no figures, so only an operator ends a step."""
GATE = """
    def test_it_is_counted(deployment):
        with open("ran", "a") as file:
            file.write(f"{deployment.step_percent} ")
"""


def detached(project: CliProject) -> SessionOutcome:
    """A deployment of v3 that leaves at 5 %."""
    project.write({"suites/test_step.py": GATE})
    project.write_settings(environment=STEPS)
    return project.release("v3", "--deploy-detach")


def resumed(project: CliProject) -> SessionOutcome:
    return project.pytest("--deploy-resume=fake", "--deploy-no-watchdog", "-n0")


def state_of(project: CliProject) -> State:
    record = project.last_rollout()
    assert record is not None
    return record.state


def test_steps_go_on_from_session_to_session_until_the_promotion(project: CliProject) -> None:
    begun = detached(project)
    assert begun.status == 12, begun.output
    assert begun.shares == {"svc-00002": 95, "svc-00003": 5}
    assert (begun.property("state"), begun.property("verdict")) == ("STEPPING", "PENDING")
    assert "pytest --deploy-resume=fake" in begun.output
    with project.store() as store:
        assert store.lease("fake") is None  # type: ignore[arg-type]  # a name
    held = resumed(project)
    assert (held.status, held.shares) == (12, begun.shares), held.output
    for percent in (50, 100):
        assert project.deploygate("advance", "fake", "--reason", "fine").status == 0
        run = resumed(project)
        assert run.shares.get("svc-00003") == percent, run.output
        assert run.status == (12 if percent == 50 else 0)
    record = project.last_rollout()
    assert record is not None
    assert record.state is State.PROMOTED
    assert [(one.percent, one.decision) for one in record.steps] == [
        (5, "advance"),
        (50, "advance"),
    ]
    # the gates of a step run once, in whichever session came to it first
    assert (project.root / "ran").read_text() == "5 50 "
    late = resumed(project)
    assert (late.status, late.property("state")) == (0, "PROMOTED"), late.output
    assert f"this is how rollout {record.rollout_id} ended" in late.output


@pytest.mark.full
def test_nobody_takes_a_waiting_rollout_for_one_of_a_dead_process(project: CliProject) -> None:
    begun = detached(project)
    status = project.deploygate("status", "fake")
    assert "is at 5 % in fake and goes on until" in status.output
    assert "carry it on: pytest --deploy-resume=fake" in status.output
    assert "was interrupted" not in status.output
    plan = project.pytest("--deploy-to=fake", "--deploy-plan", "-n0")
    assert plan.status == 1, plan.output
    assert "blocks: rollout" in plan.output
    assert "is at 5 % in fake and goes on until" in plan.output
    recovered = project.deploygate("recover", "fake")
    assert recovered.status == 0, recovered.output
    assert "nothing was open" not in recovered.output
    assert "is at 5 % in fake and goes on until" in recovered.output
    assert (
        "nothing is to be recovered; carry it on: pytest --deploy-resume=fake" in recovered.output
    )
    assert "or end it: deploygate abort fake --reason TEXT" in recovered.output
    other = project.release("v4")
    back = project.deploygate("rollback", "fake", "--reason", "no", "--yes")
    drill = project.deploygate("drill", "fake")
    assert [one.status for one in (other, back, drill)] == [10, 10, 10]
    for one in (other, back, drill):
        assert "is at 5 % in fake and goes on until" in one.output
        assert "deploygate abort fake" in one.output
    assert project.shares == begun.shares
    assert state_of(project) is State.STEPPING


def test_an_operator_ends_it_at_once(project: CliProject) -> None:
    detached(project)
    told = project.deploygate("abort", "fake", "--reason", "customers call")
    assert (told.status, told.serving) == (0, "svc-00002"), told.output
    assert "without a session: it is ended" in told.out
    record = project.last_rollout()
    assert record is not None
    assert (record.state, record.reason_code) == (State.ROLLED_BACK, "requested")
    late = resumed(project)
    assert (late.status, late.property("state")) == (1, "ROLLED_BACK")


@pytest.mark.full
def test_a_named_rollback_ends_it_too(project: CliProject) -> None:
    detached(project)
    back = project.deploygate("rollback", "fake", "--to", "svc-00002", "--reason", "no", "--yes")
    assert (back.status, back.serving) == (0, "svc-00002"), back.output
    with project.store() as store:
        assert store.open_rollouts("fake") == ()  # type: ignore[arg-type]  # a name


@pytest.mark.full
def test_watch_carries_it_on(project: CliProject) -> None:
    detached(project)
    held = project.deploygate("watch", "fake", "--once", "--json").json
    assert (held["exit_status"], held["state"]) == (12, "STEPPING")
    project.deploygate("advance", "fake", "--reason", "fine")
    project.deploygate("watch", "fake", "--once")
    assert project.shares == {"svc-00002": 50, "svc-00003": 50}
    watched = project.deploygate("watch", "fake", "--once", "--report-only")
    assert watched.status != 12
    assert project.shares == {"svc-00002": 50, "svc-00003": 50}


@pytest.mark.parametrize(
    ("file", "text", "what"),
    [
        ("main.py", "v4", "the source"),
        ("suites/test_live.py", "def test_l(): pass\n", "the checks"),
    ],
)
@pytest.mark.full
def test_another_checkout_cannot_carry_it_on(
    project: CliProject, file: str, text: str, what: str
) -> None:
    begun = detached(project)
    project.write({file: text})
    run = resumed(project)
    assert (run.status, run.shares) == (4, begun.shares), run.output
    assert "cannot be carried on from here: " in run.output
    assert what in run.output
    assert state_of(project) is State.STEPPING


@pytest.mark.parametrize(
    ("was", "is_now", "what"),
    [
        (
            'detach = true\napproval = "step"',
            "detach = true",
            'approval was "step", is "none"',
        ),
        ("}, 100]", ', undecided = "advance" }, 100]', 'undecided was "roll-back", is "advance"'),
        ('worse-by = "1pp"', 'worse-by = "9pp"', "worse-by was 1pp, is 9pp"),
    ],
)
@pytest.mark.full
def test_settings_that_ask_less_cannot_carry_it_on(
    project: CliProject, was: str, is_now: str, what: str
) -> None:
    began_with = STEPS.replace(is_now, was)
    project.write({"suites/test_step.py": GATE})
    project.write_settings(environment=began_with)
    project.write({"main.py": "v3"})
    plan = project.deploygate("plan", "fake", "--json").json
    approved = f"--deploy-approval={plan['plan_digest']}"
    begun = project.release("v3", "--deploy-detach", approved)
    assert begun.status == 12, begun.output
    project.write_settings(environment=began_with.replace(was, is_now))
    run = resumed(project)
    assert (run.status, run.shares) == (10, begun.shares), run.output
    assert "less is asked than when the rollout began: " in run.output
    assert what in run.output
    assert state_of(project) is State.STEPPING


def test_moved_traffic_is_not_carried_on(project: CliProject) -> None:
    detached(project)
    with project.cloud() as cloud:
        assert cloud.service is not None
        cloud.service.traffic = cloud.service.traffic.with_shares({"svc-00001": 100})  # type: ignore[dict-item]
    run = resumed(project)
    assert run.status == 10
    assert "somebody else moved traffic" in run.output
    assert project.shares == {"svc-00001": 100}


def test_it_is_for_environments_that_allow_it(project: CliProject, tmp_path: Path) -> None:
    project.write_settings(environment=STEPS.replace("detach = true\n", ""))
    project.write({"suites/test_step.py": GATE})
    for arguments in (
        ["--deploy-to=fake", "--deploy-detach"],
        ["--deploy-resume=fake"],
    ):
        run = project.pytest(*arguments, "-n0")
        assert run.status == 4
        assert "does not allow a rollout to be left at a step" in run.output
    assert project.shares == {"svc-00002": 100}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--deploy-detach"], "--deploy-detach needs --deploy-to=ENV"),
        (["--deploy-env=fake", "--deploy-detach"], "--deploy-detach needs --deploy-to=ENV"),
        (["--deploy-resume=fake", "--deploy-to=local"], "exclude each other"),
        (["--deploy-resume=fake", "--deploy-plan"], "carries a rollout on as it was begun"),
        (["--deploy-resume=fake"], "no rollout waits at a step in fake, and none has ended there"),
    ],
)
def test_options_that_contradict_each_other_are_refused(
    new: CliProject, arguments: list[str], said: str
) -> None:
    new.write({"suites/test_step.py": GATE})
    new.write_settings(environment=STEPS)
    run = new.pytest(*arguments, "-n0")
    if arguments == ["--deploy-detach"]:
        return  # a session without a target ignores it, as it does the other options
    assert run.status == 4, run.output
    assert said in run.output
