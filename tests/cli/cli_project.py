"""The project of these tests: what its gates say is in ``ready.txt``, ``health.txt`` and ``live.txt``."""

import sys
from dataclasses import dataclass
from pathlib import Path

from pytest_deploygate.testing import FAKE, DeploygateProject, SessionOutcome
from pytest_deploygate.testing.project_factory import TARGETS
from pytest_deploygate.testing.sessions import PipedProcess
from tests.session_options import LEAN

REPOSITORY = Path(__file__).resolve().parents[2]
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
asks = "nothing"

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
target = "{target}"
rollback-budget-s = 2
{environment}
"""
CHECK = """
    from pathlib import Path


    def test_{name}():
        said = (Path(__file__).parents[1] / "{name}.txt").read_text()
        assert said == "good", said
"""
HOLD = """
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


@dataclass(slots=True, kw_only=True)
class CliProject(DeploygateProject):
    """A project with one check a gate."""

    @classmethod
    def build(cls, root: Path, *, more: str = "", environment: str = "") -> "CliProject":
        """One in which nothing was deployed."""
        project = cls(
            root=root, options=("-n0", "-q", *LEAN), variables={"PYTHONPATH": str(REPOSITORY)}
        )
        project.write({"main.py": "v1"})
        project.write_settings(more=more, environment=environment)
        for name in ("ready", "health", "live"):
            project.write({f"suites/test_{name}.py": CHECK.format(name=name)})
            project.say(name, "good")
        return project

    def write_settings(self, *, more: str = "", environment: str = "") -> None:
        """Settings with ``more`` of the project and of its environment."""
        text = SETTINGS.format(more=more, environment=environment, target=TARGETS[FAKE])
        (self.root / "pyproject.toml").write_text(text)

    def say(self, gate: str, what: str) -> None:
        """Let a gate's check say something; it passes with ``good``."""
        (self.root / f"{gate}.txt").write_text(what)

    def release(self, source: str, *arguments: str, **variables: str) -> SessionOutcome:
        """Deploy another source."""
        self.write({"main.py": source})
        return self.pytest(*self.deploy_options(), *arguments, **variables)

    def hold_lease(self) -> PipedProcess:
        """A process that has begun a rollout and goes on living; to be killed by the caller."""
        self.write({"hold.py": HOLD})
        process = self.popen(sys.executable, "hold.py")
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        return process
