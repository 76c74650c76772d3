"""Loopback servers for the tests of the checks."""

import socket
from collections.abc import Iterator

import pytest

from tests.checks.loopback import ServerMaker, serving


@pytest.fixture
def http_server() -> Iterator[ServerMaker]:
    """Starts HTTP servers that live as long as the test."""
    with serving() as start:
        yield start


@pytest.fixture
def unused_url() -> str:
    """A loopback address where nothing listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{probe.getsockname()[1]}"
