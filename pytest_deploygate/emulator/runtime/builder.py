"""Builds a function: unpacks its source, and makes a virtual environment from its ``requirements.txt``.

Environments are cached by content (requirements, interpreter) and shared between builds and restarts. One counts as
built only when its marker file exists, and is made under a lock, so that neither a kill nor a second local cloud on
the same cache leaves half of one behind.
"""

import asyncio
import contextlib
import hashlib
import json
import os
import re
import shutil
import sys
from collections.abc import AsyncIterator, Mapping
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import NoReturn

from pytest_deploygate.emulator.runtime.interpreters import find_interpreter
from pytest_deploygate.emulator.runtime.source_unpacking import BadArchive, content_digest, unpack
from pytest_deploygate.system.file_lock import open_lock, try_lock
from pytest_deploygate.system.retry import Backoff, async_attempts

BUILD_TIMEOUT_S = 600.0
_MARKER = "deploygate-complete"
_FRAMEWORK = re.compile(r"^\s*functions[-_.]framework\b", re.IGNORECASE | re.MULTILINE)
_LOCAL_REQUIREMENT = re.compile(
    r"^\s*(-[rce]|--(requirement|constraint|editable)|\.|/|file:)", re.MULTILINE
)
_TAIL_CHARS = 3000


class BuildError(Exception):
    """The source cannot be built; the text is the end of the build log."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildRequest:
    """What to build: the archive, the runtime's name, the entry point and the build's environment variables."""

    archive: Path
    runtime: str
    entry_point: str
    variables: dict[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Build:
    """A built function; ``digest`` depends on nothing but source, runtime, entry point, variables and interpreter."""

    digest: str
    source: str
    environment: str
    entry_point: str
    source_file: str
    message: str
    """Which interpreter was used."""

    def to_json(self) -> dict[str, object]:
        """Its fields, as the shelf keeps them."""
        return asdict(self)

    @classmethod
    def from_json(cls, found: Mapping[str, object]) -> "Build":
        """Read what ``to_json`` gave."""
        return cls(**{name: str(found[name]) for name in cls.__slots__})

    @property
    def python(self) -> Path:
        """The interpreter of its environment."""
        return Path(self.environment) / "bin" / "python"


class Builder:
    """Builds below ``home/builds`` with environments below ``cache``."""

    def __init__(self, home: Path, cache: Path) -> None:
        self._builds = home / "builds"
        self._cache = cache
        self._locks: dict[str, asyncio.Lock] = {}

    async def build(self, wanted: BuildRequest, log: Path) -> Build:
        """Build, or find that the same was built before; the log file is written in either case.

        Raises:
            BuildFailed: bad archive, no ``main.py``, a syntax error, or requirements that cannot be installed.
        """
        interpreter = await asyncio.to_thread(find_interpreter, wanted.runtime)
        message = interpreter.describe(wanted.runtime)
        log.parent.mkdir(parents=True, exist_ok=True)
        log.write_text(f"{message}\n", encoding="utf-8")
        try:
            content = await asyncio.to_thread(content_digest, wanted.archive)
        except BadArchive as error:
            _fail(log, str(error))
        variables = sorted(wanted.variables.items())
        identity = [content, wanted.runtime, wanted.entry_point, variables, interpreter.version]
        digest = hashlib.sha256(json.dumps(identity).encode()).hexdigest()
        async with self._locks.setdefault(digest, asyncio.Lock()):
            source = self._builds / digest / "source"
            if not source.exists():
                await asyncio.to_thread(unpack, wanted.archive, source)
            environment = await self._environment(
                source, interpreter.path, interpreter.version, log
            )
            source_file = wanted.variables.get("GOOGLE_FUNCTION_SOURCE", "main.py")
            build = Build(
                digest=digest, source=str(source), environment=str(environment), message=message,
                entry_point=wanted.entry_point, source_file=source_file,
            )  # fmt: skip
            if not (source / source_file).is_file():
                _fail(log, f"{source_file} is missing from the root of the source")
            await _run([str(build.python), "-m", "compileall", "-q", "-f", "."], source, log)
        return build

    async def _environment(self, source: Path, python: str, version: str, log: Path) -> Path:
        requirements = source / "requirements.txt"
        text = (
            requirements.read_text(encoding="utf-8", errors="replace")
            if requirements.exists()
            else ""
        )
        key = _environment_key(text, source, python, version)
        environment = self._cache / key
        async with (
            self._locks.setdefault(key, asyncio.Lock()),
            _file_lock(self._cache / f"{key}.lock"),
        ):
            if (environment / _MARKER).exists():
                _append(log, f"requirements unchanged: environment {key[:12]} used again\n")
                return environment
            await asyncio.to_thread(shutil.rmtree, environment, ignore_errors=True)
            packages = ["-r", "requirements.txt"] if requirements.exists() else []
            if not _FRAMEWORK.search(text):
                packages.append("functions-framework")
            has_pip = find_spec("pip") is not None
            await _run(
                [python, "-m", "venv", *(["--without-pip"] if has_pip else []), str(environment)],
                source,
                log,
            )
            inner = str(environment / "bin" / "python")
            pip = (
                [sys.executable, "-m", "pip", "--python", inner]
                if has_pip
                else [inner, "-m", "pip"]
            )
            flags = ["--disable-pip-version-check", "--no-input", "--progress-bar=off"]
            await _run([*pip, "install", *flags, *packages], source, log)
            (environment / _MARKER).write_text(text, encoding="utf-8")
        return environment


def _environment_key(requirements: str, source: Path, python: str, version: str) -> str:
    parts = [requirements, os.path.realpath(python), version]
    if _LOCAL_REQUIREMENT.search(
        requirements
    ):  # then the source itself is part of what gets installed
        parts.append(source.parent.name)
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:32]


@contextlib.asynccontextmanager
async def _file_lock(path: Path) -> AsyncIterator[None]:
    path.parent.mkdir(parents=True, exist_ok=True)
    with open_lock(path) as file:
        async for _ in async_attempts(Backoff(first_s=0.1, factor=1)):
            if try_lock(file):
                break
        yield


async def _run(command: list[str], cwd: Path, log: Path) -> None:
    """Run one step of a build with its output in ``log``.

    Raises:
        BuildFailed: it exited with anything but 0, or took longer than a build may.
    """
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PYTHON", "COV", "VIRTUAL_ENV"))
    }
    with log.open("ab") as output:
        process = await asyncio.create_subprocess_exec(
            *command, cwd=cwd, env=kept, stdin=asyncio.subprocess.DEVNULL, stdout=output, stderr=output,
            start_new_session=True,
        )  # fmt: skip
        try:
            status = await asyncio.wait_for(process.wait(), BUILD_TIMEOUT_S)
        except TimeoutError:
            status = -1
            _append(log, f"the build took longer than {BUILD_TIMEOUT_S:.0f} s\n")
        finally:
            if process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, 9)
    if status != 0:
        raise BuildError(tail(log))


def _append(log: Path, text: str) -> None:
    with log.open("a", encoding="utf-8") as file:
        file.write(text)


def _fail(log: Path, text: str) -> NoReturn:
    _append(log, f"ERROR: {text}\n")
    raise BuildError(tail(log))


def tail(log: Path, chars: int = _TAIL_CHARS) -> str:
    """The end of a log file, at most ``chars`` characters, whole lines; empty without a file."""
    if not log.exists():
        return ""
    with log.open("rb") as file:
        file.seek(0, os.SEEK_END)
        file.seek(max(0, file.tell() - 4 * chars))
        text = file.read().decode("utf-8", errors="replace")
    if len(text) <= chars:
        return text.strip()
    return text[-chars:].partition("\n")[2].strip()
