"""A small project with three gates on the fake that is kept in a file, and real runs of pytest in it."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from junitparser import JUnitXml, Properties, TestCase

from pytest_deploygate.core.identifiers import EnvironmentName
from pytest_deploygate.core.record import RolloutRecord
from pytest_deploygate.store.sql import open_store
from pytest_deploygate.system.clock import SystemClock
from tests.fakes.target_on_disk import peek, place
from tests.forked_sessions import Session

REPOSITORY = Path(__file__).parents[2]
ENVIRONMENT = EnvironmentName("fake")
DEADLINE_S = 280
"""Longest that one run may take on a machine that is busy with others."""

SETTINGS = """\
[tool.pytest.ini_options]
addopts = ["--import-mode=importlib"]

[tool.deploygate]
default-environment = "fake"

[tool.deploygate.phases]
candidate = { threshold = 0.75, budget-s = 60 }

[tool.deploygate.gates.ready]
phase = "readiness"
paths = ["gates/ready"]

[tool.deploygate.gates.cand]
phase = "candidate"
paths = ["gates/cand"]

[tool.deploygate.gates.live]
phase = "live"
paths = ["gates/live"]

[tool.deploygate.function]
function = "svc"
runtime = "python312"
entry-point = "f"
source = "source.txt"
public = true

