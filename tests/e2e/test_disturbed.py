"""A lost record, somebody else's hand on the traffic, a rollback that cannot be verified, a part that is killed."""

import os
import signal

import psutil
import pytest
import requests

from pytest_deploygate.emulator.lifecycle import find
from tests.e2e.checkout import until
from tests.e2e.disturbed_project import LOCAL, DisturbedProject, KillCase
from tests.processes import is_running

pytestmark = pytest.mark.e2e

FIRST = KillCase(name="first release", has_baseline=False)
NEXT = KillCase(name="next release")
REFUSED_WRITE = {"method": "PATCH", "path": "/services/", "http": 403, "times": None}
BY_NAME = "TRAFFIC_TARGET_ALLOCATION_TYPE_REVISION"


# -- the record is lost ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "recovered_by", ["recover", pytest.param("next deployment", marks=pytest.mark.full)]
)
@pytest.mark.parametrize(
    ("case", "write"),
    [
        (FIRST, "append observed open PROMOTING"),
        pytest.param(NEXT, "append observed await_release STAGING", marks=pytest.mark.full),
        pytest.param(NEXT, "append moved staged STAGED", marks=pytest.mark.full),
        pytest.param(NEXT, "append moved shifted SERVING", marks=pytest.mark.full),
    ],
)
def test_orphan_of_a_lost_record_is_found_by_what_the_service_shows(
    disturbed: DisturbedProject, case: KillCase, write: str, recovered_by: str
) -> None:
    disturbed.prepare(case)
    before = disturbed.serving
    disturbed.release()
    assert disturbed.deploy(at=f"after:{write}") == -9, disturbed.output
    for path in disturbed.record.parent.glob("state.db*"):
        path.unlink()
    if recovered_by == "recover":
        disturbed.recover()
        assert "ROLLED_BACK" in disturbed.output
        assert disturbed.serving == before
        assert not _marks(disturbed)
        assert not _tags(disturbed) & {"dg-cand", "dg-verify"}
    assert disturbed.deploy() == 0, disturbed.output
    assert ("recovered " in disturbed.output) is (recovered_by != "recover")
    assert disturbed.serving not in {None, before}
    assert disturbed.is_settled()


# -- somebody else ---------------------------------------------------------------------------------


def test_traffic_moved_by_hand_is_not_overwritten(disturbed: DisturbedProject) -> None:
    disturbed.prepare(NEXT)
    theirs = disturbed.serving
    disturbed.release()
    assert disturbed.deploy() == 0, (
        disturbed.output
    )  # so that theirs is neither baseline nor candidate
    disturbed.release()
    session = disturbed.hold("greeting")
    assert theirs is not None
    _move_by_hand(disturbed, theirs)
    disturbed.say("go on")
    assert session.end() == 11, session.output
    assert f"{theirs}=100" in session.output
    assert disturbed.project.shares == {theirs: 100}
    assert disturbed.properties()["reason_code"] == "drifted"
    assert disturbed.command("adopt", LOCAL, theirs, "--reason", "wanted by hand") == 0, (
        disturbed.output
    )
    assert disturbed.project.shares == {theirs: 100}
    assert disturbed.is_settled()
    assert disturbed.deploy() == 0, disturbed.output


# -- a rollback that cannot be verified ------------------------------------------------------------


@pytest.mark.full
def test_rollback_that_the_platform_refuses_is_stranded_until_it_is_settled(
    disturbed: DisturbedProject,
) -> None:
    disturbed.prepare(NEXT)
    before = disturbed.serving
    disturbed.release()
    session = disturbed.hold("alive")
    disturbed.project.call_emulator("faults", **REFUSED_WRITE)
    disturbed.say("break")
    assert session.end() == 11, session.output
    for text in (
        "STRANDED",
        "an operator must look: deploygate status local",
        "how-to/runbook.html",
    ):
        assert text in session.output
    assert disturbed.serving != before
    with disturbed.store() as store:
        assert store.lease(LOCAL) is not None  # type: ignore[arg-type]
    disturbed.release()
    assert disturbed.deploy() == 10, disturbed.output
    assert "is stranded" in disturbed.output
    assert disturbed.command("recover", LOCAL) == 11
    requests.delete(f"{disturbed.project.endpoint}/_local/faults", timeout=30).raise_for_status()
    disturbed.recover()
    assert disturbed.serving == before
    assert disturbed.is_settled()
    assert disturbed.deploy() == 0, disturbed.output


# -- a build that outlives its session -------------------------------------------------------------


@pytest.mark.full
def test_build_that_a_killed_session_began_is_waited_for(disturbed: DisturbedProject) -> None:
    disturbed.prepare(NEXT)
    before = disturbed.serving
    disturbed.release()
    endless = {"kind": "never_done"}
    disturbed.project.call_emulator("faults", method="PATCH", path="/functions/", operation=endless)
    assert disturbed.deploy(at="after:append intent await_release STAGING") == -9, disturbed.output
    disturbed.recover()
    assert disturbed.serving == before
    session = disturbed.begin(log="one")
    until(
        lambda: "still runs on the platform" in session.output or not session.is_running,
        seconds=120,
        what="it waits",
    )
    requests.delete(f"{disturbed.project.endpoint}/_local/faults", timeout=30).raise_for_status()
    assert session.end() == 0, session.output
    assert "still runs on the platform" in session.output
    assert disturbed.serving not in {None, before}
    assert disturbed.is_settled()


# -- the URL of a tag ------------------------------------------------------------------------------


