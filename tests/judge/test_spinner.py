"""The line that moves on a terminal: it tells how long the step takes, however often the step reports."""

import re

import pytest

from pytest_deploygate.judge.reporting.spinner import Spinner


def test_time_counts_from_the_beginning_of_the_step(capsys: pytest.CaptureFixture[str]) -> None:
    now = [100.0]
    spinner = Spinner(clock=lambda: now[0])
    for moment, step, detail in (
        (100.0, "building", "build: under way"),
        (160.0, "building", "revision: under way"),
        (170.0, "shifting", "100 %"),
        (175.0, "shifting", "100 %"),
    ):
        now[0] = moment
        spinner.start(step, detail)
        spinner.stop()
    said = capsys.readouterr().out
    shown = [re.sub(r"^[|/\\-] ", "", part) for part in said.split("\r\x1b[2K") if part]
    assert shown == [
        "building: build: under way  0 s",
        "building: revision: under way  60 s",
        "shifting: 100 %  0 s",
        "shifting: 100 %  5 s",
    ]
