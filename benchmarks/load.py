"""A visitor that asks again and again over kept connections: ``python -m benchmarks.load PORT REQUESTS CONNECTIONS``.

Plain sockets, one thread, so that the visitor costs little beside what it visits. Prints one JSON object: ``seconds``,
``answered``, ``lost`` (no whole answer), ``by_status`` and ``by_revision``.
"""

import json
import re
import selectors
import socket
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import TypedDict

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_REVISION = re.compile(rb"\r\nx-revision: *([^\r]+)", re.IGNORECASE)
_LIMIT_S = 900


class Load(TypedDict):
    """What a visitor saw."""

    seconds: float
    answered: int
    lost: int
    by_status: dict[str, int]
    by_revision: dict[str, int]


@dataclass(slots=True)
class _Visitor:
    port: int
    left: int
    answered: int = 0
    lost: int = 0
    statuses: Counter[str] = field(default_factory=Counter)
    revisions: Counter[str] = field(default_factory=Counter)
    selector: selectors.BaseSelector = field(default_factory=selectors.DefaultSelector)

    def open(self) -> None:
        connection = socket.create_connection(("127.0.0.1", self.port), timeout=30)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.selector.register(connection, selectors.EVENT_READ, bytearray())
        self.ask(connection)

    def ask(self, connection: socket.socket) -> None:
        if self.left <= 0:
            self.selector.unregister(connection)
            connection.close()
            return
        self.left -= 1
        connection.sendall(f"GET / HTTP/1.1\r\nHost: 127.0.0.1:{self.port}\r\n\r\n".encode())

    def read(self, connection: socket.socket, seen: bytearray) -> None:
        try:
            chunk = connection.recv(65536)
        except OSError:
            chunk = b""
        if not chunk:
            self.lost += 1
            self.selector.unregister(connection)
            connection.close()
            self.open()
            return
        seen += chunk
        end = seen.find(b"\r\n\r\n")
        if end < 0:
            return
        head = bytes(seen[: end + 2])
        length = _LENGTH.search(head)
        if len(seen) < end + 4 + (int(length[1]) if length else 0):
            return
        self.answered += 1
        self.statuses[head[9:12].decode()] += 1
        revision = _REVISION.search(head)
        self.revisions[revision[1].decode() if revision else ""] += 1
        seen.clear()
        if b"\r\nconnection: close" in head.lower():
            self.selector.unregister(connection)
            connection.close()
            self.open()
            return
        self.ask(connection)


def visit(port: int, requests: int, connections: int) -> Load:
    """Ask ``requests`` times in this process."""
    visitor = _Visitor(port, requests)
    began = time.perf_counter()
    for _ in range(connections):
        visitor.open()
    while visitor.selector.get_map():
        ready = visitor.selector.select(timeout=60)
        if not ready:
            break
        for key, _ in ready:
            visitor.read(key.fileobj, key.data)  # type: ignore[arg-type]  # only sockets are registered
    unanswered = len(visitor.selector.get_map())
    return {
        "seconds": time.perf_counter() - began,
        "answered": visitor.answered,
        "lost": visitor.lost + unanswered,
        "by_status": dict(visitor.statuses),
        "by_revision": dict(visitor.revisions),
    }


def start(port: int, requests: int, connections: int = 8) -> "subprocess.Popen[str]":
    """A visitor in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.load", *map(str, (port, requests, connections))]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def finish(process: "subprocess.Popen[str]") -> Load:
    """What that visitor saw."""
    output, _ = process.communicate(timeout=_LIMIT_S)
    seen: Load = json.loads(output)
    return seen


if __name__ == "__main__":
    print(json.dumps(visit(int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))))
