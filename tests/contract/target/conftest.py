"""The emulator for the tests of the target; every call is held to Google's discovery documents."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pytest_deploygate.emulator.emulator_settings import BUILD_CACHE_VARIABLE
from pytest_deploygate.emulator.lifecycle import ensure_running, stop
from tests.contract.discovery import call_problems
from tests.contract.target.staged_function import (
    KINDS,
    AnyTarget,
    StagedFunction,
    make_source,
    make_spec,
    make_target_of,
    release,
    stage,
)
from tests.emulator.emulator_driver import Driver


@pytest.fixture(scope="session", autouse=True)
def build_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Environments are built once; a cache that the caller names is used again next time."""
    if BUILD_CACHE_VARIABLE in os.environ:
        yield
        return
    with pytest.MonkeyPatch.context() as patch:
        base = tmp_path_factory.getbasetemp()
        common = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
        patch.setenv(BUILD_CACHE_VARIABLE, str(common / "environments"))
        yield


@pytest.fixture(scope="session")
def shared_driver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Driver]:
    """The emulator of the session; use ``driver``."""
    home = tmp_path_factory.mktemp("cloud")
    (home / "settings.toml").write_text("start_timeout_s = 10\n", encoding="utf-8")
    (home / "secrets.toml").write_text('api-key = "from the secret store"\n', encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv(
            "COVERAGE_PROCESS_CONFIG", raising=False
        )  # tests/emulator measures the emulator
        running = ensure_running(home)
    with Driver(running) as driver:
        yield driver
    stop(home)


@pytest.fixture
def driver(shared_driver: Driver) -> Iterator[Driver]:
    """The emulator without faults; what the target asked of it is held to Google's documents."""
    shared_driver.local("DELETE", "faults")
    before = shared_driver.last_call()
    yield shared_driver
    shared_driver.local("DELETE", "faults")
    calls = shared_driver.calls(after=before)
    whole = [call for call in calls if not str(call["response"]).startswith("<")]  # too big to log
    assert [problem for call in whole for problem in call_problems(call)] == []


OF_BOTH = ("test_rollout", "test_traffic", "test_recorded_behaviour")
"""Modules about what every target must do: each of their tests runs on both."""
OF_CLOUD_RUN = ("test_cloud_run", "test_run_preflight")
"""Modules about what the target for Cloud Run alone does."""


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run the tests of the port with each target; those of one API only with the target that speaks it."""
    if "kind" in metafunc.fixturenames:
        module = metafunc.module.__name__.rpartition(".")[2]
        names = ["cloud-run" if module in OF_CLOUD_RUN else "google"]
        if module in OF_BOTH:
            of_one = [mark.args[0] for mark in metafunc.definition.iter_markers("of_target")]
            names = of_one or list(KINDS)
        metafunc.parametrize("kind", [KINDS[name] for name in names], ids=names)


QUIET = {"test_rollout": "quiet", "test_traffic": "quiet", "test_emulator_shape": "shape"}
"""The function of each module whose tests add no revision to it: there the candidate stays the newest."""


@pytest.fixture(scope="session")
def shared_functions(
    shared_driver: Driver, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[str, type[AnyTarget]], StagedFunction]]:
    """Makes the functions that most tests share, each once; use ``shared``."""
    made: dict[str, StagedFunction] = {}

    def make(name: str, kind: type[AnyTarget]) -> StagedFunction:
        name = f"{name}_run" if kind is KINDS["cloud-run"] else name
        if name not in made:
            source = make_source(tmp_path_factory.mktemp("source"))
            home = tmp_path_factory.mktemp("records")
            target = make_target_of(kind, shared_driver, make_spec(name, source), home)
            baseline = release(target)
            staged = stage(target)
            made[name] = StagedFunction(
                driver=shared_driver,
                target=target,
                home=home,
                service=staged.snapshot.service,
                baseline=baseline,
                verification=staged.verification,
                candidate=staged.candidate,
            )
        return made[name]

    yield make
    for shared in made.values():
        shared.target.close()


@pytest.fixture
def shared(
    driver: Driver,
    shared_functions: Callable[[str, type[AnyTarget]], StagedFunction],
    request: pytest.FixtureRequest,
    kind: type[AnyTarget],
) -> StagedFunction:
    """A public function whose baseline serves, with a candidate and its verification revision staged."""
    found = shared_functions(f"shared_{QUIET.get(request.path.stem, 'busy')}", kind)
    assert driver is found.driver
    found.reset()
    return found


@pytest.fixture
def function_id(request: pytest.FixtureRequest) -> str:
    """Name of a function that no other test has, short enough for its tags."""
    name = "".join(c if c.isalnum() else "_" for c in request.node.name.lower())
    return f"{name.removeprefix('test_')[:20].strip('_')}_{abs(hash(request.node.nodeid)) % 10_000}"


@pytest.fixture
def new_target(
    driver: Driver, function_id: str, tmp_path: Path, kind: type[AnyTarget]
) -> Iterator[Callable[..., AnyTarget]]:
    """Makes targets for one new function; keywords change its settings."""
    made: list[AnyTarget] = []

    def make(main: str = "", **changes: object) -> AnyTarget:
        source = tmp_path / "source"
        if main or not source.exists():
            make_source(source, *([main] if main else []))
        spec = make_spec(function_id, source)._replace(**changes)  # type: ignore[arg-type]
        made.append(make_target_of(kind, driver, spec, tmp_path / "records"))
        return made[-1]

    yield make
    for target in made:
        target.close()
