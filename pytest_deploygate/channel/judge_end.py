"""The judge's end of the channel: a socket of this machine, one connection a process, each bound to its pid.

The kernel says which process connected, and on Linux also which process sent each piece (SO_PASSCRED), so that a copy
that a check forked cannot speak for its parent. One thread reads everything, only while the judge waits: what was
written before a message of another process is read before it, too (see :meth:`JudgeChannel.receive`).
"""

import contextlib
import os
import pickle
import resource
import selectors
import shutil
import socket
import struct
import tempfile
import time
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from pytest_deploygate.channel.messages import LONGEST_BYTES, ChannelError, Message, decode
from pytest_deploygate.channel.orders import Order

_CHUNK: Final = 1 << 16
_ROUNDS: Final = 256
"""How often it is looked for more at most before what was read is heard: a process that never stops cannot hold up."""
_EVENTS: Final = 4096
"""How many messages are read at once, about."""
_CONNECTIONS: Final = 512
"""Most processes that are heard at once; half of the files that may be open, where those are few."""
_UCRED: Final = struct.Struct("3i")
"""Process, user and group, as Linux says who sent something (unix(7))."""
_LOCAL_PEERPID: Final = 0x002
"""Option of macOS that asks for the process at the other end (sys/un.h)."""
LENGTH: Final = struct.Struct("!I")
"""What goes before each order: how many bytes it has."""


@dataclass(eq=False, slots=True)
class ProcessConnection:
    """One process at the other end. ``pid`` is what the kernel says of it."""

    number: int
    pid: int
    _socket: socket.socket
    _pending: bytearray = field(default_factory=bytearray)
    _lines: deque[bytes] = field(default_factory=deque)
    is_open: bool = True


@dataclass(frozen=True, slots=True)
class Received:
    """One message, or what was wrong with one."""

    connection: ProcessConnection
    message: Message | None
    problem: str = ""


@dataclass(frozen=True, slots=True)
class ConnectionClosed:
    """A connection has ended: the process closed it or is gone."""

    connection: ProcessConnection


