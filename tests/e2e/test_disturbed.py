"""A lost record, somebody else's hand on the traffic, a rollback that cannot be verified, a part that is killed."""

import os
import signal

import psutil
import pytest
import requests

from pytest_deploygate.emulator.lifecycle import find
from tests.e2e.checkout import until
from tests.e2e.disturbed_project import LOCAL, Plot, Stage

pytestmark = pytest.mark.e2e

FIRST = Plot(name="first release", has_baseline=False)
NEXT = Plot(name="next release")
REFUSED_WRITE = {"method": "PATCH", "path": "/services/", "http": 403, "times": None}
BY_NAME = "TRAFFIC_TARGET_ALLOCATION_TYPE_REVISION"


# -- the record is lost ----------------------------------------------------------------------------


@pytest.mark.parametrize("settles", ["recover", "next deployment"])
@pytest.mark.parametrize(
    ("plot", "write"),
    [
        (FIRST, "append observed open PROMOTING"),
        (NEXT, "append observed await_verify STAGING"),
        (NEXT, "append moved staged STAGED"),
        (NEXT, "append moved shifted SERVING"),
    ],
)
def test_orphan_of_a_lost_record_is_found_by_what_the_service_shows(
    stage: Stage, plot: Plot, write: str, settles: str
) -> None:
    stage.prepare(plot)
    before = stage.serving
    stage.release()
    assert stage.deploy(at=f"after:{write}") == -9, stage.output
    for path in stage.record.parent.glob("state.db*"):
        path.unlink()
    if settles == "recover":
        stage.recover()
        assert "ROLLED_BACK" in stage.output
        assert stage.serving == before
        assert not _marks(stage)
        assert not _tags(stage) & {"dg-cand", "dg-verify"}
    assert stage.deploy() == 0, stage.output
    assert ("recovered " in stage.output) is (settles != "recover")
    assert stage.serving not in {None, before}
    assert stage.is_settled()


# -- somebody else ---------------------------------------------------------------------------------


def test_traffic_moved_by_hand_is_not_overwritten(stage: Stage) -> None:
    stage.prepare(NEXT)
    theirs = stage.serving
    stage.release()
    assert stage.deploy() == 0, stage.output  # so that theirs is neither baseline nor candidate
    stage.release()
    session = stage.hold("greeting")
    assert theirs is not None
    _move_by_hand(stage, theirs)
    stage.say("go on")
    assert session.end() == 11, session.output
    assert f"{theirs}=100" in session.output
    assert stage.project.shares() == {theirs: 100}
    assert stage.properties()["deploygate.reason_code"] == "drifted"
    assert stage.command("adopt", LOCAL, theirs, "--reason", "wanted by hand") == 0, stage.output
    assert stage.project.shares() == {theirs: 100}
    assert stage.is_settled()
    assert stage.deploy() == 0, stage.output


# -- a rollback that cannot be verified ------------------------------------------------------------


def test_rollback_that_the_platform_refuses_is_stranded_until_it_is_settled(stage: Stage) -> None:
    stage.prepare(NEXT)
    before = stage.serving
    stage.release()
    session = stage.hold("alive")
    stage.project.local("faults", **REFUSED_WRITE)
    stage.say("break")
    assert session.end() == 11, session.output
    for text in ("STRANDED", "a person must look: deploygate status local", "how-to/runbook.html"):
        assert text in session.output
    assert stage.serving != before
    with stage.store() as store:
        assert store.lease(LOCAL) is not None  # type: ignore[arg-type]
    stage.release()
    assert stage.deploy() == 10, stage.output
    assert "is stranded" in stage.output
    assert stage.command("recover", LOCAL) == 11
    requests.delete(f"{stage.project.endpoint}/_local/faults", timeout=30).raise_for_status()
    stage.recover()
    assert stage.serving == before
    assert stage.is_settled()
    assert stage.deploy() == 0, stage.output


# -- a build that outlives its session -------------------------------------------------------------


def test_build_that_a_killed_session_began_is_waited_for(stage: Stage) -> None:
    stage.prepare(NEXT)
    before = stage.serving
    stage.release()
    endless = {"kind": "never_done"}
    stage.project.local("faults", method="PATCH", path="/functions/", operation=endless)
    assert stage.deploy(at="after:append intent await_verify STAGING") == -9, stage.output
    stage.recover()
    assert stage.serving == before
    session = stage.begin(log="one")
    until(
        lambda: "still goes on" in session.output or not session.is_running,
        seconds=120,
        what="it waits",
    )
    requests.delete(f"{stage.project.endpoint}/_local/faults", timeout=30).raise_for_status()
    assert session.end() == 0, session.output
    assert "still goes on" in session.output
    assert stage.serving not in {None, before}
    assert stage.is_settled()


# -- the URL of a tag ------------------------------------------------------------------------------


