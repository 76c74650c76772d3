"""How long the emulator takes to answer meanwhile: ``python -m benchmarks.health_probe PORT``, until its input ends.

Prints the longest answer of ``/_local/health``, in seconds: as long as something else held the event loop.
"""

import selectors
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def longest_answer(port: int) -> Iterator[list[float]]:
    """A list that has the longest answer during the block, when the block has ended."""
    command = [sys.executable, "-m", "benchmarks.health_probe", str(port)]
    found: list[float] = []
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as probe:
        assert probe.stdout is not None
        probe.stdout.readline()  # it has begun
        yield found
        output, _ = probe.communicate(timeout=60)
    found.append(float(output))


def _probe(port: int) -> float:
    longest = 0.0
    request = f"GET /_local/health HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n".encode()
    with (
        socket.create_connection(("127.0.0.1", port), timeout=60) as connection,
        selectors.DefaultSelector() as ended,
    ):
        ended.register(sys.stdin, selectors.EVENT_READ)
        connection.sendall(request)
        connection.recv(65536)
        print("ready", flush=True)
        is_ended = False
        while not is_ended:
            is_ended = bool(ended.select(timeout=0.002))
            began = time.perf_counter()
            connection.sendall(request)
            connection.recv(65536)
            longest = max(longest, time.perf_counter() - began)
    return longest


if __name__ == "__main__":
    print(_probe(int(sys.argv[1])))
