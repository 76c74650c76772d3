"""Mistakes that can be seen beforehand: exit 4, nothing is built, started or recorded."""

import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from pytest_deploygate import __version__
from pytest_deploygate.system.interpreters import find_interpreter
from pytest_deploygate.testing import LOCAL, DeploygateProject, ProjectFactory
from tests.loopback_server import Reply, ServerMaker
from tests.plugin.plugin_project import SUBJECT

RUNTIME = f"python3{sys.version_info.minor}"
LATER = f"python3{sys.version_info.minor + 1}"
"""The runtime after that of this interpreter."""
MAIN = "function/main.py"
NO_LIVE_GATE = ('phase = "live"', 'phase = "candidate"')


@pytest.fixture
def new(tmp_path: Path) -> DeploygateProject:
    """A project for the emulator, in which nothing was deployed."""
    project = ProjectFactory(tmp_path)(environment=LOCAL)
    project.edit("pyproject.toml", "python312", RUNTIME)
    return project


@pytest.mark.parametrize(
    ("files", "edit", "sentences"),
    [
        ({MAIN: "def hello(:\n"}, None, ["main.py:1: SyntaxError: invalid syntax: def hello(:"]),
        (
            {
                MAIN: """\
def hello(r):
    import helper
""",
                "function/helper.py": "return 1\n",
            },
            None,
            ["helper.py:1: SyntaxError: 'return' outside function"],
        ),
        (
            {
                MAIN: """\
from shop import rows
def hello(r): ...
""",
                "function/shop/__init__.py": "from . import tabs as t\n",
                "function/shop/rows.py": "",
                "function/shop/tabs.py": "x = = 1\n",
            },
            None,
            ["shop/tabs.py:1: SyntaxError: invalid syntax: x = = 1"],
        ),
        ({}, ('entry-point = "hello"', 'entry-point = "helo"'), ["main.py defines no 'helo'"]),
        ({}, ('source = "function"', 'source = "fn"'), ["/fn does not exist"]),
        ({}, (RUNTIME, "python399"), ["does not offer the runtime python399", "python312"]),
        ({}, ('target = "local"', 'target = "lokal"'), ["there is no target 'lokal'"]),
        ({}, ("gates/ready", "../gates"), ["gate ready: the path ../gates leads out of "]),
        ({}, ("gates/ready", "/etc"), ["gate ready: the path /etc leads out of "]),
        ({}, ("gates/ready", "gates/redy"), ["gate ready: the path gates/redy does not exist"]),
        ({}, NO_LIVE_GATE, ["the live phase has no gate", "[tool.deploygate.gates.NAME]"]),
        (
            {MAIN: "def hello(:\n"},
            ("gates/ready", "gates/redy"),
            ["2 things are wrong:", "main.py:1: SyntaxError", "gates/redy does not exist"],
        ),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
@pytest.mark.parametrize("way", ["deploy", "plan"])
def test_what_files_and_settings_show_is_refused_before_anything_is_started(
    new: DeploygateProject,
    way: str,
    files: Mapping[str, str],
    edit: tuple[str, str] | None,
    sentences: list[str],
) -> None:
    new.write(files)
    if edit is not None:
        new.edit("pyproject.toml", *edit)
    run = new.deploy() if way == "deploy" else new.deploygate("plan", LOCAL)
    assert run.status == 4, run.output
    for sentence in sentences:
        assert sentence in run.output
    assert "Traceback" not in run.output
    assert not (new.root / ".deploygate").exists()


def test_emulator_of_another_build_is_refused_before_anything_is_collected(
    new: DeploygateProject, http_server: ServerMaker
) -> None:
    home = new.root / ".deploygate" / "local"
    health = {"pid": os.getpid(), "home": str(home), "version": __version__, "code": "older"}
    server = http_server(lambda _: Reply(body=json.dumps(health).encode()))
    run_file = json.dumps({"pid": os.getpid(), "port": urlsplit(server.url).port})
    new.write({".deploygate/local/emulator.json": run_file})
    run = new.deploy()
    assert run.status == 4, run.output
    process = f"process {os.getpid()}"
    assert run.err.splitlines() == [
        f"ERROR: the emulator under {home} ({process}) is from a different build of version {__version__}",
        "  hint: restart it: deploygate emulator down; its functions and sheets are kept",
    ]
    assert run.out == ""


@pytest.mark.parametrize(
    "files",
    [
        {"function/template.py": "def {{ name }}(:\n"},
        {
            MAIN: """\
import os, missing
from os import path
def hello(r): "\\d"
"""
        },
    ],
    ids=["a file that nothing imports", "modules that are installed elsewhere"],
)
def test_what_does_not_belong_to_the_function_is_no_mistake(
    new: DeploygateProject, files: Mapping[str, str]
) -> None:
    new.edit("pyproject.toml", "gates/ready", "gates/redy")  # so that nothing is started
    run = new.write(files).deploy()
    assert "gates/redy does not exist" in run.output
    assert "things are wrong" not in run.output


@pytest.mark.skipif(not find_interpreter(LATER).is_exact, reason=f"there is no {LATER} here")
@pytest.mark.parametrize(
    ("main", "sentence"),
    [
        ("def hello(:\n", "main.py:1: SyntaxError: invalid syntax: def hello(:"),
        (
            """\
type Row = int
def hello(r): ...
""",
            "gates/redy does not exist",
        ),
    ],
    ids=["wrong", "right in that version"],
)
def test_syntax_of_a_later_runtime_is_judged_by_that_version(
    new: DeploygateProject, main: str, sentence: str
) -> None:
    new.edit("pyproject.toml", RUNTIME, LATER)
    new.edit("pyproject.toml", "gates/ready", "gates/redy")  # so that nothing is started
    run = new.write({MAIN: main}).deploy()
    assert run.status == 4, run.output
    assert sentence in run.output


@pytest.mark.parametrize(
    ("main", "is_refused"),
    [("  def hello(r): ...\n", True), ("type = = 1\n", False)],
    ids=["wrong in every version", "perhaps right in that version"],
)
def test_without_a_later_interpreter_what_is_wrong_in_every_version_is_seen(
    new: DeploygateProject, tmp_path: Path, main: str, is_refused: bool
) -> None:
    new.edit("pyproject.toml", RUNTIME, LATER)
    new.edit("pyproject.toml", "gates/ready", "gates/redy")  # so that nothing is started
    (new.root / MAIN).write_text(main, encoding="utf-8")
    run = new.deploy(PATH="/nowhere", HOME=str(tmp_path), PYENV_ROOT=str(tmp_path))
    assert run.status == 4, run.output
    assert "gates/redy does not exist" in run.output
    assert ("main.py:1: IndentationError" in run.output) is is_refused


CHECKS = {
    "fixture": (
        "def test_subject(candidat): ...\n",
        f"{SUBJECT}:1: test_subject: the fixture 'candidat' is not defined",
    ),
    "fixture of a fixture": (
        """\
import pytest
@pytest.fixture
def page(brwser): ...
def test_subject(page): ...
""",
        "test_subject: the fixture 'brwser' is not defined",
    ),
    "mark": (
        """\
import pytest
@pytest.mark.smok
def test_subject(): ...
""",
        "test_subject: the mark 'smok' is not registered",
    ),
    "mark of a module": (
        """\
import pytest
pytestmark = pytest.mark.smok
def test_subject(): ...
""",
        "test_subject: the mark 'smok' is not registered",
    ),
    "import": (
        """\
import nowhere
def test_subject(): ...
""",
        f"{SUBJECT} could not be collected: ModuleNotFoundError: No module named 'nowhere'",
    ),
    "syntax": ("def test_subject(:\n", f"{SUBJECT} could not be collected: SyntaxError"),
}


@pytest.mark.parametrize(
    ("workers", "text", "sentence"),
    [(0, *one) for one in CHECKS.values()] + [(1, *CHECKS["fixture"]), (1, *CHECKS["import"])],
    ids=[*CHECKS, "fixture-n1", "import-n1"],
)
def test_mistakes_of_checks_are_refused_before_anything_is_staged(
    project: DeploygateProject, workers: int, text: str, sentence: str
) -> None:
    platform = project.platform_digest()
    run = project.write({SUBJECT: text}).deploy(workers=workers)
    assert run.status == 4, run.output
    assert sentence in run.output
    assert project.platform_digest() == platform
    assert run.record is None


@pytest.mark.parametrize("text", [CHECKS["fixture"][0], CHECKS["mark"][0]])
def test_mistakes_of_live_checks_roll_nothing_back(
    project: DeploygateProject, before: str, text: str
) -> None:
    run = project.write({"gates/live/test_live.py": text}).pytest("-n0", "-m", "rollback-checks")
    assert (run.status, run.serving) == (1, before), run.output
    assert run.property("verdict") == "UNKNOWN"


def test_what_pytest_finds_by_itself_is_no_mistake(project: DeploygateProject) -> None:
    text = """
        import unittest
        import pytest

        @pytest.fixture
        def one(request, two):
            return request.param + two

        @pytest.mark.parametrize(("one", "two"), [(1, 2)], indirect=["one"])
        @pytest.mark.filterwarnings("default")
        @pytest.mark.usefixtures("tmp_path")
        @pytest.mark.slow
        def test_subject(one, two, monkeypatch):
            assert (one, two) == (3, 2)

        class TestOld(unittest.TestCase):
            def test_old(self):
                self.assertTrue(True)
    """
    project.write({"gates/cand/test_more.py": text})
    project.edit("pyproject.toml", "addopts", 'markers = ["slow(reason): takes minutes"]\naddopts')
    run = project.deploy()
    assert run.status == 0, run.output


IN_CANDIDATE = {
    "TypeError": """\
def test_subject(candidate):
    len(5)
""",
    "fixture": """
        import pytest

        @pytest.fixture
        def page():
            raise RuntimeError("no browser")

        def test_subject(page): ...
    """,
    "fixture that is looked up": """\
def test_subject(request):
    request.getfixturevalue('page')
""",
    "NameError": """\
def test_subject(candidate):
    candidat.get()
""",
}


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(text, id=name, marks=() if turn % 2 else pytest.mark.full)
        for turn, (name, text) in enumerate(IN_CANDIDATE.items())
    ],
)
def test_mistake_in_a_gate_does_not_mark_the_release_as_bad(
    project: DeploygateProject, before: str, text: str
) -> None:
    project.edit("pyproject.toml", 'asks = "nothing"', 'asks = "clients"')
    reason = "--deploy-reason=the gates ask for more now"
    broken = project.write({SUBJECT: text}).deploy(reason)
    assert (broken.status, broken.serving) == (1, before), broken.output
    assert broken.property("reason_code") == "gate_unknown"
    assert "failed in code of the gate itself; first: subject: gates/cand/test_subject.py:" in (
        broken.property("reason")
    )
    project.edit("pyproject.toml", 'asks = "clients"', 'asks = "nothing"')
    project.write(
        {
            SUBJECT: """\
def test_subject():
    assert True
"""
        }
    )
    mended = project.deploy()
    assert mended.status == 0, mended.output


