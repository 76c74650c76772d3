"""How long looking at the past takes with 100,000 rollouts in the ledger."""

import os
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from pathlib import Path

from benchmarks.figures import Figure, spread
from pytest_deploygate.core.evidence import Score
from pytest_deploygate.core.identifiers import EnvironmentName, Phase, RevisionName, RolloutId
from pytest_deploygate.core.measurement import Measurement
from pytest_deploygate.core.record import RecordedGate, RestorePoint, RolloutRecord
from pytest_deploygate.core.state_machine import State
from pytest_deploygate.core.traffic import LATEST, Traffic
from pytest_deploygate.core.verdict import Outcome
from pytest_deploygate.store import mapping, serialization
from pytest_deploygate.store.sql import open_store
from pytest_deploygate.system.clock import SystemClock
from pytest_deploygate.system.process_identity import this_process
from tests.plugin import plugin_project

ROLLOUT_COUNT = 100_000
_GOOD_EVERY = 3
_TIMES = 25
MODULES = "import datetime, hashlib, json, pathlib, re, sqlite3, typing"
"""Modules of Python itself without which no record is read: how fast the machine is just now."""


def _record(number: int, began: datetime) -> RolloutRecord:
    is_good = number % _GOOD_EVERY == 0
    at = began + timedelta(minutes=10 * number)
    candidate, baseline = RevisionName(f"svc-{number:06d}"), RevisionName(f"svc-{number - 1:06d}")
    return RolloutRecord(
        rollout_id=RolloutId(f"{at:%Y%m%d-%H%M%S}-{number:08x}"),
        environment=plugin_project.ENVIRONMENT if number % 2 else EnvironmentName("staging"),
        purpose="deploy",
        actor=this_process(),
        began_at=at,
        ended_at=at + timedelta(seconds=40),
        state=State.PROMOTED if is_good else State.ROLLED_BACK,
        baseline=baseline,
        candidate=candidate,
        serving=candidate if is_good else baseline,
        reason_code="satisfied" if is_good else "gate_failed",
        reason="all gates passed" if is_good else "gate health failed: 18/20",
        scores={Phase.CANDIDATE: Fraction(79, 80)},
        digest=f"{number:064x}",
        inventory={g: tuple(f"suites/{g}.py::test_{n}" for n in range(8)) for g in ("a", "b", "c")},
        gates=dict.fromkeys(
            ("a", "b", "c"),
            RecordedGate(score=Score(passed=8, counted=8), outcome=Outcome.PASSED),
        ),
        restore_point=RestorePoint(
            existed=True,
            before=Traffic.of({LATEST: 100}),
            restore_to=Traffic.of({baseline: 100}),
        ),
        measurements={
            Phase.CANDIDATE: (Measurement.of("accuracy_score", 0.93, check="suites/a.py::test_0"),)
        },
    )


def _fill(path: Path) -> None:
    began = datetime(2020, 1, 1, tzinfo=UTC)
    with sqlite3.connect(path) as connection:
        for number in range(ROLLOUT_COUNT):
            cells = {
                "entries": 0,
                "head": serialization.CHAIN_START,
                **mapping.rollout_cells(_record(number, began)),
            }
            names = ", ".join(cells)
            values = ", ".join(f":{name}" for name in cells)
            connection.execute(
                f"INSERT INTO deploygate_rollouts ({names}) VALUES ({values})", cells
            )
    connection.close()
    os.sync()  # so that the disk is not busy with it while commands are measured


def _best(work: Callable[[], object], times: int) -> list[float]:
    seconds = []
    for _ in range(times):
        began = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - began)
    return seconds


def _command(root: Path, *arguments: str) -> Callable[[], object]:
    command = [sys.executable, *arguments]
    environment = plugin_project.session_variables()
    environment.pop("PYTHONDONTWRITEBYTECODE", None)

    def run() -> None:
        done = subprocess.run(
            command, cwd=root, env=environment, capture_output=True, text=True, check=False
        )
        if done.returncode != 0:
            raise RuntimeError(done.stdout + done.stderr)

    return run


def _commands(root: Path) -> list[tuple[str, list[float]]]:
    """Seconds of the interpreter alone and of each command, by turns."""
    cli = ("-m", "pytest_deploygate.cli")
    work = [
        ("interpreter", _command(root, "-c", "pass")),
        ("modules", _command(root, "-c", MODULES)),
        ("status", _command(root, *cli, "status", "fake")),
        ("history", _command(root, *cli, "history", "fake")),
    ]
    seconds: dict[str, list[float]] = {name: [] for name, _ in work}
    for _ in range(_TIMES):
        for name, run in work:
            seconds[name] += _best(run, 1)
    return list(seconds.items())


def _of_store(path: Path) -> Figure:
    """The calls that stand behind the commands."""
    name, known = plugin_project.ENVIRONMENT, RevisionName("svc-000003")
    with open_store(f"sqlite:///{path}", SystemClock()) as store:
        calls: dict[str, Callable[[], object]] = {
            "history (50)": lambda: store.history(name, 50),
            "last_promoted": lambda: store.last_promoted(name),
            "open_rollouts": lambda: store.open_rollouts(name),
            "is_known_good": lambda: store.is_known_good(name, known),
            "is_known_bad": lambda: store.is_known_bad(name, "0" * 64),
        }
        times = {call: statistics.median(_best(work, 50)) * 1000 for call, work in calls.items()}
    return Figure(
        topic="ledger",
        what="slowest of the store's questions (median)",
        value=max(times.values()),
        unit="ms",
        at_most=50,
        note=", ".join(f"{call} {time:.1f}" for call, time in times.items()),
    )


def figures() -> list[Figure]:
    """The calls of the store, and the commands with an empty ledger and with a full one."""
    with tempfile.TemporaryDirectory() as folder:
        settings = plugin_project.SETTINGS.replace(
            "pytest_deploygate.testing.target_on_disk:make", "benchmarks.standing:make"
        )
        project = plugin_project.make_baseline(Path(folder, "project")).write(
            {"pyproject.toml": settings}
        )
        empty = dict(_commands(project.root))
        path = project.root / ".deploygate" / "state.db"
        _fill(path)
        full = dict(_commands(project.root))
        of_store = _of_store(path)

    def beyond(seconds: dict[str, list[float]], what: str) -> float:
        return (min(seconds[what]) - min(seconds["interpreter"])) * 1000

    found = []
    for command in ("status", "history"):
        found += [
            Figure(
                topic="ledger",
                what=f"deploygate {command} with {ROLLOUT_COUNT:,} rollouts, beyond interpreter start (best)",
                value=beyond(full, command),
                unit="ms",
                at_most=200,
                note=f"of them {beyond(full, 'modules'):.0f} ms for modules of Python itself; "
                f"{spread(full[command], 'ms', 1000)}",
            ),
            Figure(
                topic="ledger",
                what=f"deploygate {command}: what {ROLLOUT_COUNT:,} rollouts add to an empty ledger",
                value=beyond(full, command) - beyond(empty, command),
                unit="ms",
                at_most=50,
                note=f"{beyond(empty, command):.0f} ms with an empty one",
            ),
        ]
    return [*found, of_store]