[tool.deploygate.environments.fake]
target = "tests.fakes.target_on_disk:make"
"""
HONEST = "def test_honest():\n    assert True\n"
CHECK = "def test_lie():\n    assert True\n"
FILES = {
    "pyproject.toml": SETTINGS,
    "source.txt": "v1",
    "gates/ready/test_ready.py": HONEST,
    "gates/cand/test_honest.py": HONEST,
    "gates/cand/test_lie.py": CHECK,
    "gates/live/test_live.py": HONEST,
}
LIE = "gates/cand/test_lie.py"


@dataclass(frozen=True, kw_only=True)
class Run:
    """What one pytest left behind. ``junit`` is None where there is no readable file."""

    status: int
    output: str
    junit: JUnitXml | None
    serving: str
    record: RolloutRecord | None
    """The newest rollout of the ledger, if this run made one."""

    def said(self, name: str) -> str:
        """One ``deploygate.`` property of the suite; empty where it is not there."""
        if self.junit is None:
            return ""
        for suite in self.junit:
            for found in suite.properties():  # type: ignore[no-untyped-call]  # junitparser
                if found.name == f"deploygate.{name}":
                    return str(found.value)
        return ""

    @property
    def cases(self) -> list[TestCase]:
        """Test cases of the JUnit file, without that of the verdict."""
        return [case for suite in self.junit or () for case in suite if case.name != "verdict"]

    @property
    def verdict_case(self) -> TestCase:
        """The test case that says how the session ended."""
        [found] = [case for suite in self.junit or () for case in suite if case.name == "verdict"]
        return found

    @staticmethod
    def properties_of(case: TestCase) -> list[tuple[str, str]]:
        """Names and values of the properties of one test case."""
        groups = case.iterchildren(Properties)  # type: ignore[no-untyped-call]  # junitparser
        return [(p.name, p.value) for found in groups for p in found]

    def state_of(self, check: str) -> str:
        """What the ledger says of a check that did not pass."""
        return self.record.facts.get(f"check.{check}", "") if self.record is not None else ""


@dataclass(frozen=True, kw_only=True)
class Project:
    """A project directory."""

    root: Path
    history: list[str] = field(default_factory=list)

    def write(self, files: Mapping[str, str]) -> "Project":
        """Add or replace files; an empty text removes one."""
        for name, text in files.items():
            path = self.root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if text:
                path.write_text(text, encoding="utf-8")
            else:
                path.unlink(missing_ok=True)
        return self

    def settings(self, text: str) -> "Project":
        """Append to the settings."""
        return self.write({"pyproject.toml": SETTINGS + text})

    def command(self, *args: str, workers: int | None = 0) -> list[str]:
        """The command line of a deployment."""
        quiet = ["-p", "no:hypothesispytest", "-p", "no:anyio"]
        number = [] if workers is None else [f"-n{workers}"]
        deploy = ["--deploy-to=fake", "--deploy-no-watchdog", "--junitxml=junit.xml"]
        return [sys.executable, "-m", "pytest", *quiet, *number, *deploy, *args]

    def deploy(
        self, *args: str, workers: int | None = 0, env: Mapping[str, str] | None = None
    ) -> Run:
        """Run a deployment to its end; in a forked process, unless Python itself is told how to begin."""
        command = self.command(*args, workers=workers)
        if any(name.startswith("PYTHON") for name in env or {}):
            return self.pytest(command, env)
        arguments = command[command.index("pytest") + 1 :]
        log = self.root / "output.txt"
        session = Session("pytest", self.root, arguments, environment(env or {}), log)
        return self._left_by(session.end())

    def pytest(self, command: list[str], env: Mapping[str, str] | None = None) -> Run:
        """Run any command."""
        with self.started(command, env) as process:
            return self.ended(process)

    @contextmanager
    def started(
        self,
        command: list[str],
        env: Mapping[str, str] | None = None,
        *,
        ignore_sigint: bool = False,
    ) -> Iterator[subprocess.Popen[str]]:
        """A run in a process group of its own, killed when the block ends."""
        log = (self.root / "output.txt").open("w", encoding="utf-8")
        with log:
            process = subprocess.Popen(
                command,
                cwd=self.root,
                env=environment(env or {}),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                text=True,
                start_new_session=True,
                preexec_fn=_ignore_sigint if ignore_sigint else None,  # noqa: PLW1509 - no thread runs here
            )
            try:
                yield process
            finally:
                if process.poll() is None:
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()

    def ended(self, process: subprocess.Popen[str]) -> Run:
        """Wait for the end, and look at everything that was left behind."""
        return self._left_by(process.wait(timeout=DEADLINE_S))

    def _left_by(self, status: int) -> Run:
        record = self.last_rollout()
        is_new = record is not None and record.rollout_id not in self.history
        return Run(
            status=status,
            output=(self.root / "output.txt").read_text(encoding="utf-8"),
            junit=_junit(self.root / "junit.xml"),
            serving=self.serving(),
            record=record if is_new else None,
        )

    def serving(self) -> str:
        """The one revision that serves, seen from outside; what serves together otherwise."""
        serving = peek(self.root).serving
        return serving.sole or str(serving)

    def last_rollout(self) -> RolloutRecord | None:
        """The newest rollout of the ledger."""
        path = self.root / ".deploygate" / "state.db"
        if not path.exists():
            return None
        with open_store(f"sqlite:///{path}", SystemClock()) as store:
            assert store.lease(ENVIRONMENT) is None, "the lease was not given back"
            assert store.open_rollouts(ENVIRONMENT) == ()
            return next(iter(store.history(ENVIRONMENT, 1)), None)

    def cloud(self) -> bytes:
        """Everything that the platform knows."""
        return place(self.root).read_bytes()


def _ignore_sigint() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _junit(path: Path) -> JUnitXml | None:
    if not path.exists() or not path.read_bytes().strip():
        return None
    return JUnitXml.fromfile(str(path))


def environment(more: Mapping[str, str]) -> dict[str, str]:
    """Variables of a run: nothing of the pytest that runs the tests."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("PYTEST", "DEPLOYGATE"))}
    path = os.pathsep.join(filter(None, [str(REPOSITORY), os.environ.get("PYTHONPATH", "")]))
    return {**kept, "PYTHONPATH": path, "NO_COLOR": "1", "COLUMNS": "160", **more}


def make(root: Path) -> Project:
    """A new project whose first version was promoted."""
    project = Project(root=root).write(FILES)
    run = project.deploy()
    assert run.status == 0, run.output
    return project


def copy(baseline: Project, root: Path) -> Project:
    """The same project with a second version that waits to be deployed."""
    leave = shutil.ignore_patterns(".pytest_cache", "junit.xml", "output.txt")
    shutil.copytree(baseline.root, root, ignore=leave, dirs_exist_ok=True)
    project = Project(root=root).write({"source.txt": "v2"})
    before = project.last_rollout()
    assert before is not None
    project.history.append(before.rollout_id)
    return project
