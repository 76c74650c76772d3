"""What the command line shows of steps, warnings and drills, and the load that it sends."""

from datetime import UTC, datetime

from pytest_deploygate.core.identifiers import Actor, EnvironmentName, RevisionName, RolloutId
from pytest_deploygate.core.record import RecordedStep, RolloutRecord
from pytest_deploygate.core.state_machine import State
from tests.cli.cli_project import CliProject

ADA = Actor(user="ada", host="ci", pid=1)
ENVIRONMENT = EnvironmentName("fake")
AT = datetime(2026, 11, 23, 8, 0, tzinfo=UTC)
RULE = "objective.latency"


def record(project: CliProject, number: int, warnings: dict[str, str]) -> RolloutRecord:
    """Another rollout in the record, with one step."""
    made = RolloutRecord(
        rollout_id=RolloutId(f"20991123-08000{number}-aaaaaa"),
        environment=ENVIRONMENT,
        purpose="deploy",
        actor=ADA,
        began_at=AT,
        ended_at=AT,
        state=State.PROMOTED,
        candidate=RevisionName("svc-00002"),
        steps=(
            RecordedStep(
                percent=5,
                decision="advance",
                reason="errors: not worse by 1pp or more",
                seconds=601.5,
                candidate_requests=600,
                baseline_requests=11_400,
                objectives={"errors": "errors: not worse by 1pp or more"},
            ),
        ),
        warnings=warnings,
        drill_s=1.25,
    )
    with project.store() as store:
        lease = store.acquire_lease(ENVIRONMENT, ADA, "deploy", made.rollout_id, 60)
        store.begin(made, lease)
        store.release_lease(lease)
    return made


def test_show_has_steps_warnings_and_the_drill(project: CliProject) -> None:
    made = record(project, 1, {RULE: "latency: worse by more than x1.25"})
    done = project.deploygate("show", made.rollout_id)
    assert done.status == 0, done.err
    for said in ("5 %", "advance", "600", "11400", RULE, "latency: worse by more than x1.25"):
        assert said in done.out
    assert "rollback drill took" in done.out
    found = project.deploygate("show", made.rollout_id, "--json").json
    assert found["drill_seconds"] == 1.25
    assert found["warnings"] == {RULE: "latency: worse by more than x1.25"}
    steps = found["steps"]
    assert isinstance(steps, list)
    [step] = steps
    assert (step["percent"], step["decision"], step["candidate_requests"]) == (5, "advance", 600)


def test_history_counts_how_often_a_rule_would_have_decided(project: CliProject) -> None:
    none = project.deploygate("history", "fake", "--warnings")
    assert "no rule that only warns would have decided any of " in none.out
    record(project, 1, {RULE: "first"})
    record(project, 2, {RULE: "second", "gate.new": "gate new failed"})
    found = project.deploygate("history", "fake", "--warnings", "--json").json
    warned = found["warnings"]
    assert isinstance(warned, list)
    first, second = warned
    assert (first["rule"], first["rollouts"], first["last"]) == (RULE, 2, "second")
    assert (second["rule"], second["rollouts"]) == ("gate.new", 1)
    done = project.deploygate("history", "fake", "--warnings")
    assert RULE in done.out
    assert f"2 of {found['rollouts']}" in done.out


def test_load_needs_a_running_emulator(project: CliProject) -> None:
    done = project.deploygate("emulator", "load", "--rps", "5")
    assert done.status == 10
    assert "the emulator is down" in done.err
    refused = project.deploygate("emulator", "load", "--rps", "5000")
    assert refused.status == 4
