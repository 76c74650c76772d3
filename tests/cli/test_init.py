"""``deploygate init``: a project that can deploy, from nothing or from what is there; nothing is overwritten."""

import json
import subprocess
import sys
import tomllib
from collections.abc import Mapping
from pathlib import Path
from textwrap import dedent

import pexpect
import pytest

from pytest_deploygate.config.settings import load
from pytest_deploygate.core.identifiers import Phase
from pytest_deploygate.targets.source_archive import make_package

DECLARED = """
import functions_framework


@functions_framework.http
def greet(request):
    return "hello"
"""
PLAIN = """
def {name}(request):
    return "hello"


def _helper(request):
    return ""


def later(request, when):
    return ""
"""


def run_init(folder: Path, *arguments: str, status: int = 0) -> "subprocess.CompletedProcess[str]":
    done = subprocess.run(
        [sys.executable, "-m", "pytest_deploygate.cli", "init", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
        stdin=subprocess.DEVNULL,
        check=False,
    )
    assert done.returncode == status, done.stdout + done.stderr
    return done


def write(folder: Path, files: Mapping[str, str]) -> None:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(dedent(text), encoding="utf-8")


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def assert_can_deploy(folder: Path, home: Path) -> None:
    """The settings are right, the source can be packed and built, pytest collects a check for each phase."""
    settings = load(folder)
    assert [gate.phase for gate in settings.policy.gates] == [
        Phase.READINESS,
        Phase.CANDIDATE,
        Phase.LIVE,
    ]
    spec = settings.environment("local").spec
    make_package(Path(spec.source), home=home, entry_point=spec.entry_point, runtime=spec.runtime)
    collected = subprocess.run(
        [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider"]
        + [path for gate in settings.policy.gates for path in gate.paths],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert collected.returncode == 0, collected.stdout + collected.stderr
    for gate in settings.policy.gates:
        assert f"{gate.paths[0]}/" in collected.stdout


def test_empty_folder_becomes_a_project_that_can_deploy(tmp_path: Path) -> None:
    folder = tmp_path / "project"
    folder.mkdir()
    done = run_init(folder, "--yes")
    assert done.stdout.rstrip().endswith("now type:  pytest --deploy-to=local")
    assert_can_deploy(folder, tmp_path)
    assert load(folder).environment("local").spec.function == "hello"
    assert ".deploygate/" in (folder / ".gitignore").read_text().splitlines()
    assert "#" in (folder / "pyproject.toml").read_text()


def test_a_web_application_is_no_function_and_init_says_so(tmp_path: Path) -> None:
    application = """\
        import flask
        app = flask.Flask(__name__)

        @app.get("/")
        def home():
            return "hello"
    """
    tests_own = "from fastapi import FastAPI\napp = FastAPI()\n"
    write(tmp_path, {"web/app.py": application, "tests/test_app.py": tests_own})
    before = (tmp_path / "web/app.py").read_bytes()
    told = run_init(tmp_path, "--yes").stdout
    assert "web/app.py is a web application, not a function, and is not deployed" in told
    assert "how-to/cloud-run.html#a-container" in told
    assert "tests/test_app.py" not in told
    assert (tmp_path / "web/app.py").read_bytes() == before


def test_a_function_beside_a_web_application_is_taken_without_a_word(tmp_path: Path) -> None:
    write(tmp_path, {"main.py": "from flask import Flask\napp = Flask('x')\n" + DECLARED})
    told = run_init(tmp_path, "--yes").stdout
    assert "found greet in main.py" in told
    assert "web application" not in told


def test_name_may_have_hyphens(tmp_path: Path) -> None:
    folder = tmp_path / "project"
    folder.mkdir()
    run_init(folder, "--yes", "--function", "greet-people")
    spec = load(folder).environment("local").spec
    assert (spec.function, spec.entry_point) == ("greet-people", "greet_people")
    assert_can_deploy(folder, tmp_path)


SHAPES: dict[str, tuple[dict[str, str], str, str, str]] = {
    "declared function": (
        {"app/main.py": DECLARED, "app/requirements.txt": "functions-framework\n"},
        "greet",
        "app",
        "pytest --deploy-to=local",
    ),
    "Flask-style function at the root": (
        {"main.py": PLAIN.format(name="answer"), "requirements.txt": "flask\n"},
        "answer",
        ".",
        "pytest --deploy-to=local",
    ),
    "src layout, by uv": (
        {
            "pyproject.toml": '[project]\nname = "shop"\nversion = "1"\ndependencies = ["rich>=13"]\n',
            "uv.lock": "version = 1\n",
            "src/shop/__init__.py": "",
            "src/shop/orders.py": "TOTAL = 1\n",
            "src/shop/web.py": "from shop.orders import TOTAL\n" + DECLARED,
        },
        "greet",
        "src",
        "uv run pytest --deploy-to=local",
    ),
    "relative imports, by Poetry": (
        {
            "pyproject.toml": """
                [tool.poetry]
                name = "shop"
                version = "1"
                [tool.poetry.dependencies]
                python = "^3.11"
                rich = "^13.2"
                click = { version = "~8.1", extras = [] }
                requests = "*"
            """,
            "shop/__init__.py": "",
            "shop/orders.py": "TOTAL = 1\n",
            "shop/main.py": "from .orders import TOTAL\n" + DECLARED,
        },
        "greet",
        ".",
        "poetry run pytest --deploy-to=local",
    ),
    "pytest.ini with other names of files": (
        {
            "pytest.ini": "[pytest]\npython_files = *_test.py\naddopts = --strict-markers\n",
            "app/main.py": DECLARED,
        },
        "greet",
        "app",
        "pytest --deploy-to=local",
    ),
    "tests that have no packages": (
        {"app/main.py": DECLARED, "tests/test_ready.py": "", "tests/test_live.py": ""},
        "greet",
        "app",
        "pytest --deploy-to=local",
    ),
    "files that look like functions, elsewhere": (
        {
            "app/main.py": DECLARED,
            "tests/main.py": DECLARED,
            "env/pyvenv.cfg": "",
            "env/lib/main.py": DECLARED,
            "broken.py": "def (:\n",
        },
        "greet",
        "app",
        "pytest --deploy-to=local",
    ),
}


@pytest.mark.parametrize("shape", SHAPES)
def test_existing_project_is_found_as_it_is(tmp_path: Path, shape: str) -> None:
    files, entry_point, source, command = SHAPES[shape]
    folder = tmp_path / "project"
    write(folder, files)
    before = contents(folder)
    done = run_init(folder, "--yes")
    spec = load(folder).environment("local").spec
    assert spec.entry_point == entry_point
    assert Path(spec.source) == (folder / source).resolve()
    assert done.stdout.rstrip().endswith(command)
    assert_can_deploy(folder, tmp_path)
    after = contents(folder)
    kept = {name for name in before if name not in ("pyproject.toml", ".gitignore")}
    assert {name: after[name] for name in kept} == {name: before[name] for name in kept}
    if "pyproject.toml" in before:
        assert after["pyproject.toml"].startswith(before["pyproject.toml"])


def test_dependencies_of_the_project_are_what_the_build_installs(tmp_path: Path) -> None:
    for shape, wanted in (
        ("src layout, by uv", ["functions-framework>=3,<4", "rich>=13"]),
        (
            "relative imports, by Poetry",
            ["functions-framework>=3,<4", "rich>=13.2,<14", "click>=8.1,<8.2", "requests"],
        ),
    ):
        folder = tmp_path / shape
        write(folder, SHAPES[shape][0])
        run_init(folder, "--yes")
        source = Path(load(folder).environment("local").spec.source)
        lines = (source / "requirements.txt").read_text().splitlines()
        assert [line for line in lines if line and not line.startswith("#")] == wanted


def test_monorepo_sets_up_the_folder_it_is_called_in(tmp_path: Path) -> None:
    write(tmp_path, {"pytest.ini": "[pytest]\ntestpaths = services\n"})
    service = tmp_path / "services" / "orders"
    write(service, {"main.py": DECLARED, "requirements.txt": ""})
    before = contents(tmp_path)
    run_init(service, "--yes")
    assert_can_deploy(service, tmp_path / "home")
    outside = {
        k: v for k, v in contents(tmp_path).items() if not k.startswith(("services", "home"))
    }
    assert outside == {k: v for k, v in before.items() if not k.startswith("services")}


def test_several_functions_need_a_name_and_the_named_one_is_taken(tmp_path: Path) -> None:
    for name in ("orders", "mails"):
        write(tmp_path, {f"{name}/main.py": DECLARED.replace("greet", name)})
    before = contents(tmp_path)
    refused = run_init(tmp_path, "--yes", status=4)
    assert (
        "error: there are several functions: mails in mails/main.py, orders in orders/main.py"
        in (refused.stderr)
    )
    assert "hint:  name one: deploygate init --function mails" in refused.stderr
    unknown = run_init(tmp_path, "--yes", "--function", "bills", status=4)
    assert "there is no bills" in unknown.stderr
    assert contents(tmp_path) == before
    run_init(tmp_path, "--yes", "--function", "orders")
    assert load(tmp_path).environment("local").spec.entry_point == "orders"


def test_nothing_is_overwritten_and_a_second_call_says_so(tmp_path: Path) -> None:
    mine = {
        "function/main.py": DECLARED,
        "gates/live/test_live_gate.py": "def test_mine(): ...\n",
        ".gitignore": "*.log\n.deploygate/",
        ".github/workflows/deploy.yml": "mine\n",
    }
    write(tmp_path, mine)
    done = run_init(tmp_path, "--yes", "--ci", "github")
    assert "kept" in done.stdout
    after = contents(tmp_path)
    for name in mine.keys() - {".gitignore"}:
        assert after[name].decode() == dedent(mine[name])
    assert after[".gitignore"].decode().splitlines() == ["*.log", ".deploygate/", "report.xml"]
    again = run_init(tmp_path, "--yes", status=4)
    assert "has a [tool.deploygate] table already" in again.stderr
    assert contents(tmp_path) == after


@pytest.mark.parametrize(
    ("before", "said"),
    [
        ("tool = { other = 1 }\n", "a [tool.deploygate] table cannot be added"),
        ("this is not TOML", "not valid TOML"),
    ],
)
def test_settings_that_cannot_be_extended_stay_as_they_are(
    tmp_path: Path, before: str, said: str
) -> None:
    write(tmp_path, {"pyproject.toml": before})
    done = run_init(tmp_path, "--yes", status=4)
    assert said in done.stderr
    assert contents(tmp_path) == {"pyproject.toml": before.encode()}


def test_lines_keep_the_ends_that_a_file_has(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_bytes(b"[project]\r\nname = 'x'\r\nversion = '1'\r\n")
    run_init(tmp_path, "--yes")
    text = (tmp_path / "pyproject.toml").read_bytes()
    assert text.count(b"\r\n") == text.count(b"\n") > 10
    tomllib.loads(text.decode())


@pytest.mark.parametrize("target", ["google", "cloud-run"])
def test_google_environment_and_workflow_are_written_on_request(
    tmp_path: Path, target: str
) -> None:
    options = ("--target", target, "--gcp-project", "my-project-123", "--ci", "github")
    run_init(tmp_path, "--yes", *options)
    spec = load(tmp_path).environment("production").spec
    assert (spec.project, spec.region, spec.public) == ("my-project-123", "us-central1", False)
    workflow = (tmp_path / ".github/workflows/deploy.yml").read_text()
    assert "pytest --deploy-to=production" in workflow
    assert "${{ vars.WORKLOAD_IDENTITY_PROVIDER }}" in workflow
    assert "<<" not in workflow


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--function", "1st"), "--function: '1st' is not the name of a function"),
        (("--target", "google"), "needs the id of a Google Cloud project"),
        (("--target", "google", "--gcp-project", "X"), "--gcp-project: 'X' is not the id"),
        (
            ("--target", "google", "--gcp-project", "my-project", "--region", "here"),
            "--region: 'here' is not a region",
        ),
    ],
)
def test_what_the_settings_would_refuse_is_refused_before_anything_is_written(
    tmp_path: Path, arguments: tuple[str, ...], said: str
) -> None:
    done = run_init(tmp_path, "--yes", *arguments, status=4)
    assert said in done.stderr
    assert "hint:" in done.stderr
    assert contents(tmp_path) == {}


def test_nobody_to_ask_is_a_usage_error_and_json_asks_nothing(tmp_path: Path) -> None:
    assert "add --yes" in run_init(tmp_path, status=4).stderr
    told = json.loads(run_init(tmp_path, "--yes", "--json").stdout)
    assert told["next_commands"] == ["pytest --deploy-to=local"]
    assert {"path": "pyproject.toml", "what": "created"} in told["files"]


def test_at_most_four_questions_are_asked_on_a_terminal(tmp_path: Path) -> None:
    terminal = pexpect.spawn(
        sys.executable,
        ["-m", "pytest_deploygate.cli", "init"],
        cwd=str(tmp_path),
        timeout=30,
        encoding="utf-8",
        dimensions=(40, 80),
    )
    for question, answer in (
        ("Name of the function", "greet"),
        ("Where to", "google"),
        ("Google Cloud project", "my-project-123"),
        ("workflow", "gitlab"),
    ):
        terminal.expect(question)
        terminal.sendline(answer)
    terminal.expect("now type:  pytest --deploy-to=local")
    terminal.expect(pexpect.EOF)
    terminal.close()
    assert terminal.exitstatus == 0
    assert load(tmp_path).environment("production").spec.function == "greet"
    assert "deploygate recover production" in (tmp_path / ".gitlab-ci.yml").read_text()
