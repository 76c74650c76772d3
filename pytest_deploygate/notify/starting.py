"""Starts the process that sends notifications; returns at once. Loads nothing of what sends."""

import os
import subprocess
from pathlib import Path

from pytest_deploygate.system.own_program import own_program

SENDER = "pytest_deploygate.wiring:send_notifications"
"""What the process runs, as ``module:name``. Named, not imported, because it stands above this package."""
_SENDING: list["subprocess.Popen[bytes]"] = []
"""Kept, since nobody waits for them."""


def start_sender(root: Path) -> str:
    """Have a process of its own send what is due in the project at ``root``; what kept it from starting."""
    try:
        _SENDING.append(
            subprocess.Popen(
                [*own_program("pytest_deploygate.notify"), str(root)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                cwd="/",
                env=dict(os.environ),
                start_new_session=True,
            )
        )
    except OSError as error:
        return f"notifications: {error}"
    return ""
