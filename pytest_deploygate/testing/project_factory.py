"""Makes small projects from a few words: a function that greets, and a gate for each phase."""

from collections.abc import Mapping
from pathlib import Path

from pytest_deploygate.testing.project import FAKE, LOCAL, DeploygateProject

SETTINGS = """\
[tool.pytest.ini_options]
addopts = ["--import-mode=importlib"]

[tool.deploygate]
default-environment = "{environment}"

[tool.deploygate.gates.ready]
phase = "readiness"
paths = ["gates/ready"]

[tool.deploygate.gates.cand]
phase = "candidate"
paths = ["gates/cand"]
asks = "nothing"

[tool.deploygate.gates.live]
phase = "live"
paths = ["gates/live"]

[tool.deploygate.function]
function = "hello"
project = "local-project"
region = "us-central1"
runtime = "python312"
entry-point = "hello"
source = "function"
public = true

[tool.deploygate.environments.{environment}]
target = "{target}"
"""
HELLO = '''
    """Says hello, and which revision it is."""

    import os


    def hello(request):
        name = request.args.get("name", "world")
        return f"hello, {name}", 200, {"X-Revision": os.environ["K_REVISION"]}
'''
READY = """
    def test_it_has_a_source(deployment):
        assert deployment.function
"""
CANDIDATE = """
    def test_it_is_what_was_staged(deployment):
        assert deployment.candidate.revision
"""
LIVE = """
    def test_it_serves(deployment):
        assert deployment.live.url
"""
TARGETS = {FAKE: "pytest_deploygate.testing.target_on_disk:make", LOCAL: "local"}


class ProjectFactory:
    """Makes projects below ``folder``; :meth:`close` stops what they run."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._made: list[DeploygateProject] = []

    def __call__(
        self,
        files: Mapping[str, str] | None = None,
        *,
        environment: str = FAKE,
        settings: str = "",
        name: str = "",
    ) -> DeploygateProject:
        """A project in which nothing was deployed: a function that greets, and a gate for each phase that passes.

        Its gates are ``ready`` (readiness), ``cand`` (candidate) and ``live``, each a folder below ``gates``.

        Args:
            files: more files by their path, or other ones than those; texts are dedented, an empty text leaves one out.
            environment: ``fake``, where deployments take milliseconds and nothing runs, or ``local``, the emulator.
            settings: tables to append to ``pyproject.toml``.
            name: of the directory.
        """
        root = self._folder / (name or f"project{len(self._made) or ''}")
        project = DeploygateProject(root=root, environment=environment)
        target = TARGETS[environment]
        project.write(
            {
                "pyproject.toml": SETTINGS.format(environment=environment, target=target),
                "function/main.py": HELLO,
                "gates/ready/test_ready.py": READY,
                "gates/cand/test_cand.py": CANDIDATE,
                "gates/live/test_live.py": LIVE,
                **(files or {}),
            }
        )
        if environment == LOCAL:
            project.write({"function/requirements.txt": "functions-framework\n"})
        if settings:
            project.add_settings(settings)
        self._made.append(project)
        return project

    def close(self) -> None:
        """Stop the emulators of all projects."""
        for project in self._made:
            project.close()
