"""A small HTTP/1.1 client for the functions, on asyncio streams.

The router spends most of its time in its client; this one costs about a third of a general one, as it speaks to one
kind of server only (functions-framework on loopback) and does nothing but pass on. Connections are kept for a second:
the server closes them after two, and one that is reused at that moment loses a request.
"""

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable

KEEP_S = 1.0
_HEAD_LIMIT = 256 * 1024
_CHUNK = 64 * 1024
_REPEATABLE = frozenset({"GET", "HEAD", "OPTIONS"})
"""Methods that may be sent again on a new connection when a kept one turns out to be closed (RFC 9110 9.2.2)."""


class UpstreamError(Exception):
    """The function's server closed the connection, or does not speak HTTP."""


class _Closed(UpstreamError):
    """The connection was closed before a byte of the answer came."""


class UpstreamResponse:
    """Head of an answer; its body is read once, whole or in pieces, and then the connection goes back."""

    def __init__(
        self,
        pool: "Upstream",
        connection: "_Connection",
        status: int,
        reason: str,
        headers: list[tuple[str, str]],
    ) -> None:
        self.status = status
        self.reason = reason
        self.headers = headers
        self._pool = pool
        self._connection = connection
        lower = {name.lower(): value for name, value in headers}
        self._is_chunked = lower.get("transfer-encoding", "").lower().endswith("chunked")
        length = lower.get("content-length")
        self.length = (
            int(length)
            if length is not None and length.isdigit() and not self._is_chunked
            else None
        )
        self.keeps = lower.get("connection", "").lower() != "close" and (
            self._is_chunked or length is not None
        )

    async def read(self) -> bytes:
        """The whole body."""
        return b"".join([piece async for piece in self.pieces()])

    async def pieces(self) -> AsyncIterator[bytes]:
        """The body as it comes.

        Raises:
            UpstreamError: it ended too early.
        """
        reader = self._connection.reader
        try:
            if self._is_chunked:
                while size := int((await reader.readline()).partition(b";")[0], 16):
                    yield await reader.readexactly(size)
                    await reader.readexactly(2)
                while await reader.readline() not in {b"\r\n", b""}:
                    pass  # trailers
            elif self.length is not None:
                left = self.length
                while left:
                    piece = await reader.read(min(left, _CHUNK))
                    if not piece:
                        raise UpstreamError("the answer ended too early")
                    left -= len(piece)
                    yield piece
            else:
                while piece := await reader.read(_CHUNK):
                    yield piece
        except (OSError, EOFError, ValueError) as error:
            raise UpstreamError(f"the answer broke off: {error}") from error
        self._pool.take_back(self._connection, keep=self.keeps)

    def abandon(self) -> None:
        """Close the connection without reading the rest; does nothing if all was read."""
        self._connection.drop_unless_free()


class _Connection:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.freed_at: float | None = None
        self.is_fresh = True

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self.writer.close()

    def drop_unless_free(self) -> None:
        if self.freed_at is None:
            self.close()

    def is_usable(self, now: float) -> bool:
        kept_s = now - (self.freed_at or 0.0)
        return kept_s < KEEP_S and not self.writer.is_closing() and not self.reader.at_eof()


class Upstream:
    """Connections to the function server on ``port`` of loopback; ``clock`` tells how long one was idle."""

    def __init__(self, port: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._port = port
        self._clock = clock
        self._free: deque[_Connection] = deque()

    async def request(
        self, method: str, target: str, headers: Iterable[tuple[str, str]], body: bytes | None
    ) -> UpstreamResponse:
        """Send one request and wait for the head of its answer; a POST is never sent twice.

        Args:
            method: of the request.
            target: path and query exactly as they go over the wire.
            headers: without ``Content-Length``, ``Connection`` and ``Transfer-Encoding``.
            body: None for a request without one.

        Raises:
            UpstreamError: no connection, or no valid answer.
        """
        lines = [f"{method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in headers)]
        if body is not None:
            lines.append(f"Content-Length: {len(body)}")
        head = "\r\n".join([*lines, "\r\n"]).encode("utf-8", "surrogateescape")
        data = head + body if body else head
        connection = await self._connection()
        try:
            return await self._exchange(connection, method, data)
        except _Closed:
            if connection.is_fresh or method not in _REPEATABLE:
                raise
            return await self._exchange(await self._open(), method, data)

    async def _exchange(
        self, connection: _Connection, method: str, data: bytes
    ) -> UpstreamResponse:
        try:
            connection.writer.write(data)
            if len(data) > _CHUNK:
                await connection.writer.drain()
            while True:
                head = await connection.reader.readuntil(b"\r\n\r\n")
                status, reason, headers = _parse(head)
                if status >= 200:  # 1xx are not the answer yet
                    break
        except asyncio.IncompleteReadError as error:
            connection.close()
            kind = UpstreamError if error.partial else _Closed
            raise kind("the connection was closed before the answer") from error
        except (OSError, ValueError, asyncio.LimitOverrunError) as error:
            connection.close()
            kind = _Closed if isinstance(error, ConnectionError) else UpstreamError
            raise kind(f"no valid answer: {error}") from error
        except asyncio.CancelledError:
            connection.close()
            raise
        response = UpstreamResponse(self, connection, status, reason, headers)
        if method == "HEAD" or status in {204, 304}:
            self.take_back(connection, keep=response.keeps)
        return response

    async def _connection(self) -> _Connection:
        while self._free:
            connection = self._free.pop()  # the one used last: the others grow old and are closed
            if connection.is_usable(self._clock()):
                connection.freed_at = None
                connection.is_fresh = False
                self._close_old()
                return connection
            connection.close()
        return await self._open()

    async def _open(self) -> _Connection:
        try:
            reader, writer = await asyncio.open_connection(
                "127.0.0.1", self._port, limit=_HEAD_LIMIT
            )
        except OSError as error:
            raise UpstreamError(f"no connection: {error}") from error
        return _Connection(reader, writer)

    def take_back(self, connection: _Connection, *, keep: bool) -> None:
        """A connection whose answer was read."""
        if connection.freed_at is not None:
            return
        connection.freed_at = self._clock()
        if keep and not connection.writer.is_closing():
            self._free.append(connection)
        else:
            connection.close()

    def _close_old(self) -> None:
        while self._free and not self._free[0].is_usable(self._clock()):
            self._free.popleft().close()

    def close(self) -> None:
        """Close all connections that are free."""
        while self._free:
            self._free.pop().close()


def _parse(head: bytes) -> tuple[int, str, list[tuple[str, str]]]:
    """Status, reason and headers.

    Raises:
        ValueError: it is no HTTP head.
    """
    first, *lines = head.decode("utf-8", "surrogateescape").split("\r\n")
    version, status, reason = (*first.split(" ", 2), "")[:3]
    if not version.startswith("HTTP/1."):
        raise ValueError(first)
    headers = []
    for line in lines[:-2]:
        name, colon, value = line.partition(":")
        if not colon:
            raise ValueError(line)
        headers.append((name, value.strip()))
    return int(status), reason, headers
