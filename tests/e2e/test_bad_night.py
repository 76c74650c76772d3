"""A bad night on the local cloud, as docs/runbook.md tells it: played through with the commands that it names."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.e2e.project import Project
from tests.e2e.small import small_project

pytestmark = pytest.mark.e2e

LIMIT_S = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
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


class Night:
    """A project with two releases, and the person on call."""

    def __init__(self, project: Project) -> None:
        self.project = project

    def deploygate(self, *arguments: str) -> Command:
        """What the person on call types."""
        done = subprocess.run(
            [sys.executable, "-m", "pytest_deploygate.cli", *arguments],
            cwd=self.project.root,
            env={**os.environ, **self.project.environment},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=LIMIT_S,
            check=False,
        )
        return Command(status=done.returncode, out=done.stdout, err=done.stderr)

    def release(self, text: str, *arguments: str) -> str:
        """Deploy another version; returns the revision that serves then."""
        with (self.project.root / "function" / "main.py").open("a", encoding="utf-8") as file:
            file.write(f"\n# {text}\n")
        run = self.project.deploy("-q", "-n0", *arguments)
        assert run.status == 0, run.output
        return self.project.answering()

    def goes_bad(self, revision: str) -> None:
        """From now on ``revision`` answers every request with an error."""
        done = self.deploygate("local", "misbehave", revision, "--error-ratio", "1")
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


def test_release_that_goes_bad_later_is_noticed_returned_and_replaced(night: Night) -> None:
    first, second = night.release("one"), night.release("two")
    assert night.deploygate("watch", "local", "--once").status == 0

    night.goes_bad(second)
    watched = night.deploygate("watch", "local", "--once")
    assert watched.status == 1
    assert "ROLL_BACK ROLLED_BACK" in watched.out
    assert "gate alive failed" in watched.out
    assert night.project.answering() == first

    newest = night.deploygate("history", "local", "--json").json["rollouts"]
    assert isinstance(newest, list)
    assert (newest[0]["purpose"], newest[0]["state"]) == ("rollback-checks", "ROLLED_BACK")
    assert newest[0]["serving"] == first
    shown = night.deploygate("show", "last")
    assert "test_alive.py::test_it_answers  failed" in shown.out

    again = night.project.deploy("-q", "-n0")
    assert again.status == 1
    assert "this very release was rolled back before" in again.output

    third = night.release("the fix")
    status = night.deploygate("status", "local", "--json")
    assert status.status == 0
    assert status.json["serving"] == {third: 100}
    assert night.deploygate("watch", "local", "--once").status == 0


def test_lost_record_costs_no_way_back(night: Night) -> None:
    first, second = night.release("one"), night.release("two")
    (night.project.root / ".deploygate" / "state.db").write_bytes(b"not a database" * 100)
    night.goes_bad(second)
    looked = night.deploygate("status", "local")
    assert looked.status == 10
    assert f"{second} 100 %" in looked.out

    back = night.deploygate(
        "rollback", "local", "--emergency", "--reason", "errors everywhere", "--yes"
    )
    assert night.project.answering() == first, back.out + back.err
    assert "lost: nothing was recorded" in back.out

    for path in (night.project.root / ".deploygate").glob("state.db*"):
        path.unlink()
    assert night.deploygate("status", "local").status == 0
    third = night.release("three")
    assert night.project.answering() == third, "the service itself remembers what was judged good"


def test_rollback_that_cannot_be_verified_is_stranded_until_a_person_looks(night: Night) -> None:
    first, second = night.release("one"), night.release("two")
    night.goes_bad(first)
    stranded = night.deploygate("rollback", "local", "--reason", "wrong greeting", "--yes")
    assert stranded.status == 11
    assert "a person must look" in stranded.out
    assert night.deploygate("status", "local").status == 11
    refused = night.project.deploy("-q", "-n0")
    assert refused.status == 10
    assert "is stranded" in refused.output

    assert night.deploygate("local", "misbehave", first, "--clear").status == 0
    recovered = night.deploygate("recover", "local", "--json")
    assert recovered.status == 0, recovered.err
    assert recovered.json["serving"] == {first: 100}
    assert night.project.answering() == first
    assert night.deploygate("status", "local").status == 0
    assert second != first


def test_local_commands_show_start_and_stop_the_local_cloud(night: Night) -> None:
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
    assert night.deploygate("local", "misbehave", "nobody", "--kill").status == 10
    assert night.deploygate("local", "down").out == "stopped\n"
    assert night.deploygate("local", "status").status == 10
    assert night.deploygate("status", "local").status == 10
    assert night.deploygate("local", "up").status == 0
    assert night.project.answering() == first
    assert night.deploygate("status", "local").status == 0
