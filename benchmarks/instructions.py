"""Instructions that the plugin adds to pytest, counted with valgrind over two sizes of a suite.

The difference of the sizes is what a test costs; what is left of the smaller one is start-up. Each process is counted
by itself: the one that decides, the session, the worker of ``-n 1``. Garbage is collected on neither side: full
collections come in steps, at times of their own, and one more or less would be taken for the cost of a test.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from benchmarks.figures import Figure
from pytest_deploygate.testing import DeploygateProject
from tests.plugin import plugin_project

SMALL, LARGE = 40, 440
IDLE_RATIO, ACTIVE_RATIO = 1.005, 1.10
PYTEST = [
    sys.executable,
    *("-m", "pytest", "-q", "-p", "no:cacheprovider"),
    # what only the tests of this repository bring along
    *("-p", "no:hypothesispytest", "-p", "no:anyio", "-p", "no:rerunfailures"),
]
REASON = "--deploy-reason=a longer budget than the first release had"
BARE = ("-p", "no:deploygate")
NO_COLLECTOR = ("-p", "benchmarks.no_collector")
JUNIT = "--junitxml=junit.xml"
JUDGE, SESSION, WORKER, WORKERS = "judge", "session", "worker", "all workers"
ROLES = {"start_module": JUDGE, "exec(eval(sys.stdin": WORKER, "-m pytest": SESSION}
"""Processes by what their command line has in it."""
_TOLD = re.compile(r"==(\d+)== (?:Command: (.*)|I\s+refs:\s+([\d,]+))")


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """Instructions of a session."""

    start: float
    per_test: float


def _environment() -> dict[str, str]:
    kept = plugin_project.session_variables(PYTHONHASHSEED="0")
    kept.pop("PYTHONDONTWRITEBYTECODE", None)  # with it pytest rewrites all modules in each run
    return kept


def _suite(folder: Path, count: int) -> None:
    """``count`` trivial tests, 20 a file."""
    folder.mkdir(parents=True, exist_ok=True)
    for first in range(0, count, 20):
        tests = "\n\n".join(
            f"def test_{n}():\n    assert {n} >= 0\n" for n in range(first, min(first + 20, count))
        )
        (folder / f"test_many_{first}.py").write_text(tests, encoding="utf-8")


def count_by_role(command: list[str], root: Path) -> dict[str, int]:
    """Instructions of one run of ``command`` in ``root``, which must pass, by process.

    Each phase has a worker of its own: ``worker`` is the one that did most, ``all workers`` the sum.
    """
    tool = ["valgrind", "--tool=cachegrind", "--cache-sim=no", "--cachegrind-out-file=/dev/null"]
    tool.append("--trace-children=yes")
    run = subprocess.run(
        [*tool, *command],
        cwd=root,
        env=_environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    words: dict[str, str] = {}
    counted: Counter[str] = Counter()
    for pid, line, number in _TOLD.findall(run.stderr):
        if line:
            words[pid] = line
        else:
            role = next(role for text, role in ROLES.items() if text in words[pid])
            instructions = int(number.replace(",", ""))
            counted[role] = max(counted[role], instructions)
            if role == WORKER:
                counted[WORKERS] += instructions
    if run.returncode != 0 or not counted:
        raise RuntimeError(f"{command} ended with {run.returncode}:\n{run.stdout}\n{run.stderr}")
    return counted


def count(command: list[str], root: Path) -> int:
    """Instructions of a pytest that starts no other process."""
    return count_by_role(command, root)[SESSION]


def _cost(small: float, large: float) -> Cost:
    per_test = (large - small) / (LARGE - SMALL)
    return Cost(start=small - SMALL * per_test, per_test=per_test)


def _idle(root: Path, *more: str) -> Cost:
    counted = []
    for number in (SMALL, LARGE):
        place = root / str(number)
        command = [*PYTEST, *more, "tests"]
        subprocess.run(
            command, cwd=place, env=_environment(), check=True, stdout=subprocess.DEVNULL
        )
        counted.append(count(command, place))
    return _cost(counted[0], counted[1])


def idle_figures() -> list[Figure]:
    """The plugin in a project that does not use it, against pytest without it."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        for number in (SMALL, LARGE):
            _suite(root / str(number) / "tests", number)
            (root / str(number) / "pyproject.toml").write_text("[tool.pytest.ini_options]\n")
        bare, idle = _idle(root, *BARE), _idle(root)
    added = idle.start - bare.start
    return [
        Figure(
            topic="idle plugin",
            what="start-up over pytest without it (instructions)",
            value=idle.start / bare.start,
            at_most=IDLE_RATIO,
            note=f"{bare.start / 1e6:.1f} M without, {added / 1e6:+.1f} M",
        ),
        Figure(
            topic="idle plugin",
            what="per test over pytest without it (instructions)",
            value=round(idle.per_test / bare.per_test, 4),
            at_most=1.001,
            note=f"{bare.per_test / 1e3:.0f} k without, {(idle.per_test - bare.per_test) / 1e3:+.1f} k",
        ),
    ]


