"""The wheel in an environment with nothing else: in somebody else's project, and in this one as its README says."""

import json
import os
import shlex
import subprocess
import sys
import venv
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from pytest_deploygate.emulator.emulator_settings import BUILD_CACHE_VARIABLE
from pytest_deploygate.emulator.lifecycle import stop
from tests.e2e.checkout import REPOSITORY, copy_repository
from tests.e2e.greeting_project import FUNCTION, write_small

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("stranger")]


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An interpreter with the wheel installed, and nothing else of this checkout."""
    folder = tmp_path_factory.mktemp("stranger")
    pip = [sys.executable, "-m", "pip", "--quiet", "wheel", "--no-deps", "-w", str(folder)]
    subprocess.run([*pip, str(REPOSITORY)], check=True)
    (wheel,) = folder.glob("*.whl")
    venv.create(folder / "venv", with_pip=True)
    found = folder / "venv" / "bin" / "python"
    subprocess.run(
        [found, "-m", "pip", "--quiet", "install", "--no-compile", f"{wheel}[local]"], check=True
    )
    return found


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """Where a project and its emulator live."""
    try:
        yield tmp_path
    finally:
        stop(tmp_path / ".deploygate" / "local")


def _pytest(python: Path, project: Path, cache: Path) -> "subprocess.CompletedProcess[str]":
    hidden = {
        n: v for n, v in os.environ.items() if not n.startswith(("PYTEST", "COVERAGE", "COV_"))
    }
    return subprocess.run(
        [python, "-m", "pytest", "--deploy-to=local"],
        cwd=project,
        env={**hidden, BUILD_CACHE_VARIABLE: str(cache)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=300,
        check=False,
    )


def _url(output: str) -> str:
    (line,) = [text for text in output.splitlines() if text.startswith("url: ")]
    return line.removeprefix("url: ")


@pytest.mark.full
def test_wheel_deploys_a_strangers_function_and_keeps_it_when_a_gate_breaks(
    python: Path, folder: Path, build_cache: Path
) -> None:
    write_small(folder)
    first = _pytest(python, folder, build_cache)
    assert first.returncode == 0, first.stdout
    url = _url(first.stdout)
    assert requests.get(url, timeout=30).text == "hello, world\n"

    main = folder / "function" / "main.py"
    main.write_text(FUNCTION.replace("hello, {", "goodbye, {"), encoding="utf-8")
    second = _pytest(python, folder, build_cache)
    assert second.returncode == 1, second.stdout
    assert "ROLL_BACK: gate greeting failed: 1/2 checks passed" in second.stdout
    assert requests.get(url, timeout=30).text == "hello, world\n"


@pytest.mark.full
def test_this_project_deploys_with_what_its_readme_installs(
    python: Path, folder: Path, build_cache: Path
) -> None:
    copy_repository(folder)
    run = _pytest(python, folder, build_cache)
    assert run.returncode == 0, run.stdout
    (line,) = [text for text in run.stdout.splitlines() if text.startswith("try it: ")]
    answer = subprocess.run(
        shlex.split(line.removeprefix("try it: ")),
        cwd=folder,
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(answer.stdout)["rows_added"] == 135
