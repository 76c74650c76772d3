"""Types the commands of docs/how-to/runbook.md on the emulator, and compares what they print with the page."""

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pexpect
import pytest

from tests.e2e.checkout import Checkout
from tests.e2e.greeting_project import small_project

pytestmark = pytest.mark.e2e

LIMIT_S = 300
RUNBOOK = Path(__file__).resolve().parents[2] / "docs" / "how-to" / "runbook.md"


@dataclass(frozen=True, slots=True, kw_only=True)
class EndedCommand:
    """A command that has ended."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> dict[str, object]:
        """What it printed."""
        document = json.loads(self.out)
        assert isinstance(document, dict)
        return document


def alike(text: str) -> str:
    """``text`` without what differs from night to night and from project to project."""
    for pattern, name in (
        (r"\bproduction\b", "local"),
        (r"[a-z-]+-\d{5}-[a-z]{3}", "REVISION"),
        (r"\d{8}-\d{6}-[0-9a-f]{6}", "ROLLOUT"),
        (r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\dZ", "MOMENT"),
        (r"\b[\d.]+ s\b", "SECONDS"),
        (r"https?://\S+", "URL"),
        (r"/\S+/state\.db", "RECORD"),
        (r"gate \w+ failed: \d+/\d+ checks", "gate NAME failed: N checks"),
        (r"; first: .*", "; first: CHECKS"),
        (r" +", " "),
    ):
        text = re.sub(pattern, name, text)
    return text.strip()


def told_in(section: str) -> Iterator[tuple[str, list[str]]]:
    """The commands that a section of the runbook shows, with the lines that they print; ``...`` stands for others."""
    text = RUNBOOK.read_text(encoding="utf-8")
    part = text.partition(f"\n## {section}\n")[2].partition("\n## ")[0]
    for block in re.findall(r"^ *```\n(.*?)^ *```$", part, re.DOTALL | re.MULTILINE):
        for shown in re.split(r"^ *\$ ", block, flags=re.MULTILINE)[1:]:
            command, *lines = shown.splitlines()
            yield alike(command), [alike(line) for line in lines if line.strip() not in ("", "...")]


class Night:
    """A project with two releases, and the person on call, who reads the runbook."""

    def __init__(self, project: Checkout) -> None:
        self.project = project
        self.seen: dict[str, list[str]] = {}

    def _see(self, command: str, text: str) -> None:
        self.seen.setdefault(alike(command), []).extend(map(alike, text.splitlines()))

    def is_as_told_in(self, section: str) -> bool:
        """Every command of the section was typed, and printed what stands there."""
        told = list(told_in(section))
        assert told, section
        for command, lines in told:
            assert command in self.seen, (command, list(self.seen))
            unseen = [line for line in lines if line not in self.seen[command]]
            assert unseen == [], (command, self.seen[command])
        return True

    def deploygate(self, *arguments: str) -> EndedCommand:
        """What the person on call types, on no terminal."""
        done = subprocess.run(
            [sys.executable, "-m", "pytest_deploygate.cli", *arguments],
            cwd=self.project.root,
            env={**os.environ, **self.project.variables},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=LIMIT_S,
            check=False,
        )
        self._see(f"deploygate {shlex.join(arguments)}", done.stdout + done.stderr)
        return EndedCommand(status=done.returncode, out=done.stdout, err=done.stderr)

    def rollback(self, reason: str, *arguments: str) -> int:
        """Typed on a terminal, with "y" as the answer; the exit status."""
        words = ["rollback", "local", *arguments, "--reason", reason]
        process = pexpect.spawn(
            sys.executable,
            ["-m", "pytest_deploygate.cli", *words],
            cwd=str(self.project.root),
            env={**os.environ, **self.project.variables, "TERM": "dumb"},
            dimensions=(50, 200),
            encoding="utf-8",
            timeout=LIMIT_S,
        )
        process.expect(r"\[y/N\]: ")
        before = str(process.before) + str(process.after)
        process.sendline("y")
        process.expect(pexpect.EOF)
        text = before + str(process.before)
        process.close()
        self._see(f'deploygate {" ".join(words[:-1])} "{reason}"', text)
        return int(process.exitstatus or 0)

    def watch(self, until: str, meanwhile: Callable[[], None]) -> list[str]:
        """``deploygate watch`` in its shortest pace until a line has ``until``; ``meanwhile`` happens after a round."""
        process = subprocess.Popen(
            [sys.executable, "-m", "pytest_deploygate.cli", "watch", "local", "--interval", "1"],
            cwd=self.project.root,
            env={**os.environ, **self.project.variables},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert process.stdout is not None
        lines = [process.stdout.readline()]
        meanwhile()
        while until not in lines[-1] and lines[-1]:
            lines.append(process.stdout.readline())
        lines.append(process.stdout.readline())
        process.terminate()
        lines += process.communicate(timeout=LIMIT_S)[0].splitlines()
        assert process.returncode == 0
        self._see("deploygate watch local", "\n".join(line.rstrip() for line in lines))
        return lines

    def deploy(self) -> tuple[int, str]:
        """``pytest --deploy-to=local``: exit status and output."""
        run = self.project.deploy("-q", "-n0")
        self._see("pytest --deploy-to=local", run.output)
        return run.status, run.output

    def release(self, text: str) -> str:
        """Deploy another version; returns the revision that serves then."""
        with (self.project.root / "function" / "main.py").open("a", encoding="utf-8") as file:
            file.write(f"\n# {text}\n")
        status, output = self.deploy()
        assert status == 0, output
        return self.project.answering()

    def goes_bad(self, revision: str) -> None:
        """From now on ``revision`` answers every request with an error."""
        done = self.deploygate("local", "inject-fault", revision, "--error-ratio", "1")
        assert done.status == 0, done.err


@pytest.fixture
def night(tmp_path: Path, build_cache: Path) -> Iterator[Night]:
    project = small_project(tmp_path / "small", build_cache)
    settings = project.root / "pyproject.toml"
    settings.write_text(settings.read_text() + "rollback-budget-s = 5\n")
    try:
        yield Night(project)
    finally:
        project.close()


@pytest.mark.full
def test_release_that_goes_bad_later_is_noticed_returned_and_replaced(night: Night) -> None:
    first, second = night.release("one"), night.release("two")
    rounds = night.watch("ROLLED_BACK", lambda: night.goes_bad(second))
    assert " KEEP JUDGED " in rounds[0]
    assert " KEEP JUDGED " in rounds[-1], "the watch goes on"
    assert night.project.answering() == first

    newest = night.deploygate("history", "local", "--json").json["rollouts"]
    assert isinstance(newest, list)
    assert (newest[0]["purpose"], newest[0]["state"]) == ("rollback-checks", "ROLLED_BACK")
    assert newest[0]["serving"] == first
    assert night.deploygate("history", "local").status == 0
    shown = night.deploygate("show", "last")
    assert "test_alive.py::test_it_answers  failed" in shown.out
    assert night.deploy()[0] == 1
    assert night.is_as_told_in("It went back by itself")

    third = night.release("the fix")
    status = night.deploygate("status", "local", "--json")
    assert status.status == 0
    assert status.json["serving"] == {third: 100}
    assert night.deploygate("watch", "local", "--once").status == 0


@pytest.mark.full
def test_person_on_call_goes_back(night: Night) -> None:
    first, second = night.release("one"), night.release("two")
    assert night.rollback("orders without prices") == 0
    assert night.project.answering() == first != second
    assert night.is_as_told_in("What serves is bad")


@pytest.mark.full
def test_lost_record_costs_no_rollback_target(night: Night) -> None:
    first, second = night.release("one"), night.release("two")
    (night.project.root / ".deploygate" / "state.db").write_bytes(b"not a database" * 100)
    night.goes_bad(second)
    assert night.deploygate("status", "local").status == 10
    assert night.rollback("500 on every request", "--emergency") == 0
    assert night.project.answering() == first

    for path in (night.project.root / ".deploygate").glob("state.db*"):
        path.unlink()
    assert night.deploygate("recover", "local").status == 0
    assert night.is_as_told_in("The record is lost")
    third = night.release("three")
    assert night.project.answering() == third, "the service itself remembers what was judged good"


@pytest.mark.full
def test_rollback_that_cannot_be_verified_is_stranded_until_a_person_looks(night: Night) -> None:
    first, second = night.release("one"), night.release("two")
    night.goes_bad(first)
    assert night.rollback("wrong greeting") == 11
    assert night.deploygate("status", "local").status == 11
    status, output = night.deploy()
    assert status == 10
    assert "is stranded" in output

    assert night.deploygate("local", "inject-fault", first, "--clear").status == 0
    assert night.deploygate("recover", "local").status == 0
    assert night.project.answering() == first != second
    assert night.deploygate("status", "local").status == 0
    assert night.is_as_told_in("A stranded rollout")


@pytest.mark.full
def test_local_commands_show_start_and_stop_the_emulator(night: Night) -> None:
    first = night.release("one")
    up = night.deploygate("local", "status", "--json").json
    assert up["is_up"] is True
    services = up["services"]
    assert isinstance(services, list)
    assert services[0]["serving"] == [f"{first} 100"]
    assert night.deploygate("local", "url").out.strip() == night.project.url
    assert night.deploygate("local", "logs", first).status == 0
    assert "there is no log of a revision" in night.deploygate("local", "logs", "nobody").err
    faults = night.deploygate("local", "faults")
    assert json.loads(faults.out) == {"faults": []}
    assert night.deploygate("local", "inject-fault", "nobody", "--kill").status == 10
    assert night.deploygate("local", "down").out == "stopped\n"
    assert night.deploygate("local", "status").status == 10
    assert night.deploygate("status", "local").status == 10
    assert night.deploygate("local", "up").status == 0
    assert night.project.answering() == first
    assert night.deploygate("status", "local").status == 0
