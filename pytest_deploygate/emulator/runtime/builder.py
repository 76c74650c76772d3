"""Builds a function: unpacks its source, and makes a virtual environment with what it requires.

Environments are cached by all that they are made from and shared between builds and restarts. One counts as
built only when its marker file exists, and is made under a lock, so that neither a kill nor a second emulator on
the same cache leaves half of one behind.
"""

import asyncio
import contextlib
import hashlib
import json
import os
import shutil
import sys
import tempfile
from collections.abc import AsyncIterator, Mapping
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import NoReturn

from pytest_deploygate.emulator.runtime.image_files import make_writable_copy, seal
from pytest_deploygate.emulator.runtime.install_plan import (
    InstallPlan,
    PlanError,
    read_install_plan,
    settings_of_pip,
)
from pytest_deploygate.emulator.runtime.source_unpacking import BadArchive, content_digest, unpack
from pytest_deploygate.system.file_lock import open_lock, try_lock
from pytest_deploygate.system.interpreters import Interpreter, find_interpreter
from pytest_deploygate.system.retry import Backoff, async_attempts

BUILD_TIMEOUT_S = 600.0
_MARKER = "deploygate-complete"
_LAYOUT = 2
"""Part of the key of an environment: one that an older version made is not as this one wants it."""
FUNCTION_SOURCE = "GOOGLE_FUNCTION_SOURCE"
"""Build variable that names the file of the function, in place of ``main.py``."""
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
    """A built function; equal digests mean equal source, runtime, entry point, variables and environment."""

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
            BuildError: bad archive, no ``main.py``, a syntax error, or requirements that cannot be installed.
        """
        interpreter = await asyncio.to_thread(find_interpreter, wanted.runtime)
        message = interpreter.describe(wanted.runtime)
        log.parent.mkdir(parents=True, exist_ok=True)
        log.write_text(f"{message}\n", encoding="utf-8")
        try:
            content = await asyncio.to_thread(content_digest, wanted.archive)
            variables = sorted(wanted.variables.items())
            parts = [content, wanted.runtime, wanted.entry_point, variables, interpreter.version]
            image = hashlib.sha256(json.dumps(parts).encode()).hexdigest()
            async with self._locks.setdefault(image, asyncio.Lock()):
                source = self._builds / image / "source"
                if not source.exists():
                    await asyncio.to_thread(unpack, wanted.archive, source)
                source_file = _source_file(source, wanted.variables)
                plan = read_install_plan(source, wanted.runtime, image)
                environment = await self._environment(source, interpreter, plan, wanted, log)
                python = str(environment / "bin" / "python")
                await _run([python, "-m", "compileall", "-q", "-f", "."], source, log)
                await asyncio.to_thread(seal, source)
        except (BadArchive, PlanError) as error:
            _fail(log, str(error))
        digest = hashlib.sha256(f"{image}\0{environment.name}".encode()).hexdigest()
        return Build(
            digest=digest, source=str(source), environment=str(environment), message=message,
            entry_point=wanted.entry_point, source_file=source_file,
        )  # fmt: skip

    async def _environment(
        self,
        source: Path,
        interpreter: Interpreter,
        plan: InstallPlan,
        wanted: BuildRequest,
        log: Path,
    ) -> Path:
        variables = {k: v for k, v in wanted.variables.items() if k != FUNCTION_SOURCE}
        key = _environment_key(plan, interpreter, variables)
        environment = self._cache / key
        async with (
            self._locks.setdefault(key, asyncio.Lock()),
            _file_lock(self._cache / f"{key}.lock"),
        ):
            if (environment / _MARKER).exists():
                _append(log, f"requirements unchanged: environment {key[:12]} used again\n")
                return environment
            await asyncio.to_thread(shutil.rmtree, environment, ignore_errors=True)
            with tempfile.TemporaryDirectory(dir=source.parent) as scratch:
                # A build may write into the source (build/, *.egg-info); the image keeps it as it was shipped.
                copy = Path(scratch) / "source"
                await asyncio.to_thread(make_writable_copy, source, copy)
                for command in _commands(interpreter, environment, plan):
                    await _run(command, copy, log, variables | {"VIRTUAL_ENV": str(environment)})
            await asyncio.to_thread(seal, environment)
            (environment / _MARKER).write_text(plan.identity, encoding="utf-8")
        return environment


def _source_file(source: Path, variables: Mapping[str, str]) -> str:
    """The file that holds the function, relative to the source.

    Raises:
        PlanError: it is not there.
    """
    name = variables.get(FUNCTION_SOURCE, "main.py")
    path = (source / name).resolve()
    if path.is_file() and path.is_relative_to(source.resolve()):
        return name
    if FUNCTION_SOURCE in variables:
        raise PlanError(f"{FUNCTION_SOURCE} names {name!r}, which is not in the source")
    raise PlanError(
        f"main.py is missing from the root of the source, and {FUNCTION_SOURCE} is not set"
    )


def _commands(interpreter: Interpreter, environment: Path, plan: InstallPlan) -> list[list[str]]:
    """All commands that make ``environment``, in their order."""
    inner = str(environment / "bin" / "python")
    has_pip = find_spec("pip") is not None
    pip = [sys.executable, "-m", "pip", "--python", inner] if has_pip else [inner, "-m", "pip"]
    flags = ["--disable-pip-version-check", "--no-input", "--progress-bar=off"]
    commands = [
        [interpreter.path, "-m", "venv", *(["--without-pip"] if has_pip else []), str(environment)]
    ]
    if plan.uses_uv:
        return commands + [["uv", *step] for step in plan.steps]
    commands += [[*pip, step[0], *flags, *step[1:]] for step in plan.steps]
    return [*commands, [*pip, "check", "--disable-pip-version-check"]]


def _environment_key(
    plan: InstallPlan, interpreter: Interpreter, variables: Mapping[str, str]
) -> str:
    parts = [
        _LAYOUT, plan.identity, plan.steps, plan.uses_uv, os.path.realpath(interpreter.path), interpreter.version,
        sorted(variables.items()), settings_of_pip(),
    ]  # fmt: skip
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:32]


@contextlib.asynccontextmanager
async def _file_lock(path: Path) -> AsyncIterator[None]:
    path.parent.mkdir(parents=True, exist_ok=True)
    with open_lock(path) as file:
        async for _ in async_attempts(Backoff(first_s=0.1, factor=1)):
            if try_lock(file):
                break
        yield


async def _run(
    command: list[str], cwd: Path, log: Path, variables: Mapping[str, str] | None = None
) -> None:
    """Run one step of a build with its output in ``log``.

    Raises:
        BuildError: it exited with anything but 0, or took longer than a build may.
    """
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PYTHON", "COV", "VIRTUAL_ENV"))
    }
    with log.open("ab") as output:
        process = await asyncio.create_subprocess_exec(
            *command, cwd=cwd, env=kept | dict(variables or {}), stdin=asyncio.subprocess.DEVNULL,
            stdout=output, stderr=output, start_new_session=True,
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
