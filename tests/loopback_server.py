"""A real HTTP server on loopback, whose answers a test gives as a function."""

import socket
import struct
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A request as it arrived."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes
    port: int
    """Of the caller: one for each connection."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What is answered; ``cut`` resets the connection after that many bytes of the body."""

    status: int = 200
    body: bytes = b"{}"
    headers: Mapping[str, str] = field(default_factory=dict)
    wait: threading.Event | None = None
    cut: int | None = None


@dataclass(slots=True, kw_only=True)
class LoopbackServer:
    """``url`` answers with what ``respond`` returns; ``asked`` holds every request in order of arrival."""

    url: str
    asked: list[Asked]
    close: Callable[[], None]


ServerMaker = Callable[[Callable[[Asked], Reply]], LoopbackServer]


class _LoopbackHandler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # else each body waits 40 ms for the receipt of its headers
    respond: Callable[[Asked], Reply]
    asked: list[Asked]

    def _serve(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        asked = Asked(
            method=self.command,
            path=self.path,
            headers={k.lower(): v for k, v in self.headers.items()},
            body=self.rfile.read(length),
            port=self.client_address[1],
        )
        self.asked.append(asked)
        reply = type(self).respond(asked)
        if reply.wait is not None:
            reply.wait.wait(20)
        if reply.cut == 0:
            self._reset()
            return
        self.send_response(reply.status)
        for name, value in reply.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(reply.body)))
        self.end_headers()
        if self.command != "HEAD":
            with suppress(ConnectionError):  # the client has what it wants, and hung up
                self.wfile.write(reply.body if reply.cut is None else reply.body[: reply.cut])
        if reply.cut is not None:
            self.wfile.flush()
            self._reset()

    def _reset(self) -> None:
        linger = struct.pack("ii", 1, 0)
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.connection.shutdown(socket.SHUT_RDWR)
        self.close_connection = True

    def __getattr__(self, name: str) -> Callable[[], None]:
        if name.startswith("do_"):
            return self._serve
        raise AttributeError(name)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the base names it
        """Say nothing."""


@contextmanager
def serving() -> Iterator[ServerMaker]:
    """Starts servers; all are stopped at the end."""
    closers: list[Callable[[], None]] = []

    def start(respond: Callable[[Asked], Reply]) -> LoopbackServer:
        asked: list[Asked] = []
        handler = type(
            "Handler", (_LoopbackHandler,), {"respond": staticmethod(respond), "asked": asked}
        )
        server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()

        def close() -> None:
            server.shutdown()
            server.server_close()
            thread.join()

        closers.append(close)
        return LoopbackServer(
            url=f"http://127.0.0.1:{server.server_port}", asked=asked, close=close
        )

    try:
        yield start
    finally:
        for close in closers:
            close()