def test_nothing_is_judged_while_a_tag_still_routes_to_the_old_revision(stage: Stage) -> None:
    stage.prepare(NEXT)
    before = stage.serving
    stage.release()
    stage.project.local("faults", method="PATCH", path="/services/", stale_tag=4, times=None)
    try:
        assert stage.deploy() == 0, stage.output  # a check holds the answer to what was staged
    finally:
        requests.delete(f"{stage.project.endpoint}/_local/faults", timeout=30).raise_for_status()
    assert stage.serving != before


# -- a part is killed ------------------------------------------------------------------------------


def test_killed_local_cloud_comes_back_with_what_served(stage: Stage) -> None:
    stage.prepare(NEXT)
    before = stage.serving
    _kill_cloud(stage)
    assert stage.command("local", "up") == 0, stage.output
    assert stage.serving == before
    stage.release()
    assert stage.deploy() == 0, stage.output
    assert stage.serving != before


@pytest.mark.parametrize("gate", ["greeting", "alive"])
def test_local_cloud_killed_in_a_rollout_and_started_again_serves_the_baseline(
    stage: Stage, gate: str
) -> None:
    stage.prepare(NEXT)
    before = stage.serving
    stage.release()
    session = stage.hold(gate)
    _kill_cloud(stage)
    stage.say("break")
    assert stage.command("local", "up") == 0, stage.output
    assert session.end() == 1, session.output
    assert stage.serving == before
    assert stage.is_settled()


def test_killed_watchdog_changes_nothing_for_a_session_that_lives(stage: Stage) -> None:
    stage.prepare(NEXT)
    before = stage.serving
    stage.release()
    session = stage.hold("alive", watchdog=True, log="one")
    dog = _watchdog(stage)
    stage.command("status", LOCAL)
    assert f"on, process {dog}" in stage.output
    process = psutil.Process(dog)
    process.kill()
    until(lambda: not _is_running(process), seconds=30, what="the watchdog is dead")
    stage.command("status", LOCAL)
    assert f"process {dog}" not in stage.output
    stage.say("go on")
    assert session.end() == 0, session.output
    assert stage.serving != before


def test_killed_watchdog_and_session_are_settled_by_recover(stage: Stage) -> None:
    stage.prepare(NEXT)
    before = stage.serving
    stage.release()
    session = stage.hold("alive", watchdog=True)
    os.kill(_watchdog(stage), signal.SIGKILL)
    os.kill(session.pid, signal.SIGKILL)
    assert session.end() == -9
    assert stage.serving != before
    stage.recover()
    assert stage.serving == before
    assert stage.is_settled()


def test_killed_worker_is_a_failed_check(stage: Stage) -> None:
    stage.prepare(NEXT)
    before = stage.serving
    stage.release()
    session = stage.hold("greeting", "-n2", watchdog=True)
    dog = _watchdog(stage)
    workers = [p for p in psutil.Process(session.pid).children() if p.pid != dog]
    assert workers
    for worker in workers:
        worker.kill()
    stage.say("go on")
    assert session.end() == 1, session.output
    assert "crashed" in session.output
    assert stage.serving == before
    assert stage.is_settled()
    assert not stage.left_over()


# -- helpers ---------------------------------------------------------------------------------------


def _kill_cloud(stage: Stage) -> None:
    cloud = find(stage.project.root / ".deploygate" / "local")
    assert cloud is not None
    functions = psutil.Process(cloud.pid).children(recursive=True)
    os.kill(cloud.pid, signal.SIGKILL)
    until(lambda: not any(_is_running(p) for p in functions), seconds=30, what="functions are gone")


def _is_running(process: psutil.Process) -> bool:
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _watchdog(stage: Stage) -> int:
    from pytest_deploygate.watchdog import registry

    found: list[registry.WatchdogEntry] = []

    def is_there() -> bool:
        found[:] = registry.find(stage.record.parent)
        return bool(found)

    until(is_there, seconds=60, what="the watchdog watches")
    return found[0].pid


def _traffic(stage: Stage) -> list[dict[str, object]]:
    found = stage.project.service()["traffic"]
    assert isinstance(found, list)
    return found


def _tags(stage: Stage) -> set[object]:
    return {t["tag"] for t in _traffic(stage) if t.get("tag")} if stage.exists else set()


def _marks(stage: Stage) -> object:
    labels = stage.project.service().get("labels", {})
    assert isinstance(labels, dict)
    return labels.get("deploygate-rollout")


def _move_by_hand(stage: Stage, revision: str) -> None:
    tags = [{**target, "percent": 0} for target in _traffic(stage) if target.get("tag")]
    body = {"traffic": [{"type": BY_NAME, "revision": revision, "percent": 100}, *tags]}
    path = f"{stage.project.endpoint}/v2/projects/{stage.project.service_path}"
    answer = requests.patch(f"{path}?updateMask=traffic", json=body, timeout=30)
    assert answer.ok, answer.text
    until(lambda: stage.project.shares() == {revision: 100}, seconds=30, what="it is moved")
