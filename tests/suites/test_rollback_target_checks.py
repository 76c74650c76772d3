"""The readiness checks of the rollback target: each thing that can be wrong with it is refused, by name."""

import hashlib
import zipfile
from pathlib import Path

import pytest

from pytest_deploygate.checks.deployment import Deployment, Previous
from pytest_deploygate.core.identifiers import Phase
from suites.readiness import test_rollback_target as checks
from tests.suites.invoice_function import FUNCTION


@pytest.fixture
def backup(tmp_path: Path) -> Path:
    """A backup as the platform hands it out."""
    path = tmp_path / "backup.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for name in ("main.py", "requirements.txt"):
            archive.write(FUNCTION / name, name)
    return path


def digest_of(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def judge(previous: Previous, folder: Path) -> dict[str, object]:
    """Run both checks; what they told the JUnit file."""
    told: dict[str, object] = {}
    checks.test_what_serves_can_serve_again(previous, told.__setitem__)
    checks.test_backup_of_what_serves_can_be_deployed_again(previous, told.__setitem__, folder)
    return told


def test_revision_with_a_whole_backup_holds(backup: Path, tmp_path: Path) -> None:
    previous = Previous(revision="f-1", is_ready=True, backup=str(backup), sha256=digest_of(backup))
    assert judge(previous, tmp_path / "out") == {"rollback_target": "f-1", "backup": "backup"}


def test_what_cannot_be_backed_up_is_said(tmp_path: Path) -> None:
    first = judge(Previous(), tmp_path)
    assert first == {
        "rollback_target": "first release: delete the candidate",
        "backup": "first release: none",
    }
    alone = judge(Previous(revision="f-1", is_ready=True), tmp_path)
    assert alone == {"rollback_target": "f-1", "backup": "settings alone"}


@pytest.mark.parametrize(
    ("previous", "sentence"),
    [
        (Previous(revision="f-1"), "revision f-1 is not ready"),
        (Previous(problem="traffic is split: a=50, b=50"), "traffic is split: a=50, b=50"),
        (Previous(revision="f-1", is_ready=True, problem="403"), "there is no backup: 403"),
    ],
)
def test_revision_that_cannot_serve_is_refused(
    previous: Previous, sentence: str, tmp_path: Path
) -> None:
    with pytest.raises(AssertionError, match=sentence):
        judge(previous, tmp_path)


@pytest.mark.parametrize(
    ("damage", "error"),
    [
        ("changed", AssertionError),
        ("gone", FileNotFoundError),
        ("no archive", zipfile.BadZipFile),
        ("no entry point", AssertionError),
    ],
)
def test_damaged_backup_is_refused(
    backup: Path, tmp_path: Path, damage: str, error: type[Exception]
) -> None:
    known = digest_of(backup)
    match damage:
        case "changed":
            backup.write_bytes(backup.read_bytes() + b"x")
        case "gone":
            backup.unlink()
        case "no archive":
            backup.write_bytes(b"not a zip")
            known = digest_of(backup)
        case _:
            with zipfile.ZipFile(backup, "w") as archive:
                archive.writestr("main.py", "def other(request): ...")
                archive.writestr("requirements.txt", "flask==3.1.0")
            known = digest_of(backup)
    previous = Previous(revision="f-1", is_ready=True, backup=str(backup), sha256=known)
    with pytest.raises(error):
        judge(previous, tmp_path / "out")


def test_nobody_having_asked_is_no_pass() -> None:
    unknown = Deployment(environment="local", phase=Phase.READINESS, function="f")
    with pytest.raises(pytest.skip.Exception, match="nobody asked"):
        checks.found(unknown)
