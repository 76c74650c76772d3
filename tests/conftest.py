"""What all tests of the plugin share: how long they take decides where they run, and no option leaks into them."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.loopback_server import ServerMaker, serving

SLOW = ("cli", "emulator", "plugin", "variants", "watchdog")
"""Folders whose tests start many processes; run on one version of Python, see tox.ini."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests of slow folders."""
    here = Path(__file__).parent
    for item in items:
        if item.path.is_relative_to(here) and item.path.relative_to(here).parts[0] in SLOW:
            item.add_marker(pytest.mark.slow)


@pytest.fixture(autouse=True)
def _no_options_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sessions that tests start must not take options from whoever runs the tests."""
    for name in ("PYTEST_ADDOPTS", "PYTEST_PLUGINS", "DEPLOYGATE_STATE", "PYTHONOPTIMIZE"):
        monkeypatch.delenv(name, raising=False)


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
