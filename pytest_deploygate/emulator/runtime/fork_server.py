"""Starts instances by forking a process that has loaded the framework, in a quarter of the time of a start without.

Each environment of a build has a server of its own (:mod:`.launch` with ``--serve``). An instance owns all its memory,
so that it measures what it would have measured if it had been started alone. Linux only.
"""

import asyncio
import contextlib
import itertools
import json
import os
import signal
import socket
from asyncio.subprocess import DEVNULL, Process
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypeAlias

LAUNCHER = Path(__file__).with_name("launch.py")
_AT_START = ("GLIBC_", "LANG", "LC_", "LD_", "MALLOC_", "OPENSSL_", "PYTHON", "SSL_")
"""Beginnings of variables that are read before any code of a function runs."""
_MOST = 8
"""Servers that are kept while none of their instances runs."""
_PACKET_BYTES = 4096

Key: TypeAlias = "tuple[str, tuple[tuple[str, str], ...]]"
"""Interpreter, and the variables that it reads when it starts."""


class _ServerLost(OSError):
    """The server ended before it started the instance."""


class ForkedProcess:
    """A process that a server has forked."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self._has_ended = asyncio.Event()

    def note_end(self, status: int) -> None:
        """It has ended."""
        self.returncode = status
        self._has_ended.set()

    async def wait(self) -> int:
        """Wait for its end; the exit status."""
        await self._has_ended.wait()
        assert self.returncode is not None
        return self.returncode

    def send_signal(self, number: int, /) -> None:
        """Raises ProcessLookupError if it has ended."""
        if self.returncode is not None:
            raise ProcessLookupError
        os.kill(self.pid, number)


class ForkServers:
    """The servers of all environments, each started when it is needed first."""

    def __init__(self) -> None:
        self._servers: dict[Key, _ForkServer] = {}
        self._turn = asyncio.Lock()

    async def fork(
        self,
        python: Path,
        arguments: Sequence[str],
        *,
        folder: Path,
        directory: Path,
        environment: Mapping[str, str],
        log: Path,
    ) -> ForkedProcess:
        """Start an instance whose files are in ``folder``.

        Raises:
            OSError: neither a server nor an instance can be started.
        """
        read = sorted(one for one in environment.items() if one[0].startswith(_AT_START))
        key = (str(python), tuple(read))
        request = {
            "folder": str(folder),
            "arguments": list(arguments),
            "directory": str(directory),
            "environment": dict(environment),
            "log": str(log),
        }
        server = await self._server(key)
        try:
            return await server.fork(request)
        except _ServerLost:  # it died unnoticed since the last instance
            if self._servers.get(key) is server:
                del self._servers[key]
            return await (await self._server(key)).fork(request)

    async def _server(self, key: Key) -> "_ForkServer":
        python, read = key
        async with self._turn:
            server = self._servers.pop(key, None)
            if server is None or server.is_lost:
                server = await _ForkServer.start(python, dict(read))
            self._servers[key] = server  # the newest is the last
            await self._let_go()
        return server

    async def _let_go(self) -> None:
        for key, server in list(self._servers.items())[:-_MOST]:
            if not server.is_needed:
                del self._servers[key]
                await server.close()

    async def close(self) -> None:
        """End them all, with the instances that are left."""
        async with self._turn:
            servers, self._servers = list(self._servers.values()), {}
            await asyncio.gather(*(server.close() for server in servers))


class _ForkServer:
    def __init__(self, process: Process, channel: socket.socket) -> None:
        self._process = process
        self._channel = channel
        self._ids = itertools.count()
        self._asked: dict[int, asyncio.Future[ForkedProcess]] = {}
        self._running: dict[int, ForkedProcess] = {}
        self._listening = asyncio.create_task(self._listen())

    @classmethod
    async def start(cls, python: str, variables: Mapping[str, str]) -> "_ForkServer":
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            try:
                process = await asyncio.create_subprocess_exec(
                    python, str(LAUNCHER), "--serve", str(os.getpid()), cwd="/", env=dict(variables),
                    stdin=theirs.fileno(), stdout=DEVNULL, stderr=DEVNULL, start_new_session=True,
                )  # fmt: skip
            except BaseException:
                ours.close()
                raise
        ours.setblocking(False)
        return cls(process, ours)

    @property
    def is_lost(self) -> bool:
        return self._listening.done()

    @property
    def is_needed(self) -> bool:
        return bool(self._asked or self._running)

    async def fork(self, request: Mapping[str, object]) -> ForkedProcess:
        number = next(self._ids)
        asked: asyncio.Future[ForkedProcess] = asyncio.get_running_loop().create_future()
        self._asked[number] = asked
        packet = json.dumps({"id": number, **request}).encode()
        try:
            await asyncio.get_running_loop().sock_sendall(self._channel, packet)
        except OSError as error:
            self._asked.pop(number, None)
            if isinstance(error, ConnectionError) or self.is_lost:
                raise _ServerLost(str(error)) from error
            raise
        return await asked

    async def _listen(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            with contextlib.suppress(OSError):
                while packet := await loop.sock_recv(self._channel, _PACKET_BYTES):
                    self._take(json.loads(packet))
        finally:
            self._channel.close()
            lost, self._asked = self._asked, {}
            for asked in lost.values():
                if not asked.done():
                    asked.set_exception(_ServerLost("the process that starts instances has ended"))
            running, self._running = self._running, {}
            for instance in running.values():
                instance.note_end(-signal.SIGTERM)  # the kernel ends it with its parent

    def _take(self, told: Mapping[str, int]) -> None:
        number = told["started"] if "started" in told else told["ended"]
        asked = self._asked.pop(number, None)
        if "started" in told:
            instance = self._running[number] = ForkedProcess(told["pid"])
            if asked is None or asked.done():  # whoever asked was cancelled
                instance.send_signal(signal.SIGKILL)
            else:
                asked.set_result(instance)
        elif (ended := self._running.pop(number, None)) is not None:
            ended.note_end(told["status"])
        elif asked is not None and not asked.done():
            asked.set_exception(OSError(f"the instance ended with {told['status']}"))

    async def close(self) -> None:
        with contextlib.suppress(OSError):
            self._channel.shutdown(socket.SHUT_RDWR)
        await self._process.wait()
        await asyncio.wait([self._listening])