class JudgeChannel:
    """Listens in a folder that only this user may enter."""

    def __init__(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="dg-", dir=_short_folder()))
        self.address = str(self._folder / "judge")
        self._selector = selectors.DefaultSelector()
        self._server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        _ask_for_credentials(self._server)
        self._server.bind(self.address)
        self._server.listen(64)
        self._server.setblocking(False)
        self._selector.register(self._server, selectors.EVENT_READ, None)
        self._events: deque[Received | ConnectionClosed] = deque()
        self._number = 0
        self._most = min(_CONNECTIONS, resource.getrlimit(resource.RLIMIT_NOFILE)[0] // 2)

    @property
    def folder(self) -> Path:
        """A folder for files of this session; gone when the channel is closed."""
        return self._folder

    def receive(
        self, timeout_s: float, *, gather_s: float = 0
    ) -> Received | ConnectionClosed | None:
        """The next event, or None when there was none within ``timeout_s`` seconds.

        Where it has to wait for one, it waits ``gather_s`` seconds more for others, so that those of fast checks are
        read together: waking up for each costs more than reading it.

        Events of one connection come in order. A process that was told of something after another one had written
        is heard after it: everything that lies ready is read, connection by connection, the oldest connection last.
        """
        deadline = time.monotonic() + timeout_s
        while not self._events:
            left_s = deadline - time.monotonic()
            ready = self._selector.select(max(left_s, 0))
            if ready:
                time.sleep(gather_s)
                self._read_all()
            if not self._events and left_s <= 0:
                return None
        return self._events.popleft()

    def next_ready(self) -> Received | ConnectionClosed | None:
        """The next event that was read already, or None."""
        return self._events.popleft() if self._events else None

    def send(self, connection: ProcessConnection, order: Order, *, timeout_s: float = 30) -> bool:
        """Send an order; whether it could be handed over (the process may be gone, or not read)."""
        data = pickle.dumps(order)
        try:
            connection._socket.settimeout(timeout_s)  # noqa: SLF001
            connection._socket.sendall(LENGTH.pack(len(data)) + data)  # noqa: SLF001
        except OSError:
            return False
        finally:
            with contextlib.suppress(OSError):
                connection._socket.setblocking(False)  # noqa: SLF001
        return True

    def close(self) -> None:
        """Close all connections and remove the folder."""
        if not self._folder.exists():
            return
        for key in list(self._selector.get_map().values()):
            assert isinstance(key.fileobj, socket.socket)
            key.fileobj.close()
        self._selector.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    # -- inside ----------------------------------------------------------------------------------

    def _read_all(self) -> None:
        """Read until nothing lies ready any more; the session, which connected first, is read last each time."""
        for _ in range(_ROUNDS):
            ready = [key.data for key, _ in self._selector.select(0)]
            if not ready or len(self._events) > _EVENTS:
                return
            if None in ready:
                self._accept()
            for connection in sorted(filter(None, ready), key=lambda c: -c.number):
                self._read(connection)

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            accepted, _ = self._server.accept()
            if len(self._selector.get_map()) > self._most:
                self._refuse(accepted)
                return
            accepted.setblocking(False)
            _ask_for_credentials(accepted)
            self._number += 1
            connection = ProcessConnection(self._number, _pid_of(accepted), accepted)
            self._selector.register(accepted, selectors.EVENT_READ, connection)

    def _refuse(self, accepted: socket.socket) -> None:
        stranger = ProcessConnection(0, _pid_of(accepted), accepted, is_open=False)
        accepted.close()
        self._events.append(Received(stranger, None, "too many processes opened the channel"))

    def _read(self, connection: ProcessConnection) -> None:
        try:
            data, ancillary, *_ = connection._socket.recvmsg(_CHUNK, socket.CMSG_SPACE(_UCRED.size))  # noqa: SLF001
        except BlockingIOError:
            return
        except OSError:
            data, ancillary = b"", []
        if not data:
            self._end(connection)
            return
        if _sender_of(ancillary, connection.pid) != connection.pid:
            self._events.append(Received(connection, None, "another process wrote to the channel"))
            return
        pending = connection._pending  # noqa: SLF001
        *lines, rest = data.split(b"\n")
        for line in lines:
            pending += line
            self._events.append(_event(connection, bytes(pending)))
            pending.clear()
        pending += rest
        if len(pending) > LONGEST_BYTES:
            self._events.append(Received(connection, None, "a message is too long"))
            self._end(connection)

    def _end(self, connection: ProcessConnection) -> None:
        if connection._pending:  # noqa: SLF001
            self._events.append(Received(connection, None, "the last message was cut"))
        connection.is_open = False
        self._selector.unregister(connection._socket)  # noqa: SLF001
        connection._socket.close()  # noqa: SLF001
        self._events.append(ConnectionClosed(connection))


def _event(connection: ProcessConnection, line: bytes) -> Received:
    try:
        return Received(connection, decode(line))
    except ChannelError as error:
        return Received(connection, None, str(error))


def _short_folder() -> str | None:
    """Where the folder of the socket is made: an address may have some hundred characters (unix(7))."""
    usual = tempfile.gettempdir()
    return "/tmp" if len(usual) > 60 and os.path.isdir("/tmp") else usual  # noqa: PTH112, S108


def _ask_for_credentials(listening: socket.socket) -> None:
    if hasattr(socket, "SO_PASSCRED"):
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)


def _pid_of(accepted: socket.socket) -> int:
    """The process that connected."""
    if hasattr(socket, "SO_PEERCRED"):
        data = accepted.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size)
        return int(_UCRED.unpack(data)[0])
    return int(accepted.getsockopt(0, _LOCAL_PEERPID))


def _sender_of(ancillary: list[tuple[int, int, bytes]], known: int) -> int:
    """The process that wrote a piece, where the system says it; else the one that connected."""
    for level, kind, data in ancillary:
        if level == socket.SOL_SOCKET and kind == getattr(socket, "SCM_CREDENTIALS", None):
            return int(_UCRED.unpack(data[: _UCRED.size])[0])
    return known
