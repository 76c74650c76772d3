"""Instances are told apart from whatever else listens on this machine."""

import asyncio
import socket
import venv
from collections.abc import Iterator
from pathlib import Path

import functions_framework
import pytest
import requests

from pytest_deploygate.core.units import Memory
from pytest_deploygate.emulator.emulator_settings import EmulatorSettings
from pytest_deploygate.emulator.runtime import runner
from pytest_deploygate.emulator.runtime.builder import Build
from pytest_deploygate.emulator.runtime.instance_launch import LaunchSpec
from pytest_deploygate.emulator.runtime.runner import Runner, StartError, clean_path
from pytest_deploygate.emulator.runtime.usage_statistics import UsageStatistics
from pytest_deploygate.emulator.storage.state import EmulatorState

HELLO = """\
def hello(request):
    return 'it is me'
"""


def environment_in(folder: Path) -> Path:
    """A small environment that sees the packages of the tests: their own is large, and changes while they run."""
    environment = folder / "environment"
    venv.create(environment)
    (packages,) = environment.glob("lib/python*/site-packages")
    (packages / "tests.pth").write_text(f"{Path(functions_framework.__file__).parents[1]}\n")
    return environment


def spec_in(folder: Path) -> LaunchSpec:
    """A function that runs with the packages of the tests."""
    source = folder / "source"
    source.mkdir()
    (source / "main.py").write_text(HELLO)
    return LaunchSpec(
        revision="svc-00001",
        build=Build(
            digest="d",
            source=str(source),
            environment=str(environment_in(folder)),
            entry_point="hello",
            source_file="main.py",
            message="",
        ),
        environment={"PATH": clean_path(), "FUNCTION_TARGET": "hello", "K_REVISION": "svc-00001"},
        memory=Memory.parse("512M"),
        timeout_s=10,
        log=folder / "log",
        instances=folder / "instances",
    )


@pytest.fixture
def taken() -> Iterator[int]:
    """A port on which somebody else listens."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        yield other.getsockname()[1]


async def answer_of_started(folder: Path) -> str:
    """What a revision says at the port where it is taken to listen."""
    state = EmulatorState(folder)
    kept = Runner(
        state,
        UsageStatistics(),
        EmulatorSettings(),
        spec_of=lambda _: spec_in(folder),
        ballast_mb=lambda _: 0.0,
    )
    try:
        instance = await kept.start("svc-00001")

        def ask() -> str:
            address = f"http://127.0.0.1:{instance.port}/"
            return requests.get(address, timeout=10, headers={"Connection": "close"}).text

        return await asyncio.to_thread(ask)
    finally:
        await kept.close()
        state.close()


def test_port_that_somebody_else_took_meanwhile_is_not_taken_for_the_function(
    tmp_path: Path, taken: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    free_port, ports = runner._free_port, [taken]
    monkeypatch.setattr(runner, "_free_port", lambda: ports.pop() if ports else free_port())
    assert asyncio.run(answer_of_started(tmp_path)) == "it is me"


def test_function_that_finds_no_port_has_not_started(
    tmp_path: Path, taken: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "_free_port", lambda: taken)
    with pytest.raises(StartError, match="took every port"):
        asyncio.run(answer_of_started(tmp_path))
