"""Starts the process of an instance: forked where that can be, by itself otherwise (ADR 32)."""

import asyncio
import os
import sys
from asyncio.subprocess import DEVNULL
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from pytest_deploygate.core.units import Memory
from pytest_deploygate.emulator.runtime.builder import Build
from pytest_deploygate.emulator.runtime.fork_server import LAUNCHER, ForkServers
from pytest_deploygate.emulator.runtime.instance_files import InstanceFiles

CAN_FORK = sys.platform == "linux"


@dataclass(frozen=True, slots=True, kw_only=True)
class LaunchSpec:
    """What a revision needs in order to run."""

    revision: str
    """Short name."""
    build: Build | None
    """What was built; None where ``command`` stands in for an image of somebody else."""
    environment: dict[str, str]
    memory: Memory
    timeout_s: float
    log: Path
    instances: Path
    """Directory that holds the files of its instances."""
    command: tuple[str, ...] = ()
    """Program that is run on this machine in place of an image that was not built here."""
    working_directory: str = ""
    startup_path: str = ""
    """Path that must answer well before the instance takes requests."""
    secret_files: dict[str, str] = field(default_factory=dict)
    """Contents by path, below its own ``/tmp``."""


class InstanceProcess(Protocol):
    """What the runner needs of the process of an instance."""

    @property
    def pid(self) -> int:
        """Also the id of its process group."""

    @property
    def returncode(self) -> int | None:
        """None while it runs; negative for a signal."""

    async def wait(self) -> int:
        """Wait for its end; the exit status."""

    def send_signal(self, number: int, /) -> None:
        """Raises ProcessLookupError if it has ended."""


class InstanceLauncher:
    """Starts instances; :meth:`close` it when all have ended."""

    def __init__(self) -> None:
        self._fork_servers = ForkServers()

    async def launch(self, spec: LaunchSpec, files: InstanceFiles, port: int) -> InstanceProcess:
        """Start an instance that is to listen on ``port``.

        Raises:
            OSError: it cannot be started.
        """
        own = {"PORT": str(port), "HOME": str(files.home), "TMPDIR": str(files.temporary)}
        variables = spec.environment | own
        if spec.build is None:
            return await _start(list(spec.command), spec, files, variables)
        arguments = ["--host", "127.0.0.1", "--port", str(port), "--source", spec.build.source_file]
        if CAN_FORK:
            return await self._fork_servers.fork(
                spec.build.python, arguments,
                folder=files.folder, directory=files.source, environment=variables, log=spec.log,
            )  # fmt: skip
        launcher = [str(spec.build.python), str(LAUNCHER), str(os.getpid()), str(files.folder)]
        return await _start([*launcher, *arguments], spec, files, variables)

    async def close(self) -> None:
        """End what forks instances."""
        await self._fork_servers.close()


async def _start(
    command: list[str], spec: LaunchSpec, files: InstanceFiles, variables: dict[str, str]
) -> InstanceProcess:
    directory = (spec.working_directory if spec.build is None else "") or files.source
    with spec.log.open("ab") as log:
        return await asyncio.create_subprocess_exec(
            *command, cwd=directory, env=variables,
            stdin=DEVNULL, stdout=log, stderr=log, start_new_session=True,
        )  # fmt: skip
