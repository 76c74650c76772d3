"""Runs revisions: one process group each, on a loopback port of its own.

A revision that has traffic or a tag is kept running, and started again when it dies; any other is stopped some time
after its last request, and started when it is needed. Stopping waits until no request is in flight.
"""

import asyncio
import contextlib
import logging
import os
import shutil
import signal
import socket
import time
from collections.abc import Callable, Coroutine, Iterable
from pathlib import Path

from pytest_deploygate.core.units import Memory
from pytest_deploygate.emulator.emulator_settings import EmulatorSettings
from pytest_deploygate.emulator.routing.upstream import Upstream
from pytest_deploygate.emulator.runtime.builder import tail
from pytest_deploygate.emulator.runtime.instance_files import InstanceFiles, make_instance_files
from pytest_deploygate.emulator.runtime.instance_launch import (
    InstanceLauncher,
    InstanceProcess,
    LaunchSpec,
)
from pytest_deploygate.emulator.runtime.process_memory import MemoryMeter, listens
from pytest_deploygate.emulator.runtime.usage_statistics import UsageStatistics
from pytest_deploygate.emulator.storage.state import EmulatorState
from pytest_deploygate.system.process_identity import start_time
from pytest_deploygate.system.retry import Backoff, async_attempts

logger = logging.getLogger(__name__)

INSTANCES = "instances"
"""Directory below the home that holds the files of all instances."""
_POLL = Backoff(first_s=0.02, factor=1)
_SWEEP_S = 0.25
_RECENT_S = 2.0
_GRACE_S = 5.0
_BACKOFF_S = (0.0, 0.5, 1.0, 2.0, 5.0, 10.0)
_PORTS_TRIED = 5
"""A port that was free when we looked may be somebody else's when the function comes to listen on it."""


class StartError(Exception):
    """A revision did not begin to listen; the text is the end of its log, or why it could not even be tried."""


class _PortTaken(Exception):
    """Another process listens where the revision was to."""


class ImageMissing(StartError):
    """The build of the revision is gone."""


