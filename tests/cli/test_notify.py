"""A rollout tells the channels of its project, and never waits for them; ``status`` says what did not arrive."""

import json
from collections.abc import Callable

import pytest

from pytest_deploygate.system.clock import SystemClock
from pytest_deploygate.system.retry import Backoff, attempts
from tests.cli.cli_project import CliProject
from tests.cli.test_step_control import session_at_first_step
from tests.loopback_server import Reply, ServerMaker

CHANNEL = """
[tool.deploygate.notify.audit]
url = "env:AUDIT_URL"
"""


def wait_until(holds: Callable[[], bool]) -> None:
    clock = SystemClock()
    for _ in attempts(clock, Backoff(first_s=0.1, longest_s=1), deadline=clock.monotonic() + 60):
        if holds():
            return
    raise AssertionError(holds)


def with_channel(project: CliProject) -> CliProject:
    settings = project.root / "pyproject.toml"
    settings.write_text(settings.read_text() + CHANNEL)
    return project


def test_receiver_is_told_of_a_promotion_and_of_a_rollback(
    project: CliProject, http_server: ServerMaker
) -> None:
    server = http_server(lambda _: Reply())
    with_channel(project)
    project.variables["AUDIT_URL"] = f"{server.url}/T0KEN-in-the-path"
    run = project.release("v3")
    assert run.status == 0, run.output
    wait_until(lambda: len(server.asked) >= 1)
    done = project.deploygate("rollback", "fake", "--reason", "no prices", "--yes")
    assert done.status == 0
    wait_until(lambda: {json.loads(a.body)["event"] for a in server.asked} >= {"rolled-back"})
    told = [json.loads(asked.body) for asked in server.asked]
    assert told[0]["event"] == "promoted"
    assert told[0]["rollout_id"] == run.property("rollout_id")
    wait_until(lambda: not project.deploygate("status", "--json").json["undelivered"])
    assert "T0KEN" not in run.output + done.out + done.err


@pytest.mark.full
def test_receiver_is_told_that_an_operator_holds_while_the_rollout_goes_on(
    project: CliProject, http_server: ServerMaker
) -> None:
    server = http_server(lambda _: Reply())
    project.variables["AUDIT_URL"] = server.url
    with session_at_first_step(project, CHANNEL) as end:
        done = project.deploygate("hold", "fake", "--reason", "I look")
        assert done.status == 0, done.output
        wait_until(lambda: len(server.asked) >= 1)
        told = json.loads(server.asked[0].body)
        project.deploygate("abort", "fake", "--reason", "enough")
        end()
    assert (told["event"], told["state"], told["step_percent"]) == ("held", "STEPPING", 5)
    assert told["reason"].endswith("I look")


def test_receiver_that_is_gone_changes_nothing_and_shows_in_status(
    project: CliProject, unused_url: str
) -> None:
    with_channel(project)
    project.variables["AUDIT_URL"] = f"{unused_url}/T0KEN"
    run = project.release("v3")
    assert run.status == 0, run.output
    wait_until(lambda: bool(project.deploygate("status", "--json").json["undelivered"]))
    shown = project.deploygate("status")
    assert shown.status == 0
    assert "not delivered: audit was not told that" in shown.out
    assert "no answer: ConnectionError (attempts: " in shown.out
    assert "T0KEN" not in shown.out
