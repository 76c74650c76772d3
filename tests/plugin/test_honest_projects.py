"""What honest projects do to their own process is no matter to the one that decides."""

from datetime import UTC, datetime, timedelta

import pytest

from pytest_deploygate.testing import DeploygateProject
from tests.plugin.plugin_project import SETTINGS, SUBJECT

FROZEN = """
    import time
    import datetime

    time.time = lambda: 0.0
    time.monotonic = lambda: 0.0


    class Frozen(datetime.datetime):
        @classmethod
        def now(cls, tz=None):
            return cls(2020, 1, 1, tzinfo=tz)


    datetime.datetime = Frozen
"""
CACHED = """
    import requests


    class Cached(requests.Session):
        def send(self, *_, **__):
            raise RuntimeError("nothing is asked, everything was recorded")


    requests.Session = requests.sessions.Session = Cached
"""
REQUESTS_CACHE = """
    import requests_cache

    requests_cache.install_cache(backend="memory")
"""
FREEZEGUN = """
    import freezegun

    freezegun.freeze_time("2020-01-01").start()
"""
LEFT_OPEN = """
    class Own:
        def __init__(self, config):
            self.config, self.file = config, open("own.txt", "a")

        def pytest_runtest_logreport(self, report):
            self.file.write(report.nodeid + "\\n")


    def pytest_configure(config):
        if {is_here}:
            config.pluginmanager.register(Own(config))
"""
PATCHES = {
    "frozen clock": FROZEN,
    "recorded answers": CACHED,
    "requests-cache": REQUESTS_CACHE,
    "freezegun": FREEZEGUN,
}


@pytest.mark.parametrize(
    ("conftest", "workers"),
    [
        pytest.param(
            text,
            workers,
            id=f"{name}-n{workers}",
            marks=() if workers == turn % 2 else pytest.mark.full,
        )
        for turn, (name, text) in enumerate(PATCHES.items())
        for workers in (0, 1)
    ],
)
def test_project_that_patches_its_own_process_is_deployed(
    project: DeploygateProject, before: str, conftest: str, workers: int
) -> None:
    run = project.write({"conftest.py": conftest}).deploy(workers=workers)
    assert run.status == 0, run.output
    assert run.serving != before
    assert run.record is not None
    assert run.record.began_at > datetime.now(UTC) - timedelta(hours=1)


def test_freeze_window_holds_under_a_clock_that_stands_still(
    project: DeploygateProject, before: str
) -> None:
    target = 'target = "pytest_deploygate.testing.target_on_disk:make"'
    today = datetime.now(UTC).date()
    window = f"{today - timedelta(days=1)} - {today + timedelta(days=1)} UTC"
    settings = SETTINGS.replace(target, f'{target}\nfreeze = ["{window}"]')
    run = project.write({"conftest.py": FROZEN, "pyproject.toml": settings}).deploy()
    assert (run.status, run.serving) == (1, before), run.output
    assert "environment fake is frozen until" in run.property("reason")


@pytest.mark.parametrize(
    ("workers", "is_here"),
    [(0, "True"), (1, "hasattr(config, 'workerinput')")],
    ids=["n0", "worker"],
)
def test_file_that_a_plugin_leaves_open_is_written_when_the_session_ends(
    project: DeploygateProject, workers: int, is_here: str
) -> None:
    project.write({"conftest.py": LEFT_OPEN.replace("{is_here}", is_here)})
    run = project.deploy(workers=workers)
    assert run.status == 0, run.output
    assert SUBJECT in (project.root / "own.txt").read_text()


def test_call_of_an_asynchronous_mock_that_nobody_awaits_is_no_failure(
    project: DeploygateProject, before: str
) -> None:
    check = """\
from unittest.mock import AsyncMock
def test_subject(): AsyncMock()()
"""
    run = project.write({SUBJECT: check}).deploy()
    assert run.status == 0, run.output
    assert run.serving != before
