"""``--deploy-steps=none``: only typed, only with a reason, and then no step waits."""

from typing import Any

import pytest

from pytest_deploygate.core.duration import Duration
from pytest_deploygate.core.engine_settings import EngineSettings, TrafficStep
from pytest_deploygate.core.errors import ConfigError
from pytest_deploygate.judge.options import DeployOptions, Handover, read_options


def read(*arguments: str, **asked: object) -> DeployOptions:
    told: dict[str, Any] = {
        "to": "production",
        "env": None,
        "plan": False,
        "reason": None,
        "steps": None,
        "detach": False,
        "resume": None,
        "approval": None,
        "overrides": [],
        "markers": "",
        "endpoint": "",
        "report_only": False,
        "wait_s": 0.0,
        "watchdog": True,
        "page": "",
    }
    handover = Handover(
        parent=0,
        command=(),
        arguments=arguments,
        cwd="/",
        root="/",
        junit="",
        verbosity=0,
        color="no",
        asked=told | asked,
    )
    return read_options(handover)


def test_steps_are_judged_unless_a_person_says_otherwise() -> None:
    assert not read().skips_steps
    typed = ("--deploy-steps=none", "--deploy-reason=outage")
    assert read(*typed, steps="none", reason="outage").skips_steps


@pytest.mark.parametrize("asked", [{}, {"reason": "outage", "to": None}])
def test_steps_are_not_left_out_without_a_reason_or_a_deployment(asked: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match="needs --deploy-to=ENV and --deploy-reason=TEXT"):
        read("--deploy-steps=none", steps="none", **asked)


def test_a_file_cannot_leave_steps_out() -> None:
    with pytest.raises(ConfigError, match="--deploy-steps is taken from the command line alone"):
        read("--deploy-reason=outage", steps="none", reason="outage")


def test_without_steps_all_traffic_moves_at_once() -> None:
    steps = (TrafficStep(percent=5, wait=Duration(60)), TrafficStep(percent=100))
    assert EngineSettings(steps=steps).without_steps().percents == (100,)
