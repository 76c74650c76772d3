"""SIGKILL of the processes of a session, alone and together: a bad release never serves, none ends as a good one.

In CI a sample; ``tox -e full`` runs every set of processes in every phase, and every entry of the journal
(``DEPLOYGATE_KILL_GRID=all``). The kills of the process that decides, on the emulator: ``tests/e2e/test_kill_grid.py``.
"""

import os
import signal
import time
from collections.abc import Callable
from itertools import chain, combinations

import psutil
import pytest

from pytest_deploygate.testing import DeploygateProject, SessionOutcome
from pytest_deploygate.testing.sessions import LIMIT_S
from tests.e2e import killing_store
from tests.plugin.plugin_project import ENVIRONMENT

PROCESSES = ("judge", "session", "worker", "watchdog")
GATES = {"ready": "gates/ready", "cand": "gates/cand", "live": "gates/live"}
IS_ALL = os.environ.get("DEPLOYGATE_KILL_GRID", "") != ""
SETS = list(chain.from_iterable(combinations(PROCESSES, size) for size in range(1, 5)))
ALL_KILLS = [(names, gate) for names in SETS for gate in GATES]
SAMPLE = [
    (("judge",), "live"),
    (("session",), "live"),
    (("worker",), "cand"),
    (("watchdog",), "live"),
    (PROCESSES, "live"),
]
WAITS = """
    import time
    from pathlib import Path


    def test_it_waits_and_fails():
        Path("running").touch()
        while not Path("word").exists():
            time.sleep(0.02)
        assert False
"""
STRUCK = ("session", "watchdog", "judge,session,watchdog")
POINT = "append intent shift PROMOTING"


def until(condition: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + LIMIT_S
    while not condition():
        assert time.monotonic() < deadline, f"not within {LIMIT_S} s: {what}"
        time.sleep(0.02)


def is_settled(project: DeploygateProject) -> bool:
    with project.store() as store:
        return not store.open_rollouts(ENVIRONMENT) and store.lease(ENVIRONMENT) is None


def await_recovery(project: DeploygateProject, killed: tuple[str, ...]) -> None:
    """The watchdog does it, or an operator where it is dead, too."""
    if {"judge", "watchdog"} <= {*killed}:
        assert project.deploygate("recover", ENVIRONMENT).status == 0
    until(lambda: is_settled(project), "the rollout is settled")


@pytest.mark.parametrize(
    ("names", "gate"),
    ALL_KILLS if IS_ALL else SAMPLE,
    ids=lambda value: "+".join(value) if isinstance(value, tuple) else value,
)
def test_bad_release_never_serves_whatever_is_killed(
    project: DeploygateProject, before: str, names: tuple[str, ...], gate: str
) -> None:
    project.write({f"{GATES[gate]}/test_waits.py": WAITS})
    session = project.begin("pytest", f"--deploy-to={ENVIRONMENT}", "-n1")
    judge = psutil.Process(session.pid)
    until(lambda: (project.root / "running").exists() or not session.is_running, "it runs")
    assert session.is_running, session.output
    until(lambda: all(killing_store.processes_of(judge).values()), "all processes are there")
    killing_store.kill_processes(judge, names)
    (project.root / "word").touch()
    run = project.finish(session)
    await_recovery(project, names)
    assert run.status == (-signal.SIGKILL if "judge" in names else 1), run.output
    assert project.serving == before
    check_told(run, ("PENDING",) if "judge" in names else ("ROLL_BACK", "REFUSE"))
    rollout = project.last_rollout()
    assert rollout is not None
    assert rollout.state.value in ("ROLLED_BACK", "REFUSED")
    assert rollout.serving in (before, None)


def check_told(run: SessionOutcome, verdicts: tuple[str, ...]) -> None:
    assert run.property("verdict") in verdicts, run.output
    assert run.verdict_case is not None
    assert run.verdict_case.results


@pytest.fixture
def points(project: DeploygateProject) -> list[str]:
    """What is written when nobody strikes; the project is then as before."""
    if not IS_ALL:
        return [f"after:{POINT}"]
    copied = project.copy(project.root.with_name("counted"))
    counted = project.root.with_name("writes")
    run = copied.deploy(DEPLOYGATE_STATE=f"{killing_store.__name__}:make", WRITES=str(counted))
    assert run.status == 0, run.output
    return [f"after:{n}" for n in range(1, len(counted.read_text().splitlines()) + 1)]


@pytest.mark.parametrize("struck", STRUCK)
def test_nothing_but_the_truth_is_told_whatever_is_killed_at_a_write(
    project: DeploygateProject, points: list[str], struck: str
) -> None:
    """The release is good: it serves and the status is 0, or neither."""
    for number, at in enumerate(points):
        project.write({"function/main.py": f"release {number}"})
        before, note = project.serving, project.root / f"struck{number}"
        earlier = project.last_rollout()
        run = project.pytest(
            f"--deploy-to={ENVIRONMENT}",
            "-n0",
            DEPLOYGATE_STATE=f"{killing_store.__name__}:make",
            KILL_AT=at,
            KILL_WITH=struck,
            KILLED=str(note),
        )
        assert note.exists(), run.output
        killed = tuple(struck.split(","))
        await_recovery(project, killed)
        if run.status == 0:
            assert project.serving not in ("", before), at
            assert run.property("state") == "PROMOTED", at
            continue
        check_told(run, ("PENDING", "ROLL_BACK", "REFUSE"))
        rollout = project.last_rollout()
        assert rollout is not None
        is_recorded = earlier is None or rollout.rollout_id != earlier.rollout_id
        has_promoted = "judge" in killed and is_recorded and rollout.state.value == "PROMOTED"
        assert (project.serving != before) is has_promoted, at
