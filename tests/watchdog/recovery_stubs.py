"""Recoveries that the tests hand to a watchdog by name."""

import os
import time
from collections.abc import Callable
from pathlib import Path

from pytest_deploygate.core.errors import LeaseHeld, TargetUnavailable


def write_file(root: Path, environment: str, rollout_id: str) -> Callable[[], str]:
    """Says when it was prepared and when it recovered, and for what."""
    (root / "prepared").touch()

    def run() -> str:
        parent = os.getppid()
        with (root / "recovered").open("a") as file:
            file.write(f"{environment} {rollout_id} orphaned={parent}\n")
        return "the baseline serves"

    return run


def fail_at_first(root: Path, environment: str, rollout_id: str) -> Callable[[], str]:
    """The first two attempts do not reach the target; each attempt prepares anew."""
    count = len(list(root.glob("attempt-*"))) + 1
    (root / f"attempt-{count}").touch()

    def run() -> str:
        if count < 3:
            raise TargetUnavailable("nobody answers")
        return write_file(root, environment, rollout_id)()

    return run


def cannot_prepare(root: Path, environment: str, rollout_id: str) -> Callable[[], str]:
    """Preparing fails as long as the parent lives, as with a target that is down at first."""
    if not (root / "recover-now").exists():
        (root / "recover-now").touch()
        raise RuntimeError("not yet")
    return write_file(root, environment, rollout_id)


def is_held(root: Path, environment: str, rollout_id: str) -> Callable[[], str]:
    """Somebody else has begun to recover the rollout."""

    def run() -> str:
        with (root / "attempts").open("a") as file:
            file.write("x")
        raise LeaseHeld("held by bob@laptop", hint="wait for it")

    return run


def is_held_until_asked(root: Path, environment: str, rollout_id: str) -> Callable[[], str]:
    """Takes until a test says so."""

    def run() -> str:
        deadline = time.monotonic() + 30
        while not (root / "end").exists() and time.monotonic() < deadline:
            time.sleep(0.01)
        return "ended"

    return run
