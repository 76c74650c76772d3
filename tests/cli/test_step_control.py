"""``hold``, ``advance`` and ``abort`` of a session that runs in another process."""

import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from pytest_deploygate.core.state_machine import State
from pytest_deploygate.testing import SessionOutcome
from tests.cli.cli_project import CliProject

STEPS = """steps = [{ percent = 5, for = "10m" }, 50, 100]
[tool.deploygate.objectives.errors]
metric = "error_rate"
worse-by = "1pp"
"""
"""The fake target has no figures, so only an operator ends the first step."""


def until(holds: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + 120
    while not holds():
        assert time.monotonic() < deadline, f"still not: {what}"
        time.sleep(0.05)


def is_stepping(project: CliProject) -> bool:
    record = project.last_rollout()
    return record is not None and record.state is State.STEPPING


@contextmanager
def session_at_first_step(
    project: CliProject, settings: str = ""
) -> Iterator[Callable[[], SessionOutcome]]:
    """A deployment that waits at 5 %; the function waits for its end."""
    project.write_settings(environment=STEPS + settings)
    project.write({"main.py": "v3"})
    process = project.popen(*project.command("pytest", *project.deploy_options()))
    until(lambda: is_stepping(project), "a rollout at its first step")
    yield lambda: project.finish(process)


def test_an_operator_aborts_and_the_session_says_who(project: CliProject) -> None:
    with session_at_first_step(project) as end:
        told = project.deploygate("abort", "fake", "--reason", "customers call")
        run = end()
    assert told.status == 0, told.output
    assert told.out.endswith("at 5 % to abort\n")
    assert (run.status, run.serving) == (1, "svc-00002"), run.output
    record = run.record
    assert record is not None
    assert record.reason_code == "requested"
    assert "aborted by " in record.reason
    assert record.reason.endswith("customers call")
    assert record.notes["step.5.abort"] == record.reason
    again = project.release("v3")
    assert again.status == 1, "an operator took it back, so it needs a reason"


def test_an_operator_holds_and_then_advances(project: CliProject) -> None:
    with session_at_first_step(project) as end:
        held = project.deploygate("hold", "fake", "--reason", "I look", "--json").json
        assert (held["percent"], held["command"], held["reason"]) == (5, "hold", "I look")
        step = project.deploygate("status", "fake", "--json").json["step"]
        assert re.fullmatch("5 %; held by .+: I look", str(step))
        unneeded = project.deploygate("approve", "fake", "--reason", "fine")
        assert unneeded.status == 1, "it would lift the hold"
        assert "no step in fake needs an approval" in unneeded.err
        advanced = project.deploygate("advance", "fake", "--reason", "fine")
        run = end()
    assert advanced.status == 0, advanced.output
    assert (run.status, run.serving) == (0, "svc-00003"), run.output
    record = run.record
    assert record is not None
    [step] = record.steps
    assert (step.decision, step.is_undecided) == ("advance", True)
    assert set(record.notes) >= {"step.5.hold", "step.5.advance"}
    assert run.property("step.5.reason").startswith("advanced by ")


@pytest.mark.parametrize("command", ["hold", "advance", "approve", "abort"])
def test_without_a_rollout_at_a_step_nothing_is_told(project: CliProject, command: str) -> None:
    done = project.deploygate(command, "fake", "--reason", "I look")
    assert done.status == 1
    assert "no rollout in fake is at a step" in done.err
    assert "deploygate status fake" in done.err
    unsaid = project.deploygate(command, "fake", "--reason", " ")
    assert unsaid.status == 4


def test_a_rollout_whose_process_is_gone_is_told_nothing(project: CliProject) -> None:
    project.write_settings(environment=STEPS)
    project.write({"main.py": "v3"})
    process = project.popen(*project.command("pytest", *project.deploy_options()))
    until(lambda: is_stepping(project), "a rollout at its first step")
    process.kill()
    process.wait(timeout=60)
    for command in ("hold", "abort"):
        done = project.deploygate(command, "fake", "--reason", "customers call")
        assert done.status == 1, done.output
        assert "the process that carried it is gone" in done.err, done.err
        assert "deploygate recover fake" in done.err
    assert project.deploygate("recover", "fake").status == 0
    assert project.shares == {"svc-00002": 100}


def test_a_step_that_does_not_wait_cannot_be_held(project: CliProject) -> None:
    with session_at_first_step(project) as end:
        project.write_settings(environment="steps = [5, 100]")
        done = project.deploygate("hold", "fake", "--reason", "I look")
        told = project.deploygate("abort", "fake", "--reason", "enough")
        run = end()
    assert done.status == 1
    assert "the step of 5 % in fake does not wait" in done.err
    assert (told.status, run.status) == (0, 1)
