"""Registry of live watchdogs: each keeps a locked file in the state directory."""

import contextlib
import json
import os
from collections.abc import Generator
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from pytest_deploygate.system.file_lock import try_lock
from pytest_deploygate.system.private_folder import make_private_folder

FOLDER = "watchdogs"
"""Folder in the state directory with one file per watchdog, locked while it lives."""


class WatchdogEntry(NamedTuple):
    """Entry of a watchdog: its pid, the watched pid, the rollout, and the start (ISO 8601)."""

    pid: int
    watched_pid: int
    environment: str
    rollout_id: str
    since: str


def find(state_dir: Path) -> tuple[WatchdogEntry, ...]:
    """The live watchdogs of ``state_dir``."""
    notes: list[WatchdogEntry] = []
    for path in sorted((state_dir / FOLDER).glob("*.json")):
        with contextlib.suppress(FileNotFoundError), path.open("r+") as file:
            if try_lock(file):
                path.unlink(missing_ok=True)  # its watchdog was killed
            else:
                notes.append(WatchdogEntry(**json.load(file)))
    return tuple(notes)


def path_of(state_dir: Path, pid: int) -> Path:
    """The file of the watchdog with the process id ``pid``."""
    return state_dir / FOLDER / f"{pid}.json"


@contextlib.contextmanager
def register(state_dir: Path, watched: int, environment: str, rollout_id: str) -> Generator[None]:
    """Keep a locked file for :func:`find`. It gets its name only when it is locked and complete."""
    note = WatchdogEntry(
        pid=os.getpid(),
        watched_pid=watched,
        environment=environment,
        rollout_id=rollout_id,
        since=datetime.now(UTC).isoformat(timespec="seconds"),
    )
    path = path_of(state_dir, note.pid)
    make_private_folder(path.parent)
    draft = path.with_suffix(".draft")
    with draft.open("w") as file:
        try_lock(file)  # no other process uses it: the name contains our process id
        json.dump(note._asdict(), file)
        file.flush()
        draft.rename(path)
        try:
            yield
        finally:
            path.unlink(missing_ok=True)