class Instance:
    """A running function process; ``in_flight`` counts the requests it is answering."""

    def __init__(
        self,
        revision: str,
        spec: LaunchSpec,
        files: InstanceFiles,
        process: InstanceProcess,
        port: int,
    ) -> None:
        self.revision = revision
        self.spec = spec
        self.files = files
        self.process = process
        self.port = port
        self.in_flight = 0
        self.used_at = time.monotonic()
        self.is_stopping = False
        self.upstream = Upstream(port)
        self.memory = MemoryMeter(process.pid, files.written_bytes)

    def acquire(self) -> None:
        """A request is about to be sent to it."""
        self.in_flight += 1

    def release(self) -> None:
        """That request is answered, or has failed."""
        self.in_flight -= 1
        self.touch()

    def touch(self) -> None:
        """Note that it is in use: then it is not idle, and its memory is measured."""
        self.used_at = time.monotonic()

    def kill(self, number: int = signal.SIGKILL) -> None:
        """Send a signal to its whole process group."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, number)


class Runner:
    """Starts, watches and stops instances, at most one a revision, by full revision name."""

    def __init__(
        self,
        state: EmulatorState,
        statistics: UsageStatistics,
        settings: EmulatorSettings,
        *,
        spec_of: Callable[[str], LaunchSpec],
        ballast_mb: Callable[[str], float],
    ) -> None:
        self._state = state
        self._statistics = statistics
        self._settings = settings
        self._spec_of = spec_of
        self._ballast_mb = ballast_mb
        self._ready: dict[str, Instance] = {}
        self._starting: dict[str, asyncio.Task[Instance]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._kept: frozenset[str] = frozenset()
        self._is_closing = False
        self._launcher = InstanceLauncher()

    def kill_leftovers(self) -> None:
        """End function processes of an emulator that was killed."""
        for name in self._state.instances.names():
            found = self._state.instances[name]
            pid, created = int(str(found["pid"])), str(found["created"])
            if created and start_time(pid) == created:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(pid, signal.SIGKILL)
            self._state.instances.delete(name)

    def begin(self) -> None:
        """Begin to watch memory and idleness."""
        self._spawn(self._sweep())

    def keep(self, revisions: Iterable[str]) -> None:
        """From now on exactly ``revisions`` are kept running; others stop when idle. Starts nothing by itself."""
        self._kept = frozenset(revisions)

    def ready(self, revision: str) -> Instance | None:
        """The instance that can take a request now, or None."""
        return self._ready.get(revision)

    def ready_instances(self) -> list[Instance]:
        """All instances that are ready."""
        return list(self._ready.values())

    async def start(self, revision: str) -> Instance:
        """The running instance of ``revision``, started if there is none.

        Raises:
            StartFailed: it does not listen; ImageMissing: it has no build any more.
        """
        if (found := self._ready.get(revision)) is not None:
            return found
        task = self._starting.get(revision)
        if task is None:
            task = asyncio.create_task(self._start(revision))
            self._starting[revision] = task
            task.add_done_callback(lambda _: self._starting.pop(revision, None))
        return await asyncio.shield(task)

    async def stop(self, revision: str) -> None:
        """Stop the instance of ``revision``, if any, after its requests in flight."""
        if (task := self._starting.get(revision)) is not None:
            await asyncio.wait([task])
        if (instance := self._ready.pop(revision, None)) is not None:
            await self._stop(instance)

    async def close(self) -> None:
        """Stop everything, requests in flight first."""
        self._is_closing = True
        for task in [*self._starting.values(), *self._tasks]:
            task.cancel()
        await asyncio.gather(*self._starting.values(), *self._tasks, return_exceptions=True)
        instances, self._ready = list(self._ready.values()), {}
        await asyncio.gather(*(self._stop(instance) for instance in instances))
        await self._launcher.close()

    def _spawn(self, coroutine: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _start(self, revision: str) -> Instance:
        spec = self._spec_of(revision)
        build = spec.build
        if build is not None and not (build.python.exists() and Path(build.source).is_dir()):
            raise ImageMissing(f"Image '{build.digest}' not found.")
        for _ in range(_PORTS_TRIED):
            files = await asyncio.to_thread(make_instance_files, spec.instances, build)
            try:
                await asyncio.to_thread(files.write_secrets, spec.secret_files)
                return await self._start_at(_free_port(), revision, spec, files)
            except BaseException as error:
                await asyncio.to_thread(files.remove)
                if not isinstance(error, _PortTaken):
                    raise
        raise StartError("other processes took every port that it was to listen on")

    async def _start_at(
        self, port: int, revision: str, spec: LaunchSpec, files: InstanceFiles
    ) -> Instance:
        spec.log.parent.mkdir(parents=True, exist_ok=True)
        try:
            process = await self._launcher.launch(spec, files, port)
        except OSError as error:
            raise StartError(f"the instance could not be started: {error}") from error
        instance = Instance(revision, spec, files, process, port)
        self._state.instances.put(
            revision, {"pid": process.pid, "created": start_time(process.pid) or ""}
        )
        try:
            await self._wait_until_listening(instance)
        except BaseException:
            instance.is_stopping = True
            instance.kill()
            await instance.upstream.close()
            await process.wait()
            self._state.instances.delete(revision)
            raise
        self._statistics.of(revision).cold_starts += 1
        self._ready[revision] = instance
        self._spawn(self._watch(instance))
        logger.info("revision.started", extra={"revision": spec.revision, "port": port})
        return instance

    async def _wait_until_listening(self, instance: Instance) -> None:
        async for _ in async_attempts(_POLL, timeout_s=self._settings.start_timeout_s):
            if instance.process.returncode is not None:
                break
            with contextlib.suppress(OSError):
                _, writer = await asyncio.open_connection("127.0.0.1", instance.port)
                writer.close()
                if not await asyncio.to_thread(listens, instance.process.pid, instance.port):
                    raise _PortTaken
                if await _is_healthy(instance):
                    return
        raise StartError(tail(instance.spec.log) or "the container did not listen in time")

    async def _watch(self, instance: Instance) -> None:
        status = await instance.process.wait()
        await instance.upstream.close()
        if self._ready.get(instance.revision) is instance:
            del self._ready[instance.revision]
        if instance.is_stopping:
            return
        instance.kill()  # workers that a dead master left behind
        await asyncio.to_thread(instance.files.remove)
        self._statistics.of(instance.revision).crashes += 1
        logger.warning("revision.died", extra={"revision": instance.spec.revision, "exit": status})
        for delay_s in _BACKOFF_S:
            if instance.revision not in self._kept or self._is_closing:
                return
            await asyncio.sleep(delay_s)
            with contextlib.suppress(StartError):
                await self.start(instance.revision)
                return

    async def _stop(self, instance: Instance) -> None:
        instance.is_stopping = True
        drain_s = _GRACE_S if self._is_closing else self._settings.drain_s
        async for _ in async_attempts(_POLL, timeout_s=drain_s):
            if not instance.in_flight or instance.process.returncode is not None:
                break
        with contextlib.suppress(ProcessLookupError):
            instance.process.send_signal(signal.SIGTERM)
        try:
            await asyncio.wait_for(instance.process.wait(), _GRACE_S)
        except TimeoutError:
            logger.warning("revision.killed", extra={"revision": instance.spec.revision})
        instance.kill()
        await instance.process.wait()
        await instance.upstream.close()
        await asyncio.to_thread(instance.files.remove)
        self._state.instances.delete(instance.revision)
        logger.info("revision.stopped", extra={"revision": instance.spec.revision})

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(_SWEEP_S)
            for instance in self.ready_instances():
                idle_s = time.monotonic() - instance.used_at
                is_busy = instance.in_flight > 0
                if (
                    not is_busy
                    and instance.revision not in self._kept
                    and idle_s > self._settings.idle_s
                ):
                    self._ready.pop(instance.revision, None)
                    self._spawn(self._stop(instance))
                elif is_busy or idle_s < _RECENT_S:
                    await self._hold_to_memory(instance)

    async def measure(self, instance: Instance) -> Memory:
        """Read the memory of ``instance`` now, note it in its statistics and give it."""
        really = await asyncio.to_thread(instance.memory.read)
        ballast = round(self._ballast_mb(instance.revision) * 10**6)
        used = Memory(size_bytes=really.size_bytes + ballast)
        self._statistics.of(instance.revision).measure_memory(used)
        return used

    async def _hold_to_memory(self, instance: Instance) -> None:
        used = await self.measure(instance)
        statistics = self._statistics.of(instance.revision)
        limit = instance.spec.memory
        if used <= limit or self._ready.get(instance.revision) is not instance:
            return
        message = f"Memory limit of {limit.mib:.0f} MiB exceeded with {used.mib:.0f} MiB used."
        statistics.note_kill(message)
        del self._ready[instance.revision]
        with instance.spec.log.open("a", encoding="utf-8") as log:
            log.write(f"{message} The instance was terminated.\n")
        logger.warning(
            "revision.memory_exceeded",
            extra={"revision": instance.spec.revision, "used_mb": used.mb},
        )
        instance.kill()


async def _is_healthy(instance: Instance) -> bool:
    """Whether the instance answers its startup probe well, if it has one."""
    path = instance.spec.startup_path
    if not path:
        return True
    reader, writer = await asyncio.open_connection("127.0.0.1", instance.port)
    try:
        writer.write(f"GET {path} HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n".encode())
        status = (await asyncio.wait_for(reader.readline(), _GRACE_S)).split()
    except (OSError, TimeoutError):
        return False
    finally:
        writer.close()
    return len(status) > 1 and status[1][:1] in {b"2", b"3"}


def _free_port() -> int:
    with contextlib.closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def clean_path() -> str:
    """``PATH`` for functions: the system's directories and nothing of the caller's environment."""
    found = shutil.which("sh") or "/bin/sh"
    return os.pathsep.join(
        dict.fromkeys(["/usr/local/bin", "/usr/bin", "/bin", str(Path(found).parent)])
    )
