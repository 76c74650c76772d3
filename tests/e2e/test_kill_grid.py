"""SIGKILL of a session before and after every entry of its journal: whatever dies, the baseline serves or the judged
candidate does, the record tells the truth, nothing is left over, and the next rollout works.

What is killed is read from rollouts that nobody kills, so a new step is covered by itself. By default a sample is
run; ``tox -e full`` runs all of it (``DEPLOYGATE_KILL_GRID=all``; ``2/5`` runs the second of five shares, and all
five together everything; ``before:29`` runs that one point).
"""

import itertools
import os
from pathlib import Path

import pytest

from pytest_deploygate.core.own_tags import TAGS_OF_SERVING
from pytest_deploygate.core.record import RolloutRecord
from pytest_deploygate.core.state_machine import State
from tests.e2e import killing_store
from tests.e2e.checkout import Watch, until
from tests.e2e.disturbed_project import KILL_CASES, DisturbedProject, KillCase, points

pytestmark = pytest.mark.e2e

GRID = os.environ.get("DEPLOYGATE_KILL_GRID", "")
SAMPLE = {
    "first-release": ("append intent begin_release STAGING", "append observed open PROMOTING"),
    "promoted": ("append intent shift PROMOTING", "append moved live_held FINALISING"),
    "rolled-back": ("append moved shifted SERVING", "append intent shift_back ROLLING_BACK"),
    "staged": ("append observed add_variant STAGING", "append observed tag STAGING"),
}
"""Without the grid, the session is killed after these: first with ``recover``, then with the watchdog."""
SAMPLED = {"promoted-watchdog-google", "rolled-back-recover-cloud-run"}
TARGETS = ("google", "cloud-run")
FIGURES = os.environ.get("DEPLOYGATE_KILL_FIGURES", "")


def combinations() -> list[object]:
    """Target, case, and whether the watchdog is there; the sample has one of each target."""
    found: list[object] = []
    for target, case, watchdog in itertools.product(TARGETS, KILL_CASES, (True, False)):
        name = f"{case.name}-{'watchdog' if watchdog else 'recover'}-{target}"
        if GRID or name in SAMPLED:
            # a target is set up once, unless the whole grid is spread over all workers
            marks = [] if GRID else [pytest.mark.xdist_group(f"kill grid {target}")]
            found.append(pytest.param(target, case, watchdog, id=name, marks=marks))
    return found


@pytest.fixture(scope="module")
def writes(disturbed: DisturbedProject) -> dict[str, list[str]]:
    """What sessions write that nobody kills, by case, where that chooses what is killed."""
    verify = 'verify-environment = { GREETS = "in a test" }\n'
    variant = 'verify-variants = { shy = { GREETS = "nobody" } }\n'
    disturbed.project.edit("pyproject.toml", verify, verify + variant)
    found = {}
    for case in KILL_CASES if GRID and ":" not in GRID else ():
        disturbed.release(breaks=case.breaks)
        assert disturbed.deploy() == int(case.breaks), disturbed.output
        found[case.name] = disturbed.written()
    return found


def chosen(writes: dict[str, list[str]], case: KillCase, *, watchdog: bool) -> list[str]:
    """The points of the grid that this run takes."""
    if ":" in GRID:
        return [GRID]
    if GRID:
        share, shares = map(int, GRID.split("/")) if GRID != "all" else (1, 1)
        first = (2 * KILL_CASES.index(case) + watchdog + share - 1) % shares
        return points(writes[case.name])[first::shares]
    return [f"after:{SAMPLE[case.name][watchdog]}"]


@pytest.mark.parametrize(
    ("disturbed", "case", "watchdog"), combinations(), indirect=["disturbed"], scope="module"
)
def test_killed_session_leaves_baseline_or_judged_candidate(
    disturbed: DisturbedProject,
    writes: dict[str, list[str]],
    case: KillCase,
    watchdog: bool,
    subtests: pytest.Subtests,
) -> None:
    at_all = chosen(writes, case, watchdog=watchdog)
    assert at_all
    for at in at_all:
        with subtests.test(at=at):
            _kill(disturbed, case, at, watchdog=watchdog)


def _kill(disturbed: DisturbedProject, case: KillCase, at: str, *, watchdog: bool) -> None:
    disturbed.prepare(case)
    before, last = disturbed.serving, disturbed.newest()
    disturbed.release(breaks=case.breaks)
    if before is None:
        _kill_and_recover(disturbed, at, watchdog=watchdog)
        _assert_settled(disturbed, case, before, last)
        _assert_next_works(disturbed)
        return
    with disturbed.project.watched(expect=200) as watch:
        _kill_and_recover(disturbed, at, watchdog=watchdog)
        _assert_settled(disturbed, case, before, last)
        _note_seconds(disturbed, watch)
        _assert_next_works(disturbed)
    assert watch.failures == [], disturbed.note.read_text()


def _kill_and_recover(disturbed: DisturbedProject, at: str, *, watchdog: bool) -> None:
    assert disturbed.deploy(at=at, watchdog=watchdog) == -9, disturbed.output
    until(lambda: not disturbed.left_over(), seconds=120, what="nothing of the session is left")
    if not watchdog or _was_before_the_watchdog(disturbed):
        disturbed.recover()
    assert disturbed.is_settled(), disturbed.note.read_text()


def _was_before_the_watchdog(disturbed: DisturbedProject) -> bool:
    """The watchdog begins as soon as the rollout is recorded, and it was known when the first state was left."""
    return not any(write.startswith(killing_store.JOURNAL) for write in disturbed.written())


def _assert_settled(
    disturbed: DisturbedProject, case: KillCase, before: str | None, last: RolloutRecord | None
) -> None:
    where = disturbed.note.read_text(encoding="utf-8")
    serving, record = disturbed.serving, disturbed.newest()
    if record is None or (last is not None and record.rollout_id == last.rollout_id):
        assert serving == before, where  # killed before it was recorded
        return
    assert record.ended_at is not None, where
    has_looked = record.restore_point is not None
    assert record.serving == (serving if has_looked else None), where
    if record.state is State.PROMOTED:
        with disturbed.store() as store:
            events = [entry.name for entry in store.journal(record.rollout_id)]
        assert "live_held" in events, where
        assert not case.breaks, where
        assert serving == record.candidate, where
    else:
        assert record.state in {State.ROLLED_BACK, State.REFUSED}, where
        assert serving == before, where
    service = disturbed.project.describe_service()
    labels, traffic = service.get("labels", {}), service.get("traffic", [])
    assert isinstance(labels, dict)
    assert isinstance(traffic, list)
    assert not labels.get("deploygate-rollout"), where
    assert {str(it["tag"]) for it in traffic if it.get("tag")} <= set(TAGS_OF_SERVING), where


def _assert_next_works(disturbed: DisturbedProject) -> None:
    before = disturbed.serving
    disturbed.release()
    assert disturbed.deploy() == 0, disturbed.output
    assert disturbed.serving not in {None, before}
    assert disturbed.is_settled()
    assert not disturbed.left_over()


def _note_seconds(disturbed: DisturbedProject, watch: Watch) -> None:
    """For how long after the kill a revision answered that was not kept; for whoever gives a file for it."""
    if FIGURES:
        at, _, what = disturbed.note.read_text(encoding="utf-8").strip().partition(" ")
        kept = disturbed.serving
        after = [seen - float(at) for revision, seen in watch.last_at.items() if revision != kept]
        with Path(FIGURES).open("a", encoding="utf-8") as file:
            file.write(f"{max(after, default=0):.3f} {what}\n")
