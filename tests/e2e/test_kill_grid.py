"""SIGKILL of a session before and after every entry of its journal: whatever dies, the baseline serves or the judged
candidate does, the record tells the truth, nothing is left over, and the next rollout works.

What is killed is read from rollouts that nobody kills, so a new step is covered by itself. By default a sample is
run; ``tox -e killgrid`` runs all of it (``DEPLOYGATE_KILL_GRID=all``; a number ``n`` runs every n-th point).
"""

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pytest
import requests

from pytest_deploygate.core.record import RolloutRecord
from pytest_deploygate.core.rollout import State
from pytest_deploygate.emulator.process import find
from pytest_deploygate.store.sql import SqlStore, open_store
from pytest_deploygate.wiring import SystemClock
from tests.e2e import forked, killing
from tests.e2e.project import REPOSITORY, Project, Watch, until
from tests.e2e.small import SERVICE, small_project

pytestmark = pytest.mark.e2e

GRID = os.environ.get("DEPLOYGATE_KILL_GRID", "")
SAMPLE = ("intent begin_twin", "moved candidate_held", "observed shift", "intent finalise")
"""Without the grid, the session is killed after the first of these that its plot has not been killed at."""
FIGURES = os.environ.get("DEPLOYGATE_KILL_FIGURES", "")
LOCAL = "local"


@dataclass(frozen=True, slots=True, kw_only=True)
class Plot:
    """What is killed. ``breaks`` is what a release says wrong: to the live gate alone, so that it has the traffic."""

    name: str
    has_baseline: bool = True
    breaks: bool = False


FIRST = Plot(name="first-release", has_baseline=False)
PROMOTED = Plot(name="promoted")
ROLLED_BACK = Plot(name="rolled-back", breaks=True)
PLOTS = (FIRST, PROMOTED, ROLLED_BACK)


def points(writes: list[str]) -> list[str]:
    """Before and after every entry of the journal; and before each other write, unless that is after an entry."""
    found = []
    for number, write in enumerate(writes, start=1):
        is_entry = write.startswith(killing.JOURNAL)
        if is_entry or not (number > 1 and writes[number - 2].startswith(killing.JOURNAL)):
            found.append(f"before:{number}")
        if is_entry:
            found.append(f"after:{number}")
    return found


@dataclass(slots=True, kw_only=True)
class Stage:
    """One project on which everything is killed; between two kills its newest release serves."""

    project: Project
    folder: Path
    writes: dict[str, list[str]] = field(default_factory=dict)
    _count: int = 0

    # -- what happens ----------------------------------------------------------------------------

    def release(self, *, breaks: bool = False) -> None:
        """Another release, that greets well or badly."""
        self._count += 1
        main = self.project.root / "function" / "main.py"
        text = main.read_text(encoding="utf-8").partition("\n# release")[0]
        old, new = '"nobody"', '"world"'
        text = text.replace(new, old) if breaks else text.replace(old, new)
        main.write_text(f"{text}\n# release {self._count} {os.getpid()}\n", encoding="utf-8")

    def deploy(self, *, at: str = "", watchdog: bool = False) -> int:
        """A session that counts its writes, and is killed at ``at``; its exit status."""
        self.note.unlink(missing_ok=True)
        self.counted.unlink(missing_ok=True)
        arguments = [f"--deploy-to={LOCAL}", "-p", "no:cacheprovider"]
        arguments += [] if watchdog else ["--deploy-no-watchdog"]
        counting = {"KILL_AT": at, "KILLED": str(self.note), "WRITES": str(self.counted)}
        return self._run(
            "pytest", arguments, DEPLOYGATE_STATE=f"{killing.__name__}:make", **counting
        )

    def recover(self) -> None:
        """``deploygate recover local``."""
        assert self._run("deploygate", ["recover", LOCAL]) == 0, self.output

    def _run(self, command: str, arguments: list[str], **variables: str) -> int:
        known = {**self.project.environment, "PYTHONPATH": str(REPOSITORY), **variables}
        return forked.run(command, self.project.root, arguments, known, self._log)

    def undeploy(self) -> None:
        """Nothing is deployed any more, by somebody's hand."""
        if self.exists:
            path = SERVICE.replace("services", "functions")
            url = f"{self.project.endpoint}/v2/projects/{path}"
            requests.delete(url, timeout=30).raise_for_status()
            until(lambda: not self.exists, seconds=60, what="the function is gone")

    # -- what is seen ----------------------------------------------------------------------------

    @property
    def note(self) -> Path:
        """What was killed."""
        return self.folder / "killed"

    @property
    def counted(self) -> Path:
        """What the newest session wrote."""
        return self.folder / "writes"

    @property
    def _log(self) -> Path:
        return self.folder / "output"

    @property
    def output(self) -> str:
        """What the newest command printed."""
        return self._log.read_text(encoding="utf-8")

    @property
    def exists(self) -> bool:
        """Whether anything is deployed."""
        return "uri" in self.project.service()

    @property
    def serving(self) -> str | None:
        """The revision that has all traffic, as the platform says and as it answers; None where none is deployed."""
        if not self.exists:
            return None
        ((revision, percent),) = self.project.shares().items()
        assert percent == 100
        assert self.project.answering() == revision
        return revision

    def store(self) -> SqlStore:
        """The record."""
        return open_store(
            f"sqlite:///{self.project.root / '.deploygate' / 'state.db'}", SystemClock()
        )

    def newest(self) -> RolloutRecord | None:
        """The newest rollout."""
        with self.store() as store:
            return next(iter(store.history(LOCAL, 1)), None)  # type: ignore[arg-type]

    def is_settled(self) -> bool:
        """Whether no rollout is open and nobody holds the lease."""
        with self.store() as store:
            return not store.open_rollouts(LOCAL) and store.lease(LOCAL) is None  # type: ignore[arg-type]

    def left_over(self) -> list[str]:
        """Command lines of processes that work on the project and do not belong to the local cloud."""
        root = str(self.project.root)
        cloud = find(self.project.root / ".deploygate" / "local")
        belongs = set()
        if cloud is not None:
            whole = psutil.Process(cloud.pid)
            belongs = {whole.pid, *(child.pid for child in whole.children(recursive=True))}
        found = []
        for process in psutil.process_iter(["cmdline", "cwd", "status"]):
            line = " ".join(process.info["cmdline"] or ())
            is_here = root in line or str(process.info["cwd"]).startswith(root)
            if is_here and process.pid not in belongs and process.info["status"] != "zombie":
                found.append(line)
        return found


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory, build_cache: Path) -> Iterator[Stage]:
    """A project with rollouts of all plots that nobody killed."""
    folder = tmp_path_factory.mktemp("killed")
    made = Stage(project=small_project(folder / "checkout", build_cache), folder=folder)
    try:
        for plot in PLOTS:
            made.release(breaks=plot.breaks)
            assert made.deploy() == int(plot.breaks), made.output
            made.writes[plot.name] = made.counted.read_text(encoding="utf-8").splitlines()
        yield made
    finally:
        made.project.close()
        shutil.rmtree(folder / "checkout" / ".deploygate", ignore_errors=True)