@pytest.mark.full
def test_nothing_is_judged_while_a_tag_still_routes_to_the_old_revision(
    disturbed: DisturbedProject,
) -> None:
    disturbed.prepare(NEXT)
    before = disturbed.serving
    disturbed.release()
    disturbed.project.call_emulator(
        "faults", method="PATCH", path="/services/", stale_tag=4, times=None
    )
    try:
        assert disturbed.deploy() == 0, (
            disturbed.output
        )  # a check holds the answer to what was staged
    finally:
        requests.delete(
            f"{disturbed.project.endpoint}/_local/faults", timeout=30
        ).raise_for_status()
    assert disturbed.serving != before


# -- a part is killed ------------------------------------------------------------------------------


@pytest.mark.full
def test_killed_emulator_comes_back_with_what_served(disturbed: DisturbedProject) -> None:
    disturbed.prepare(NEXT)
    before = disturbed.serving
    _kill_cloud(disturbed)
    assert disturbed.command("local", "up") == 0, disturbed.output
    assert disturbed.serving == before
    disturbed.release()
    assert disturbed.deploy() == 0, disturbed.output
    assert disturbed.serving != before


@pytest.mark.full
@pytest.mark.parametrize("gate", ["greeting", "alive"])
def test_emulator_killed_in_a_rollout_and_started_again_serves_the_baseline(
    disturbed: DisturbedProject, gate: str
) -> None:
    disturbed.prepare(NEXT)
    before = disturbed.serving
    disturbed.release()
    session = disturbed.hold(gate)
    _kill_cloud(disturbed)
    disturbed.say("break")
    assert disturbed.command("local", "up") == 0, disturbed.output
    assert session.end() == 1, session.output
    assert disturbed.serving == before
    assert disturbed.is_settled()


@pytest.mark.full
def test_killed_watchdog_changes_nothing_for_a_session_that_lives(
    disturbed: DisturbedProject,
) -> None:
    disturbed.prepare(NEXT)
    before = disturbed.serving
    disturbed.release()
    session = disturbed.hold("alive", watchdog=True, log="one")
    dog = _watchdog(disturbed)
    disturbed.command("status", LOCAL)
    assert f"on, process {dog}" in disturbed.output
    process = psutil.Process(dog)
    process.kill()
    until(lambda: not is_running(process.pid), seconds=120, what="the watchdog is dead")
    disturbed.command("status", LOCAL)
    assert f"process {dog}" not in disturbed.output
    disturbed.say("go on")
    assert session.end() == 0, session.output
    assert disturbed.serving != before


def test_killed_watchdog_and_session_are_settled_by_recover(disturbed: DisturbedProject) -> None:
    disturbed.prepare(NEXT)
    before = disturbed.serving
    disturbed.release()
    session = disturbed.hold("alive", watchdog=True)
    os.kill(_watchdog(disturbed), signal.SIGKILL)
    os.kill(session.pid, signal.SIGKILL)
    assert session.end() == -9
    assert disturbed.serving != before
    disturbed.recover()
    assert disturbed.serving == before
    assert disturbed.is_settled()


@pytest.mark.full
def test_killed_worker_is_a_failed_check(disturbed: DisturbedProject) -> None:
    disturbed.prepare(NEXT)
    before = disturbed.serving
    disturbed.release()
    session = disturbed.hold("greeting", "-n2", watchdog=True)
    dog = _watchdog(disturbed)
    [its_session] = [p for p in psutil.Process(session.pid).children() if p.pid != dog]
    workers = its_session.children()
    assert len(workers) >= 2
    for worker in workers:
        worker.kill()
    disturbed.say("go on")
    assert session.end() == 1, session.output
    assert "crashed" in session.output
    assert disturbed.serving == before
    assert disturbed.is_settled()
    assert not disturbed.left_over()


# -- helpers ---------------------------------------------------------------------------------------


def _kill_cloud(disturbed: DisturbedProject) -> None:
    cloud = find(disturbed.project.root / ".deploygate" / "local")
    assert cloud is not None
    functions = psutil.Process(cloud.pid).children(recursive=True)
    os.kill(cloud.pid, signal.SIGKILL)
    until(
        lambda: not any(is_running(p.pid) for p in functions),
        seconds=120,
        what="functions are gone",
    )


def _watchdog(disturbed: DisturbedProject) -> int:
    from pytest_deploygate.watchdog import registry

    found: list[registry.WatchdogEntry] = []

    def is_there() -> bool:
        found[:] = registry.find(disturbed.record.parent)
        return bool(found)

    until(is_there, seconds=120, what="the watchdog watches")
    return found[0].pid


def _traffic(disturbed: DisturbedProject) -> list[dict[str, object]]:
    found = disturbed.project.describe_service()["traffic"]
    assert isinstance(found, list)
    return found


def _tags(disturbed: DisturbedProject) -> set[object]:
    return {t["tag"] for t in _traffic(disturbed) if t.get("tag")} if disturbed.exists else set()


def _marks(disturbed: DisturbedProject) -> object:
    labels = disturbed.project.describe_service().get("labels", {})
    assert isinstance(labels, dict)
    return labels.get("deploygate-rollout")


def _move_by_hand(disturbed: DisturbedProject, revision: str) -> None:
    tags = [{**target, "percent": 0} for target in _traffic(disturbed) if target.get("tag")]
    body = {"traffic": [{"type": BY_NAME, "revision": revision, "percent": 100}, *tags]}
    path = f"{disturbed.project.endpoint}/v2/projects/{disturbed.project.service}"
    answer = requests.patch(f"{path}?updateMask=traffic", json=body, timeout=30)
    assert answer.ok, answer.text
    until(lambda: disturbed.project.shares == {revision: 100}, seconds=120, what="it is moved")
