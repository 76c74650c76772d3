"""The tutorial, word by word: every command that it shows is typed, and what it shows is what is seen."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from pytest_deploygate.emulator.emulator_settings import BUILD_CACHE_VARIABLE
from pytest_deploygate.emulator.lifecycle import stop
from tests.e2e.checkout import REPOSITORY

pytestmark = [pytest.mark.e2e, pytest.mark.full, pytest.mark.xdist_group("stranger")]
TUTORIAL = REPOSITORY / "docs" / "tutorial" / "first-project.md"
MARK = "--- after command"
VARIES = (
    (r"(hello-\d{5})-[a-z]{3}\b", r"\1-xyz"),  # names of revisions
    (r"127\.0\.0\.1:\d+", "127.0.0.1:1"),
)
URL = r"http://127\.0\.0\.1:\d+"


class ShownCommand(NamedTuple):
    """A command of the tutorial, and the lines that it shows; ``...`` stands for any."""

    line: str
    shown: list[str]


def commands() -> list[ShownCommand]:
    found: list[ShownCommand] = []
    for block in re.findall(r"^```\n(.*?)^```$", TUTORIAL.read_text(), re.DOTALL | re.MULTILINE):
        for line in block.splitlines():
            if line.startswith("$ "):
                found.append(ShownCommand(line[2:], []))
            else:
                found[-1].shown.append(line)
    return found


def same(text: str) -> str:
    for pattern, replacement in VARIES:
        text = re.sub(pattern, replacement, text)
    return text.rstrip()


def shown_pattern(lines: list[str]) -> str:
    """A regular expression of the whole output; without lines, anything is shown."""
    if not lines:
        return ".*"
    parts = [r"(?:.*\n)?" if line == "..." else re.escape(same(line)) + r"\n" for line in lines]
    return "".join(parts)


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    project = tmp_path / "project"
    project.mkdir()
    try:
        yield project
    finally:
        stop(project / ".deploygate" / "local")


@pytest.fixture
def variables(tmp_path: Path, build_cache: Path) -> dict[str, str]:
    """The environment of a reader, whose pip takes the wheel of this checkout."""
    pip = [sys.executable, "-m", "pip", "--quiet", "wheel", "--no-deps", "-w", str(tmp_path)]
    subprocess.run([*pip, str(REPOSITORY)], check=True)
    hidden = ("PYTEST", "COVERAGE", "COV_", "VIRTUAL_ENV", "PYTHON")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(hidden)}
    path = f"{Path(sys.executable).resolve().parent}{os.pathsep}{kept['PATH']}"
    return {
        **kept,
        "PATH": path,
        "PIP_FIND_LINKS": f"{kept.get('PIP_FIND_LINKS', '')} {tmp_path}",
        BUILD_CACHE_VARIABLE: str(build_cache),
    }


def test_tutorial_does_what_it_says(folder: Path, variables: dict[str, str]) -> None:
    typed = commands()
    assert len(typed) > 10
    url, status = "", "0"
    shell = subprocess.Popen(
        ["bash"],
        cwd=folder,
        env=variables,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert shell.stdin is not None
    assert shell.stdout is not None
    with shell:
        for number, command in enumerate(typed):
            line = re.sub(URL, url, command.line)
            shell.stdin.write(
                f"(exit {status})\n{line}\nleft=$?; echo; echo '{MARK}' {number} $left\n"
            )
            shell.stdin.flush()
            output = ""
            for text in iter(shell.stdout.readline, ""):
                if text.startswith(f"{MARK} {number} "):
                    status = text.split()[-1]
                    break
                output += text
            is_looked_at = typed[number + 1 :] and typed[number + 1].line == "echo $?"
            assert status == "0" or is_looked_at, f"$ {line}\n{output}"
            url = (re.findall(rf"^url: ({URL})$", output, re.MULTILINE) or [url])[-1]
            seen = "".join(f"{same(text)}\n" for text in output.rstrip("\n").splitlines())
            assert re.fullmatch(shown_pattern(command.shown), seen, re.DOTALL), (
                f"$ {line}\n{output}\nis not what the tutorial shows:\n{command.shown}"
            )
        shell.stdin.close()
