"""What all tests of the plugin share: how long they take decides where they run, and no option leaks into them."""

import os
import socket
import sys
import threading
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from multiprocessing import forkserver
from pathlib import Path

import coverage
import pytest
from hypothesis import settings

from pytest_deploygate.testing.sessions import PRELOADED
from tests.coverage_scope import is_unmeasured
from tests.loopback_server import ServerMaker, serving

SLOW = ("cli", "emulator", "plugin", "variants", "watchdog")
"""Folders whose tests start many processes; run on one version of Python, see tox.ini."""
_HERE = Path(__file__).parent
_MEASURED_PROCESS = ("COVERAGE_PROCESS_START", "COVERAGE_PROCESS_CONFIG")
"""Variables that have each new process measured."""
_UNMEASURED_FORKS = forkserver.ForkServer()
"""Forks the sessions of unmeasured tests: coverage measures a session where it measures what forked it."""


if os.environ.get("DEPLOYGATE_GRID") == "few":  # see tox.ini
    settings.register_profile("few", max_examples=25)
    settings.load_profile("few")


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Run what is unmeasured without coverage, with all that it starts."""
    if is_unmeasured(item.path):
        with _unmeasured():
            return (yield)
    return (yield)


@contextmanager
def _unmeasured() -> Iterator[None]:
    here, of_threads = sys.gettrace(), threading.gettrace()
    sys.settrace(None)
    threading.settrace(None)
    with pytest.MonkeyPatch.context() as patch:
        if any(name in os.environ for name in _MEASURED_PROCESS):
            _UNMEASURED_FORKS.set_forkserver_preload(PRELOADED)
            connect = _UNMEASURED_FORKS.connect_to_new_process
            patch.setattr(forkserver, "connect_to_new_process", connect)
        for name in _MEASURED_PROCESS:
            patch.delenv(name, raising=False)
        try:
            yield
        finally:
            sys.settrace(here)
            threading.settrace(of_threads)


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish() -> None:
    """Write down what coverage measured in this process: xdist kills a worker that takes over ten seconds to end."""
    measurement = coverage.Coverage.current()
    if measurement is not None and "PYTEST_XDIST_WORKER" in os.environ:
        measurement.stop()
        measurement.save()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests of slow folders."""
    for item in items:
        if item.path.is_relative_to(_HERE) and item.path.relative_to(_HERE).parts[0] in SLOW:
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