def chosen(writes: list[str], plot: Plot, *, watchdog: bool) -> list[str]:
    """The points of the grid that this run takes."""
    if GRID:
        step = 1 if GRID == "all" else int(GRID)
        first = (2 * PLOTS.index(plot) + watchdog) % step
        return points(writes)[first::step]
    wanted = SAMPLE[2 * PLOTS.index(plot) % 3 + watchdog]
    return [f"after:{n}" for n, write in enumerate(writes, start=1) if wanted in write][:1]


@pytest.mark.parametrize("watchdog", [True, False], ids=["watchdog", "recover"])
@pytest.mark.parametrize("plot", PLOTS, ids=lambda plot: plot.name)
def test_killed_session_leaves_baseline_or_judged_candidate(
    stage: Stage, plot: Plot, watchdog: bool, subtests: pytest.Subtests
) -> None:
    at_all = chosen(stage.writes[plot.name], plot, watchdog=watchdog)
    assert at_all
    for at in at_all:
        with subtests.test(at=at):
            _kill(stage, plot, at, watchdog=watchdog)


def _kill(stage: Stage, plot: Plot, at: str, *, watchdog: bool) -> None:
    if not plot.has_baseline:
        stage.undeploy()
    elif not stage.exists or not stage.is_settled():
        stage.release()
        assert stage.deploy() == 0, stage.output
    before, last = stage.serving, stage.newest()
    stage.release(breaks=plot.breaks)
    if before is None:
        _kill_and_settle(stage, at, watchdog=watchdog)
        _assert_settled(stage, plot, before, last)
        _assert_next_works(stage)
        return
    with stage.project.watched(expect=200) as watch:
        _kill_and_settle(stage, at, watchdog=watchdog)
        _assert_settled(stage, plot, before, last)
        _note_seconds(stage, watch)
        _assert_next_works(stage)
    assert watch.failures == [], stage.note.read_text()


def _kill_and_settle(stage: Stage, at: str, *, watchdog: bool) -> None:
    assert stage.deploy(at=at, watchdog=watchdog) == -9, stage.output
    until(lambda: not stage.left_over(), seconds=60, what="nothing of the session is left")
    if not watchdog or _was_before_the_watchdog(stage):
        stage.recover()
    assert stage.is_settled(), stage.note.read_text()


def _was_before_the_watchdog(stage: Stage) -> bool:
    """The watchdog begins as soon as the rollout is recorded, and it was known when the first state was left."""
    return killing.JOURNAL not in stage.counted.read_text(encoding="utf-8")


def _assert_settled(
    stage: Stage, plot: Plot, before: str | None, last: RolloutRecord | None
) -> None:
    where = stage.note.read_text(encoding="utf-8")
    serving, record = stage.serving, stage.newest()
    if record is None or (last is not None and record.rollout_id == last.rollout_id):
        assert serving == before, where  # killed before it was recorded
        return
    assert record.serving == serving, where
    assert record.ended_at is not None, where
    if record.state is State.PROMOTED:
        with stage.store() as store:
            events = [entry.name for entry in store.journal(record.rollout_id)]
        assert "live_held" in events, where
        assert not plot.breaks, where
        assert serving == record.candidate, where
    else:
        assert record.state in {State.ROLLED_BACK, State.REFUSED}, where
        assert serving == before, where
    labels = stage.project.service().get("labels", {})
    assert isinstance(labels, dict)
    assert not labels.get("deploygate-rollout"), where


def _assert_next_works(stage: Stage) -> None:
    before = stage.serving
    stage.release()
    assert stage.deploy() == 0, stage.output
    assert stage.serving not in {None, before}
    assert stage.is_settled()
    assert not stage.left_over()


def _note_seconds(stage: Stage, watch: Watch) -> None:
    """For how long after the kill a revision answered that was not kept; for whoever gives a file for it."""
    if FIGURES:
        at, _, what = stage.note.read_text(encoding="utf-8").strip().partition(" ")
        kept = stage.serving
        after = [seen - float(at) for revision, seen in watch.last_at.items() if revision != kept]
        with Path(FIGURES).open("a", encoding="utf-8") as file:
            file.write(f"{max(after, default=0):.3f} {what}\n")
