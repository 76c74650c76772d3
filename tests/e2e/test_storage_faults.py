"""A record that cannot be used: a clear error before anything is touched, and in a rollout the baseline serves."""

import contextlib
import shutil
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pytest_deploygate.core.state_machine import State
from tests.e2e import killing_store
from tests.e2e.disturbed_project import DisturbedProject

pytestmark = pytest.mark.e2e

Damage = Callable[[Path], None]


def _overwrite(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[4096 : len(content) // 2] = b"\xa5" * (len(content) // 2 - 4096)
    path.write_bytes(content)


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2 + 100])


def _empty(path: Path) -> None:
    path.write_bytes(b"")


def _make_newer(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("update deploygate_meta set version = version + 1")
    connection.close()


def _protect(path: Path) -> None:
    path.chmod(0o400)
    path.parent.chmod(0o500)


DAMAGES: dict[str, tuple[Damage, str]] = {
    "overwritten": (_overwrite, "damaged"),
    "cut": (_cut, "damaged"),
    "empty": (_empty, "was cut off"),
    "of a newer version": (_make_newer, "newer version"),
    "read-only": (_protect, "state.db"),
}


@pytest.fixture
def whole(served: DisturbedProject, tmp_path: Path) -> Iterator[DisturbedProject]:
    """A disturbed project whose record is put back afterwards."""
    folder = served.record.parent
    kept = tmp_path / "kept.db"
    shutil.copy2(served.record, kept)
    try:
        yield served
    finally:
        folder.chmod(0o700)
        for suffix in ("", "-wal", "-shm"):
            Path(f"{served.record}{suffix}").unlink(missing_ok=True)
        shutil.copy2(kept, served.record)


@pytest.mark.parametrize(
    "damage",
    [pytest.param(one, marks=() if one == "cut" else pytest.mark.full) for one in DAMAGES],
)
def test_record_that_cannot_be_used_stops_before_anything_is_touched(
    whole: DisturbedProject, damage: str
) -> None:
    harm, says = DAMAGES[damage]
    whole.release()
    before, writes = whole.serving, _writes(whole)
    harm(whole.record)
    assert whole.deploy(UNPRIVILEGED="1") == 10, whole.output
    assert says in whole.output
    assert "hint: " in whole.output
    assert "Traceback" not in whole.output
    assert whole.serving == before
    assert _writes(whole) == writes


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of its own with room for little; without the right to mount one there is no such test."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m,mode=700", "tmpfs", str(place)]
    if subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("this user may not mount a disk")
    try:
        yield place
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True)


def test_full_disk_stops_before_anything_is_touched(
    served: DisturbedProject, small_disk: Path
) -> None:
    served.release()
    before, writes = served.serving, _writes(served)
    shutil.copy2(served.record, small_disk)
    with (small_disk / "ballast").open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while file.write(bytes(4096)):
            pass
    url = f"sqlite:///{small_disk / served.record.name}"
    assert served.deploy(DEPLOYGATE_STATE=url) == 10, served.output
    assert "the disk is full" in served.output
    assert "Traceback" not in served.output
    assert served.serving == before
    assert _writes(served) == writes


@pytest.mark.parametrize(
    "write",
    [
        pytest.param("append intent pin STAGING", marks=pytest.mark.full),
        "append observed shift PROMOTING",
        pytest.param("append moved shifted SERVING", marks=pytest.mark.full),
    ],
)
def test_disk_that_fills_up_in_a_rollout_leaves_the_baseline(
    served: DisturbedProject, write: str
) -> None:
    served.release()
    before = served.serving
    assert served.deploy(at=f"after:{write}", KILL_WITH=killing_store.FULL) == 10, served.output
    assert served.note.exists()
    assert served.serving == before
    assert served.properties()["serving_revision"] == before
    served.recover()
    assert served.is_settled()
    record = served.newest()
    assert record is not None
    assert (record.state, record.serving) == (State.ROLLED_BACK, before)


def _writes(disturbed: DisturbedProject) -> list[object]:
    """The admin calls that could change something."""
    found = disturbed.project.call_emulator("admin-log")
    assert isinstance(found, dict)
    return [call for call in found["calls"] if call["method"] != "GET"]
