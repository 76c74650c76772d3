"""An emulator for the tests of this folder: a real process on loopback, shared by the session."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pytest_deploygate.emulator.emulator_settings import BUILD_CACHE_VARIABLE
from pytest_deploygate.emulator.lifecycle import ensure_running, stop
from tests.contract.discovery import call_problems
from tests.coverage_scope import is_unmeasured
from tests.emulator.emulator_driver import Driver, RevisionPair, make_pair, to


@pytest.fixture(scope="session", autouse=True)
def build_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Environments are built once; a cache that the caller names is used again next time."""
    if BUILD_CACHE_VARIABLE in os.environ:
        yield
        return
    with pytest.MonkeyPatch.context() as patch:
        base = tmp_path_factory.getbasetemp()
        shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
        patch.setenv(BUILD_CACHE_VARIABLE, str(shared / "environments"))
        yield


@pytest.fixture(scope="session")
def _emulators(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[bool], Driver]]:
    """Two emulators for the whole session: one that coverage measures, for the files that it measures, and another one.

    Whether it measures an emulator is decided when that starts, and which file needs it first is chance.
    """
    opened: dict[bool, Driver] = {}
    homes: list[Path] = []

    def emulator(is_measured: bool) -> Driver:
        if is_measured not in opened:
            homes.append(tmp_path_factory.mktemp("cloud"))
            settings = "idle_s = 0.5\nstart_timeout_s = 10\n"
            (homes[-1] / "settings.toml").write_text(settings, encoding="utf-8")
            opened[is_measured] = Driver(ensure_running(homes[-1]))
        return opened[is_measured]

    yield emulator
    for driver in opened.values():
        driver.__exit__()
    for home in homes:
        stop(home)


@pytest.fixture(scope="module")
def shared_driver(_emulators: Callable[[bool], Driver], request: pytest.FixtureRequest) -> Driver:
    """The emulator of the session; use ``driver``."""
    return _emulators(not is_unmeasured(request.path))


@pytest.fixture
def driver(shared_driver: Driver) -> Iterator[Driver]:
    """The emulator without any fault in force, neither before nor after the test.

    Every call that the test made is held to Google's discovery documents, request and answer.
    """
    shared_driver.local("DELETE", "faults")
    before = shared_driver.last_call()
    yield shared_driver
    shared_driver.local("DELETE", "faults")
    calls = shared_driver.calls(after=before)
    assert [problem for call in calls for problem in call_problems(call)] == []


@pytest.fixture
def function_id(request: pytest.FixtureRequest) -> str:
    """Name of a function that no other test has."""
    name = "".join(c if c.isalnum() else "_" for c in request.node.name.lower())
    return f"{name.removeprefix('test_')[:28].strip('_')}_{abs(hash(request.node.nodeid)) % 10_000}"


@pytest.fixture(scope="session")
def _pairs() -> dict[Driver, RevisionPair]:
    return {}


@pytest.fixture(scope="module")
def shared_pair(shared_driver: Driver, _pairs: dict[Driver, RevisionPair]) -> RevisionPair:
    """Two revisions that many tests use; use ``pair``."""
    if shared_driver not in _pairs:
        _pairs[shared_driver] = make_pair(shared_driver, "pair")
    return _pairs[shared_driver]


@pytest.fixture
def pair(driver: Driver, shared_pair: RevisionPair) -> RevisionPair:
    """Two revisions of a service, all traffic at the first, no tags, no fault."""
    service, first, second = shared_pair
    for revision in (first, second):
        driver.local("DELETE", f"revisions/{revision}/inject_fault")
    driver.traffic(service.name, to(first, 100))
    return RevisionPair(driver.service(service.name), first, second)


@pytest.fixture
def own_home(tmp_path: Path) -> Iterator[Path]:
    """A home directory whose emulator, if any, is stopped after the test."""
    home = tmp_path / "home"
    home.mkdir()
    (home / "settings.toml").write_text("idle_s = 0.5\nstart_timeout_s = 10\n", encoding="utf-8")
    yield home
    stop(home)


@pytest.fixture
def running(own_home: Path) -> Iterator[Callable[[], Driver]]:
    """Opens drivers of the emulator in ``own_home``, started if need be."""
    opened: list[Driver] = []

    def start() -> Driver:
        opened.append(Driver(ensure_running(own_home)))
        return opened[-1]

    yield start
    for driver in opened:
        driver.__exit__()
