"""A small project of a stranger: a function that greets, and one check for each phase."""

from pathlib import Path

from tests.e2e.checkout import Project

SERVICE = "local-project/locations/us-central1/services/hello-world"
SETTINGS = """
[tool.deploygate.gates.source]
phase = "readiness"
paths = ["checks/source"]

[tool.deploygate.gates.greeting]
phase = "candidate"
paths = ["checks/greeting"]

[tool.deploygate.gates.alive]
phase = "live"
paths = ["checks/alive"]

[tool.deploygate.environments.local]
target = "local"
function = "hello-world"
runtime = "python312"
entry-point = "hello"
source = "function"
public = true
verify-environment = { GREETS = "in a test" }
"""
FUNCTION = '''"""Says hello, and which revision it is."""

import os


def hello(request):
    name = request.args.get("name", "world")
    return f"hello, {name}\\n", 200, {"X-Revision": os.environ["K_REVISION"]}
'''
FILES = {
    "pyproject.toml": SETTINGS,
    "function/main.py": FUNCTION,
    "function/requirements.txt": "functions-framework\n",
    "checks/source/test_source.py": (
        "def test_it_has_a_name(deployment):\n    assert deployment.function == 'hello-world'\n"
    ),
    "checks/greeting/test_greeting.py": (
        "def test_it_greets(candidate):\n    assert candidate.get('?name=Ada').text == 'hello, Ada\\n'\n\n\n"
        "def test_it_is_what_was_staged(candidate, deployment):\n"
        "    assert candidate.get('').revision == deployment.candidate.revision\n"
    ),
    "checks/alive/test_alive.py": (
        "def test_it_answers(live):\n    assert live.get('').text == 'hello, world\\n'\n"
    ),
}


def write_small(root: Path) -> None:
    """Write the project below ``root``."""
    for name, text in FILES.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def small_project(root: Path, build_cache: Path) -> Project:
    """The project at ``root``, written there."""
    write_small(root)
    return Project(
        root=root,
        environment={"DEPLOYGATE_BUILD_CACHE": str(build_cache)},
        service_path=SERVICE,
    )