@pytest.mark.parametrize(
    "text",
    [
        """\
def test_subject():
    assert False
""",
        """\
def test_subject(deployment):
    raise ConnectionRefusedError
""",
        """\
import json
def test_subject():
    json.loads('{')
""",
    ],
    ids=["assertion", "connection", "code elsewhere"],
)
def test_what_the_release_may_have_caused_marks_it_as_bad(
    project: DeploygateProject, text: str
) -> None:
    project.edit("pyproject.toml", 'asks = "nothing"', 'asks = "clients"')
    run = project.write({SUBJECT: text}).deploy()
    assert run.property("reason_code") == "gate_failed", run.output
    assert "; first: subject" in run.property("reason")
    assert "this very release was rolled back before" in project.deploy().output


@pytest.mark.parametrize(
    ("body", "verdict"),
    [("    live_.get()\n", "UNKNOWN"), ("    {}['greeting']\n", "ROLL_BACK")],
    ids=["an unknown name", "what an answer may have caused"],
)
def test_mistake_in_a_live_gate_is_unknown_only_where_no_answer_can_be_the_cause(
    project: DeploygateProject, body: str, verdict: str
) -> None:
    project.write({"gates/live/test_live.py": f"def test_live(deployment):\n{body}"})
    run = project.pytest("-n0", "--deploy-env=fake")
    assert run.property("verdict") == verdict, run.output
