"""Gates of the step phase: their checks run at each step, the ids say which, and a failing one aborts."""

import pytest

from pytest_deploygate.testing import FAKE, DeploygateProject
from pytest_deploygate.testing.project_factory import TARGETS

GATE = """
[tool.deploygate.gates.step]
phase = "step"
paths = ["gates/step"]
asks = "nothing"
"""
SUBJECT = "gates/step/test_step.py"
SEES = """
    import pytest

    @pytest.mark.parametrize("what", ["price"])
    def test_it_holds(deployment, what):
        assert deployment.phase.value == "step"
        assert deployment.candidate.revision
        assert (deployment.live.url, deployment.live.revision) != ("", deployment.candidate.revision)
        with open(f"seen-{deployment.step_percent}", "w") as file:
            file.write(deployment.candidate.revision)
"""
FAILS_AT_25 = """
    def test_it_holds(deployment):
        assert deployment.step_percent < 25
"""


def stepped(
    project: DeploygateProject,
    subject: str = SEES,
    *,
    steps: str = "[5, 25, 100]",
    gate: str = GATE,
) -> DeploygateProject:
    target = f'target = "{TARGETS[FAKE]}"\n'
    project.edit("pyproject.toml", target, f"{target}steps = {steps}\n")
    project.add_settings(gate)
    return project.write({SUBJECT: subject})


@pytest.mark.parametrize("workers", [0, 1])
def test_checks_run_at_each_step_and_their_ids_say_which(
    project: DeploygateProject, workers: int
) -> None:
    run = stepped(project).deploy(workers=workers)
    assert run.status == 0, run.output
    candidate = run.serving
    assert [(project.root / f"seen-{percent}").read_text() for percent in (5, 25)] == [
        candidate
    ] * 2
    assert not (project.root / "seen-100").exists()
    names = [case.name for case in run.cases if case.property("gate") == "step"]
    assert names == ["test_it_holds[5%-price]", "test_it_holds[25%-price]"]
    record = run.record
    assert record is not None
    assert [(step.percent, step.decision) for step in record.steps] == [
        (5, "advance"),
        (25, "advance"),
    ]
    assert "gate step passed: 1/1 checks passed" in record.steps[1].gates["step"]
    assert run.property("step.25.gate.step").startswith("gate step passed")
    logged = project.events("step.decided")
    assert [(one["percent"], one["decision"]) for one in logged] == [
        (5, "advance"),
        (25, "advance"),
    ]
    assert project.events("deployment.completed")[-1]["steps"] == "5 advance, 25 advance"
    assert "gate step passed" in str(logged[0]["gate.step"])


@pytest.mark.parametrize("workers", [0, 1])
def test_a_failing_check_takes_the_candidate_back_from_its_step(
    project: DeploygateProject, before: str, workers: int
) -> None:
    run = stepped(project, FAILS_AT_25).deploy(workers=workers)
    assert (run.status, run.serving) == (1, before), run.output
    record = run.record
    assert record is not None
    assert record.reason_code == "gate_failed"
    assert [(step.percent, step.decision) for step in record.steps] == [
        (5, "advance"),
        (25, "abort"),
    ]
    assert run.state_of(f"{SUBJECT}::test_it_holds[25%]") == "failed"
    assert run.state_of(f"{SUBJECT}::test_it_holds[5%]") == ""


def test_a_step_gate_that_warns_decides_nothing(project: DeploygateProject) -> None:
    run = stepped(project, FAILS_AT_25, gate=f'{GATE}enforce = "warn"\n').deploy()
    assert run.status == 0, run.output
    assert run.record is not None
    assert "gate step failed" in run.record.warnings["gate.step"]


def test_a_step_gate_that_did_not_hear_from_the_candidate_is_unknown(
    project: DeploygateProject, before: str
) -> None:
    run = stepped(project, gate=GATE.replace('asks = "nothing"', "")).deploy()
    assert (run.status, run.serving) == (1, before), run.output
    assert "neither the candidate nor the public URL answered its checks" in run.output


def test_a_check_that_cannot_run_at_each_step_is_refused(
    project: DeploygateProject, before: str
) -> None:
    case = """
        import unittest

        class Case(unittest.TestCase):
            def test_it_holds(self):
                pass
    """
    run = stepped(project, case).deploy()
    assert (run.status, run.serving) == (1, before), run.output
    assert "cannot run at each step" in run.output


def test_a_step_gate_without_checks_is_refused(project: DeploygateProject, before: str) -> None:
    run = stepped(
        project,
        """\
def helper():
    pass
""",
    ).deploy()
    assert (run.status, run.serving) == (4, before), run.output
    assert "gate step needs at least 1 checks, 0 were collected" in run.output


