"""SIGKILL of the session before and after every entry of its journal: whatever dies, the baseline serves or the judged
candidate does, the record tells the truth, and the next command works.

The grid counts journal entries, so a new step is covered by itself. By default a sample is run;
``DEPLOYGATE_KILL_GRID=all`` runs all of it.
"""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from pytest_deploygate.core.rollout import State
from pytest_deploygate.store.sql import open_store
from pytest_deploygate.wiring import SystemClock
from tests.e2e.project import REPOSITORY, Project, Watch, until
from tests.e2e.small import small_project

pytestmark = pytest.mark.e2e

IS_WHOLE = os.environ.get("DEPLOYGATE_KILL_GRID") == "all"
SAMPLE = 7
"""Without the whole grid, every so many-th point is run."""
MOST_ENTRIES = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class Plot:
    """What is killed: a first release or a second one, whose candidate gate holds or does not."""

    name: str
    has_baseline: bool
    holds: bool


PLOTS = (
    Plot(name="first release", has_baseline=False, holds=True),
    Plot(name="second release, promoted", has_baseline=True, holds=True),
    Plot(name="second release, rolled back", has_baseline=True, holds=False),
)


def release(project: Project, *, holds: bool) -> None:
    """Another release, that greets well or badly."""
    main = project.root / "function" / "main.py"
    kept = main.read_text(encoding="utf-8").replace("goodbye, {", "hello, {")
    text = kept + f"\n# release {len(kept)}\n"
    main.write_text(text if holds else text.replace("hello, {", "goodbye, {"), encoding="utf-8")


def deploy(project: Project, at: str, note: Path, *, watchdog: bool) -> int:
    """A session that is killed at ``at``; its exit status."""
    arguments = ["--deploy-to=local", "-q", "-p", "no:cacheprovider"]
    if not watchdog:
        arguments.append("--deploy-no-watchdog")
    run = project.pytest(
        *arguments,
        DEPLOYGATE_STATE="tests.e2e.killing:make",
        KILL_AT=at,
        KILLED=str(note),
        PYTHONPATH=str(REPOSITORY),
    )
    return run.status


@contextmanager
def visitor(project: Project, *, is_there: bool) -> Iterator[Watch | None]:
    """Somebody who uses what serves, if anything does."""
    if not is_there:
        yield None
        return
    with project.watched(expect=200) as watch:
        yield watch


def recover(project: Project) -> None:
    """``deploygate recover local``."""
    subprocess.run(
        [sys.executable, "-m", "pytest_deploygate.cli", "recover", "local"],
        cwd=project.root,
        env={**os.environ, **project.environment},
        check=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.STDOUT,
        timeout=120,
    )


def is_settled(project: Project) -> bool:
    """Whether no rollout is open and nobody holds the lease."""
    store = open_store(f"sqlite:///{project.root / '.deploygate' / 'state.db'}", SystemClock())
    try:
        return not store.open_rollouts("local") and store.lease("local") is None  # type: ignore[arg-type]
    finally:
        store.close()


def last_state(project: Project) -> tuple[State, str | None]:
    """How the newest rollout ended, and on which revision."""
    store = open_store(f"sqlite:///{project.root / '.deploygate' / 'state.db'}", SystemClock())
    try:
        record = store.history("local", 1)[0]  # type: ignore[arg-type]
        return record.state, record.candidate if record.state is State.PROMOTED else record.baseline
    finally:
        store.close()


def watchdogs(project: Project) -> list[int]:
    """Watchdogs of this project that still run."""
    found = []
    for process in psutil.process_iter(["cmdline"]):
        line = process.info["cmdline"] or []
        if "pytest_deploygate.watchdog" in line and str(project.root) in " ".join(line):
            found.append(process.pid)
    return found


@pytest.fixture(params=PLOTS, ids=lambda plot: plot.name, scope="module")
def plot(request: pytest.FixtureRequest) -> Plot:
    """What is killed."""
    found = request.param
    assert isinstance(found, Plot)
    return found


@pytest.fixture(params=[True, False], ids=["watchdog", "recover"], scope="module")
def has_watchdog(request: pytest.FixtureRequest) -> bool:
    """Who goes back: the watchdog, or a person with ``deploygate recover``."""
    return bool(request.param)


def points() -> list[str]:
    """Every point of the grid; those beyond the journal of a plot are passed over."""
    every = [
        f"{when}:{number}" for number in range(1, MOST_ENTRIES + 1) for when in ("before", "after")
    ]
    return every if IS_WHOLE else every[::SAMPLE]


@pytest.mark.parametrize("at", points())
def test_killed_session_leaves_baseline_or_judged_candidate(
    tmp_path: Path, build_cache: Path, plot: Plot, has_watchdog: bool, at: str
) -> None:
    project = small_project(tmp_path / "checkout", build_cache)
    note = tmp_path / "killed"
    try:
        if plot.has_baseline:
            assert project.deploy("-q").status == 0
            release(project, holds=plot.holds)
        before = project.answering() if plot.has_baseline else None
        with visitor(project, is_there=plot.has_baseline) as watch:
            status = deploy(project, at, note, watchdog=has_watchdog)
            if not note.exists():
                assert status in (0, 1)
                pytest.skip("the journal of this rollout is shorter")
            assert status == -9
            if not has_watchdog:
                recover(project)
            until(lambda: is_settled(project), seconds=60, what="settled")
        where = note.read_text()
        state, serving = last_state(project)
        if watch is not None:
            assert watch.failures == [], where
            assert project.shares() == {serving: 100}, where
            assert project.answering() == serving, where
        if state is not State.PROMOTED:
            assert serving == before, where
        else:
            assert plot.holds, where
        until(lambda: not watchdogs(project), seconds=10, what="no watchdog is left")
        release(project, holds=True)
        assert project.deploy("-q").status == 0, where
    finally:
        project.close()
