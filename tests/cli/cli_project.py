"""A small project on a fake target that lives in a file, with sessions and commands as processes of their own."""

import json
import os
import pickle
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.fakes.cloud import Cloud
from tests.fakes.target_on_disk import place
from tests.forked_sessions import Session

REPOSITORY = Path(__file__).resolve().parents[2]
LIMIT_S = 180

SETTINGS = """\
[tool.pytest.ini_options]
addopts = ["--import-mode=importlib"]

[tool.deploygate]
default-environment = "fake"
{more}

[tool.deploygate.gates.readiness]
phase = "readiness"
paths = ["suites/test_ready.py"]

[tool.deploygate.gates.health]
phase = "candidate"
paths = ["suites/test_health.py"]

[tool.deploygate.gates.live]
phase = "live"
paths = ["suites/test_live.py"]

[tool.deploygate.function]
function = "project"
entry-point = "project"
runtime = "python312"
source = "main.py"
public = true

[tool.deploygate.environments.fake]
target = "tests.fakes.target_on_disk:make"
rollback-budget-s = 2
{environment}
"""
CHECK = """\
from pathlib import Path


def test_{name}():
    said = (Path(__file__).parents[1] / "{name}.txt").read_text()
    assert said == "good", said
"""


HOLD = """\
import time
from pathlib import Path

from pytest_deploygate.cli.cli_context import CliContext
from pytest_deploygate.engine.rollout import Rollout
from pytest_deploygate.wiring import open_ports

context = CliContext(Path.cwd())
with open_ports(context.settings, context.environment("fake")) as ports:
    Rollout.open(ports, actor=context.actor, purpose="deploy")
    print("held", flush=True)
    time.sleep(300)
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """A process that has ended."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> dict[str, object]:
        """What it printed, as JSON."""
        document = json.loads(self.out)
        assert isinstance(document, dict)
        return document


@dataclass(frozen=True, slots=True)
class CliProject:
    """The project. What its gates say is in ``ready.txt``, ``health.txt`` and ``live.txt``."""

    root: Path

    @classmethod
    def build(cls, root: Path, *, more: str = "", environment: str = "") -> "CliProject":
        """A project in which nothing was deployed."""
        (root / "suites").mkdir(parents=True)
        (root / "pyproject.toml").write_text(SETTINGS.format(more=more, environment=environment))
        (root / "main.py").write_text("v1")
        project = cls(root)
        for name in ("ready", "health", "live"):
            (root / "suites" / f"test_{name}.py").write_text(CHECK.format(name=name))
            project.say(name, "good")
        return project

    def copy(self, root: Path) -> "CliProject":
        """The same project elsewhere, with its record and its cloud."""
        shutil.copytree(self.root, root, ignore=shutil.ignore_patterns("__pycache__"))
        return CliProject(root)

    def say(self, gate: str, what: str) -> None:
        """Let a gate's check say something; it passes with ``good``."""
        (self.root / f"{gate}.txt").write_text(what)

    def settings(self, *, more: str = "", environment: str = "") -> None:
        """Write other settings."""
        text = SETTINGS.format(more=more, environment=environment)
        (self.root / "pyproject.toml").write_text(text)

    def source(self, text: str) -> None:
        """Change the function."""
        (self.root / "main.py").write_text(text)

    def variables(self, **more: str) -> Mapping[str, str]:
        """Environment variables of the processes."""
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("DEPLOYGATE", "OTEL"))}
        return {**kept, "PYTHONPATH": str(REPOSITORY), "COLUMNS": "200", **more}

    def start(self, *command: str, **variables: str) -> "subprocess.Popen[str]":
        """Begin a process."""
        return subprocess.Popen(
            [sys.executable, "-m", *command],
            cwd=self.root,
            env=self.variables(**variables),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def finish(self, process: "subprocess.Popen[str]") -> Done:
        """Wait for its end."""
        out, err = process.communicate(timeout=LIMIT_S)
        return Done(status=process.returncode, out=out, err=err)

    def run(self, *arguments: str, **variables: str) -> Done:
        """``deploygate ...``."""
        return self._forked("deploygate", *arguments, **variables)

    def pytest(self, *arguments: str, **variables: str) -> Done:
        """``pytest ...``; in one process, which is faster."""
        return self._forked("pytest", "-n0", "--color=no", "-q", *arguments, **variables)

    def _forked(self, command: str, *arguments: str, **variables: str) -> Done:
        """In a forked process, unless Python itself is told how to begin."""
        if any(name.startswith("PYTHON") for name in variables):
            module = "pytest" if command == "pytest" else "pytest_deploygate.cli"
            return self.finish(self.start(module, *arguments, **variables))
        with TemporaryDirectory() as folder:
            out, errors = Path(folder, "out"), Path(folder, "errors")
            session = Session(
                command, self.root, [*arguments], self.variables(**variables), out, errors
            )
            status = session.end()
            return Done(status=status, out=session.output, err=errors.read_text(encoding="utf-8"))

    def deploy(self, source: str, *arguments: str, **variables: str) -> Done:
        """``pytest --deploy-to=fake`` of another source."""
        self.source(source)
        return self.pytest("--deploy-to=fake", "--deploy-no-watchdog", *arguments, **variables)

    def hold_lease(self) -> "subprocess.Popen[str]":
        """A process that has begun a rollout and goes on living; to be killed by the caller."""
        (self.root / "hold.py").write_text(HOLD)
        process = self.start("hold")
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        return process

    @contextmanager
    def cloud(self) -> Iterator[Cloud]:
        """The cloud, for looking and changing."""
        cloud: Cloud = pickle.loads(place(self.root).read_bytes())
        yield cloud
        place(self.root).write_bytes(pickle.dumps(cloud))

    @property
    def serving(self) -> dict[str, int]:
        """Percent by revision, seen from outside."""
        with self.cloud() as cloud:
            return {str(revision): percent for revision, percent in cloud.serving().shares}

    @property
    def log(self) -> list[dict[str, object]]:
        """Lines of the log."""
        text = (self.root / ".deploygate" / "log.jsonl").read_text(encoding="utf-8")
        return [json.loads(line) for line in text.splitlines()]

    def events(self, name: str) -> list[dict[str, object]]:
        """Lines of the log with one event."""
        return [line for line in self.log if line["event"] == name]