@pytest.mark.parametrize(
    ("steps", "options"),
    [("[100]", ()), ("[5, 100]", ("--deploy-steps=none", "--deploy-reason=outage"))],
)
def test_without_steps_a_step_gate_has_nothing_to_run_at(
    project: DeploygateProject, steps: str, options: tuple[str, ...]
) -> None:
    run = stepped(
        project,
        """\
def test_it_fails():
    assert False
""",
        steps=steps,
    ).deploy(*options)
    assert run.status == 0, run.output
    assert "test_it_fails" not in [case.name for case in run.cases]


def test_a_rollout_without_steps_is_not_what_the_next_policy_is_compared_with(
    project: DeploygateProject,
) -> None:
    """What a person left out for one night is still what the next promotion must ask."""
    passes = """\
def test_one():
    pass
"""
    stepped(project, passes, steps="[5, 100]")
    assert project.deploy().status == 0
    project.write({"function/main.py": "a fix"})
    night = project.deploy("--deploy-steps=none", "--deploy-reason=outage")
    assert night.status == 0, night.output
    assert night.property("looser_policy") == ""
    assert night.record is not None
    assert "--deploy-steps=none" in night.record.notes["steps"]
    assert night.shares == {night.serving: 100}
    project.write({"function/main.py": "later", SUBJECT: passes.replace("one", "other")})
    renamed = project.deploy()
    assert (renamed.status, renamed.serving) == (1, night.serving), renamed.output
    assert "test_one[5%] of gate step is gone" in renamed.property("reason")
    project.write({SUBJECT: passes})
    project.edit("pyproject.toml", "steps = [5, 100]", "steps = [100]")
    without = project.deploy()
    assert (without.status, without.serving) == (1, night.serving), without.output
    assert "gate step is gone" in without.property("reason")


def test_what_serves_is_judged_without_step_gates(project: DeploygateProject) -> None:
    stepped(project, FAILS_AT_25)
    judged = project.pytest("--deploy-env=fake", "-n0")
    assert judged.status == 0, judged.output
    alone = project.pytest("-n0", "-rs", "gates/step")
    assert alone.status == 0, alone.output
    assert "no deployment" in alone.output


MEASURES = """
    def test_prices(deployment, measure):
        with open("ran", "a") as file:
            file.write(deployment.compared.revision)
        assert deployment.compared.revision not in ("", deployment.candidate.revision)
        assert not deployment.compared.may_write
        for _ in range(80):
            measure("price_accuracy", {candidate}, side="candidate")
            measure("price_accuracy", 0.97, side="baseline")
"""
OBJECTIVE = """
[tool.deploygate.objectives.prices]
metric = "price_accuracy"
better = "higher"
worse-by = "5pp"
[tool.deploygate.triggers.prices]
fires-when = ["price_accuracy < 0.5"]
severity = "high"
needed-in = []
"""


def measuring(project: DeploygateProject, candidate: float) -> DeploygateProject:
    subject = MEASURES.format(candidate=candidate)
    steps = '[{ percent = 5, for = "10m" }, 100]\ndetach = true'
    return stepped(project, subject, steps=steps, gate=GATE + OBJECTIVE)


@pytest.mark.parametrize("workers", [0, 1])
def test_what_a_step_gate_measures_of_both_revisions_aborts(
    project: DeploygateProject, before: str, workers: int
) -> None:
    run = measuring(project, 0.8).deploy(workers=workers)
    assert (run.status, run.serving) == (1, before), run.output
    assert run.property("reason_code") == "worse_than_baseline", run.output
    told = run.property("step.5.objective.prices")
    assert told.startswith("prices: worse by more than 5pp: 0.8 against 0.97, +17.00pp [+")
    assert (project.root / "ran").read_text() == before


def test_what_was_measured_counts_for_the_session_that_carries_the_step_on(
    project: DeploygateProject, before: str
) -> None:
    """The fake target has no figures, so the step holds whatever was measured."""
    begun = measuring(project, 0.97).deploy("--deploy-detach")
    assert begun.status == 12, begun.output
    for _ in range(2):
        record = project.last_rollout()
        assert record is not None
        [step] = record.steps
        assert "not worse by 5pp or more: 0.97 against 0.97" in step.objectives["prices"]
        assert len(step.measured["prices"].pairs) == 80
        resumed = project.pytest("--deploy-resume=fake", "--deploy-no-watchdog", "-n0")
        assert resumed.status == 12, resumed.output
    assert (project.root / "ran").read_text() == before  # the gates of a step run once
    assert project.deploygate("abort", "fake", "--reason", "seen").status == 0
