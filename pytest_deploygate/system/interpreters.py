"""Finds the Python interpreter that a runtime names: ``python312`` means Python 3.12."""

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path

RUNTIMES = ("python310", "python311", "python312", "python313", "python314")
"""Runtimes of Cloud Functions 2nd gen that the emulator accepts (Cloud Functions runtime support page)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Interpreter:
    """An interpreter on this machine, and whether it is of the version that the runtime names."""

    path: str
    version: str
    """``3.12.1``."""
    is_exact: bool

    def describe(self, runtime: str) -> str:
        """One sentence for the build log and for the operation."""
        if self.is_exact:
            return f"built with Python {self.version} for {runtime}"
        return (
            f"built with Python {self.version}, the emulator's own, because this machine has no interpreter "
            f"for {runtime}"
        )


@cache
def find_interpreter(runtime: str) -> Interpreter:
    """The interpreter for ``runtime``, or the one that runs the emulator if the machine has none."""
    match = re.fullmatch(r"python(\d)(\d+)", runtime)
    wanted = f"{match[1]}.{match[2]}" if match else ""
    own = ".".join(map(str, sys.version_info[:3]))
    if own.startswith(f"{wanted}."):
        return Interpreter(path=sys.executable, version=own, is_exact=True)
    for candidate in _candidates(wanted):
        version = _version_of(candidate)
        if version.startswith(f"{wanted}."):
            return Interpreter(path=candidate, version=version, is_exact=True)
    return Interpreter(path=sys.executable, version=own, is_exact=False)


def _candidates(wanted: str) -> list[str]:
    name = f"python{wanted}"
    found = shutil.which(name)
    pyenv = Path(os.environ.get("PYENV_ROOT", str(Path.home() / ".pyenv"))) / "versions"
    uv = Path.home() / ".local/share/uv/python"
    managed = [*pyenv.glob(f"{wanted}.*/bin/{name}"), *uv.glob(f"cpython-{wanted}.*/bin/{name}")]
    return ([found] if found else []) + [str(path) for path in sorted(managed, reverse=True)]


def _version_of(executable: str) -> str:
    # A pyenv shim exists for every version that any environment has, and fails when that version is not selected.
    code = "import platform, venv; print(platform.python_version())"
    try:
        done = subprocess.run(
            [executable, "-I", "-c", code], capture_output=True, text=True, timeout=20, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
