"""A small project of a stranger: a function that greets, and one check for each phase."""

from pathlib import Path

from tests.e2e.checkout import Checkout

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
    "checks/source/test_source.py": """
        def test_it_has_a_name(deployment):
            assert deployment.function == "hello-world"
    """,
    "checks/greeting/test_greeting.py": """
        def test_it_greets(candidate):
            assert candidate.get("?name=Ada").text == "hello, Ada\\n"


        def test_it_is_what_was_staged(candidate, deployment):
            assert candidate.get("").revision == deployment.candidate.revision
    """,
    "checks/alive/test_alive.py": """
        def test_it_answers(live):
            assert live.get("").text == "hello, world\\n"
    """,
}


def write_small(root: Path) -> None:
    """Write the project below ``root``."""
    Checkout(root=root).write(FILES)


def small_project(root: Path, build_cache: Path, *, emulates: str = "google") -> Checkout:
    """The project at ``root``, written there; its emulator stands in for the target ``emulates``."""
    write_small(root)
    set_target(root, emulates)
    return Checkout(
        root=root, variables={"DEPLOYGATE_BUILD_CACHE": str(build_cache)}, service=SERVICE
    )


def set_target(root: Path, emulates: str) -> None:
    """Let the project's emulator stand in for that target from now on."""
    path = root / "pyproject.toml"
    others = [line for line in path.read_text().splitlines() if not line.startswith("emulates")]
    place = others.index('target = "local"')
    others.insert(place + 1, f'emulates = "{emulates}"')
    path.write_text("\n".join(others) + "\n")