def _deploying(
    baseline: DeploygateProject, root: Path, number: int, workers: int, *more: str
) -> dict[str, int]:
    """Instructions of a whole deployment of a changed source."""
    project = plugin_project.copy_project(baseline, root)
    _suite(project.root / "gates" / "cand", number)
    options = ["--deploy-to=fake", "--deploy-no-watchdog", f"-n{workers}", REASON]
    collect = [*PYTEST, *BARE, "--collect-only", "gates"]  # so that no test module is rewritten
    subprocess.run(
        collect, cwd=project.root, env=_environment(), check=True, stdout=subprocess.DEVNULL
    )
    return count_by_role([*PYTEST, *NO_COLLECTOR, *options, *more], project.root)


def _bare(
    baseline: DeploygateProject, root: Path, number: int, workers: int, *more: str
) -> dict[str, int]:
    """Instructions of pytest alone on the same checks."""
    shutil.copytree(baseline.root, root)
    _suite(root / "gates" / "cand", number)
    command = [*PYTEST, *NO_COLLECTOR, *BARE, f"-n{workers}", "gates", *more]
    subprocess.run(command, cwd=root, env=_environment(), check=True, stdout=subprocess.DEVNULL)
    return count_by_role(command, root)


def _compile(baseline: DeploygateProject, root: Path) -> None:
    """Deploy once, so that no module has to be compiled while instructions are counted."""
    project = plugin_project.copy_project(baseline, root)
    _suite(project.root / "gates" / "cand", 1)
    subprocess.run(
        [*PYTEST, "--deploy-to=fake", "-n1", REASON],
        cwd=project.root,
        env=_environment(),
        check=True,
        stdout=subprocess.DEVNULL,
    )


def _active(
    baseline: DeploygateProject, root: Path, workers: int, *more: str
) -> tuple[dict[str, Cost], dict[str, Cost]]:
    name = f"{workers}{len(more)}"
    bare = [_bare(baseline, root / f"b{name}-{n}", n, workers, *more) for n in (SMALL, LARGE)]
    active = [
        _deploying(baseline, root / f"a{name}-{n}", n, workers, *more) for n in (SMALL, LARGE)
    ]
    return _costs(*bare), _costs(*active)


def _costs(small: dict[str, int], large: dict[str, int]) -> dict[str, Cost]:
    return {role: _cost(small[role], large[role]) for role in small}


def _active_figures(
    baseline: DeploygateProject, root: Path, workers: int, role: str, *more: str
) -> list[Figure]:
    bare, active = _active(baseline, root, workers, *more)
    added = active[role].per_test - bare[role].per_test
    start = active[SESSION].start - bare[SESSION].start
    where = " ".join([f"{role} of -n {workers}", *(option.partition("=")[0] for option in more)])
    others = f"{active[JUDGE].per_test / 1e3:.1f} k in the process that decides"
    if workers:
        others += (
            f", {active[WORKERS].per_test / 1e3:.0f} k in all workers: each phase collects anew"
        )
    return [
        Figure(
            topic="active session",
            what=f"per test over bare pytest, {where} (instructions)",
            value=active[role].per_test / bare[role].per_test,
            at_most=ACTIVE_RATIO,
            note=f"{bare[role].per_test / 1e3:.0f} k bare, {added / 1e3:+.1f} k; {others}",
        ),
        Figure(
            topic="active session",
            what=f"start-up with a whole rollout, {where}",
            value=(start + active[JUDGE].start) / 1e6,
            unit="M instructions more",
            note=f"{active[JUDGE].start / 1e6:.0f} M of them in the process that decides",
        ),
    ]


def active_figures() -> list[Figure]:
    """A whole deployment to a target kept in a file, against pytest alone on the same checks."""
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    settings = plugin_project.SETTINGS.replace("budget-s = 60", "budget-s = 3000")
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        baseline = plugin_project.make_baseline(root / "baseline").write(
            {"pyproject.toml": settings}
        )
        _compile(baseline, root / "compile")
        return [
            *_active_figures(baseline, root, 0, SESSION),
            *_active_figures(baseline, root, 0, SESSION, JUNIT),
            *_active_figures(baseline, root, 1, WORKER),
        ]
