"""SIGKILL of a session before and after every entry of its journal: whatever dies, the baseline serves or the judged
candidate does, the record tells the truth, nothing is left over, and the next rollout works.

What is killed is read from rollouts that nobody kills, so a new step is covered by itself. By default a sample is
run; ``tox -e killgrid`` runs all of it (``DEPLOYGATE_KILL_GRID=all``; ``2/5`` runs the second of five shares, and all
five together everything; ``before:29`` runs that one point).
"""

import os
from pathlib import Path

import pytest

from pytest_deploygate.core.record import RolloutRecord
from pytest_deploygate.core.state_machine import State
from tests.e2e import killing_store
from tests.e2e.checkout import Watch, until
from tests.e2e.disturbed_project import PLOTS, Plot, Stage, points

pytestmark = pytest.mark.e2e

GRID = os.environ.get("DEPLOYGATE_KILL_GRID", "")
SAMPLE = {
    "first-release": ("append intent begin_twin STAGING", "append observed open PROMOTING"),
    "promoted": ("append intent shift PROMOTING", "append moved live_held FINALISING"),
    "rolled-back": ("append moved shifted SERVING", "append intent shift_back ROLLING_BACK"),
}
"""Without the grid, the session is killed after these: first with ``recover``, then with the watchdog."""
FIGURES = os.environ.get("DEPLOYGATE_KILL_FIGURES", "")


@pytest.fixture(scope="module")
def writes(stage: Stage) -> dict[str, list[str]]:
    """What sessions write that nobody kills, by plot; afterwards a release serves."""
    found = {}
    for plot in PLOTS:
        stage.release(breaks=plot.breaks)
        assert stage.deploy() == int(plot.breaks), stage.output
        found[plot.name] = stage.written()
    return found


def chosen(writes: list[str], plot: Plot, *, watchdog: bool) -> list[str]:
    """The points of the grid that this run takes."""
    if ":" in GRID:
        return [GRID]
    if GRID:
        share, shares = map(int, GRID.split("/")) if GRID != "all" else (1, 1)
        first = (2 * PLOTS.index(plot) + watchdog + share - 1) % shares
        return points(writes)[first::shares]
    return [f"after:{SAMPLE[plot.name][watchdog]}"]


@pytest.mark.parametrize("watchdog", [True, False], ids=["watchdog", "recover"])
@pytest.mark.parametrize("plot", PLOTS, ids=lambda plot: plot.name)
def test_killed_session_leaves_baseline_or_judged_candidate(
    stage: Stage,
    writes: dict[str, list[str]],
    plot: Plot,
    watchdog: bool,
    subtests: pytest.Subtests,
) -> None:
    at_all = chosen(writes[plot.name], plot, watchdog=watchdog)
    assert at_all
    for at in at_all:
        with subtests.test(at=at):
            _kill(stage, plot, at, watchdog=watchdog)


def _kill(stage: Stage, plot: Plot, at: str, *, watchdog: bool) -> None:
    stage.prepare(plot)
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
    return not any(write.startswith(killing_store.JOURNAL) for write in stage.written())


def _assert_settled(
    stage: Stage, plot: Plot, before: str | None, last: RolloutRecord | None
) -> None:
    where = stage.note.read_text(encoding="utf-8")
    serving, record = stage.serving, stage.newest()
    if record is None or (last is not None and record.rollout_id == last.rollout_id):
        assert serving == before, where  # killed before it was recorded
        return
    assert record.ended_at is not None, where
    has_looked = "restore_to" in record.facts
    assert record.serving == (serving if has_looked else None), where
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
