"""An instance that was forked is what it would have been if its interpreter had been started for it alone."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
import requests

from pytest_deploygate.emulator.emulator_settings import EmulatorSettings
from pytest_deploygate.emulator.runtime import instance_launch
from pytest_deploygate.emulator.runtime.instance_launch import LaunchSpec
from pytest_deploygate.emulator.runtime.runner import Instance, Runner, StartError
from pytest_deploygate.emulator.runtime.usage_statistics import UsageStatistics
from pytest_deploygate.emulator.storage.state import EmulatorState
from tests.emulator.emulator_driver import until
from tests.emulator.test_runner import spec_in
from tests.processes import is_running

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="instances are forked on Linux")

_TELLS = """import os
import time


def hello(request):
    return {"debug": __debug__, "zone": time.tzname[0], "mine": os.environ.get("MINE"), "home": os.environ["HOME"]}
"""


@asynccontextmanager
async def runner_of(specs: Mapping[str, LaunchSpec], folder: Path) -> AsyncIterator[Runner]:
    state = EmulatorState(folder)
    kept = Runner(
        state,
        UsageStatistics(),
        EmulatorSettings(),
        spec_of=specs.__getitem__,
        ballast_mb=lambda _: 0.0,
    )
    try:
        yield kept
    finally:
        await kept.close()
        state.close()


async def start(spec: LaunchSpec, folder: Path) -> None:
    async with runner_of({"svc": spec}, folder) as kept:
        await kept.start("svc")


async def answer_of(instance: Instance) -> dict[str, object]:
    def ask() -> dict[str, object]:
        url = f"http://127.0.0.1:{instance.port}/"
        answer = requests.get(url, timeout=10, headers={"Connection": "close"})
        return dict(answer.json())

    return await asyncio.to_thread(ask)


def spec_that_tells(folder: Path) -> LaunchSpec:
    spec = spec_in(folder)
    (folder / "source" / "main.py").write_text(_TELLS)
    return spec


def test_each_instance_has_its_own_variables(tmp_path: Path) -> None:
    spec = spec_that_tells(tmp_path)
    other = {"PYTHONOPTIMIZE": "1", "TZ": "America/New_York", "MINE": "second"}
    specs = {"plain": spec, "other": replace(spec, environment=spec.environment | other)}

    async def ask_both() -> list[dict[str, object]]:
        async with runner_of(specs, tmp_path) as kept:
            return [await answer_of(await kept.start(name)) for name in specs]

    plain, second = asyncio.run(ask_both())
    assert (plain["debug"], plain["zone"], plain["mine"]) == (True, "UTC", None)
    assert (second["debug"], second["zone"], second["mine"]) == (False, "EST", "second")
    assert plain["home"] != second["home"]


def test_memory_is_that_of_a_process_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pages that instances share would count by halves, and the less the more of them there are."""
    spec = spec_in(tmp_path)
    specs = dict.fromkeys(("one", "two", "three"), spec)

    async def smallest_mib() -> float:
        async with runner_of(specs, tmp_path) as kept:
            for name in specs:
                await kept.start(name)
            return min(instance.memory.read().mib for instance in kept.ready_instances())

    forked = asyncio.run(smallest_mib())
    monkeypatch.setattr(instance_launch, "CAN_FORK", False)
    assert forked > 0.9 * asyncio.run(smallest_mib())


def test_module_of_a_function_comes_before_one_of_the_framework(tmp_path: Path) -> None:
    spec = spec_in(tmp_path)
    (tmp_path / "source" / "werkzeug.py").write_text("raise ImportError('this one is mine')\n")
    with pytest.raises(StartError, match="this one is mine"):
        asyncio.run(start(spec, tmp_path))


def test_log_of_a_function_that_breaks_shows_its_own_lines_alone(tmp_path: Path) -> None:
    spec = spec_in(tmp_path)
    (tmp_path / "source" / "main.py").write_text("import not_there\n")
    with pytest.raises(StartError, match="No module named 'not_there'"):
        asyncio.run(start(spec, tmp_path))
    log = spec.log.read_text()
    assert "in serve" not in log
    assert "in _become_instance" not in log


def test_instance_is_started_anew_when_what_forked_it_dies(tmp_path: Path) -> None:
    spec = spec_that_tells(tmp_path)

    async def killed() -> tuple[int, int, dict[str, object]]:
        async with runner_of({"svc": spec}, tmp_path) as kept:
            kept.keep(["svc"])
            first = await kept.start("svc")
            server = psutil.Process(first.process.pid).parent()
            assert server is not None
            assert server.pid != os.getpid()
            server.send_signal(signal.SIGKILL)
            second = await asyncio.to_thread(
                until, lambda: kept.ready("svc"), lambda one: one is not None and one is not first
            )
            assert second is not None
            return first.process.pid, second.process.pid, await answer_of(second)

    before, after, answer = asyncio.run(killed())
    assert before != after
    assert answer["debug"] is True
    until(lambda: is_running(before), lambda still: not still)


def test_instance_starts_although_what_forks_it_has_just_died(tmp_path: Path) -> None:
    spec = spec_that_tells(tmp_path)

    async def second() -> dict[str, object]:
        async with runner_of({"one": spec, "two": spec}, tmp_path) as kept:
            server = psutil.Process((await kept.start("one")).process.pid).parent()
            assert server is not None
            server.send_signal(signal.SIGKILL)
            return await answer_of(await kept.start("two"))

    assert asyncio.run(second())["debug"] is True


def test_nothing_is_left_of_it_at_the_end(tmp_path: Path) -> None:
    spec = spec_in(tmp_path)

    async def family() -> list[int]:
        async with runner_of({"svc": spec}, tmp_path) as kept:
            own = (await kept.start("svc")).process.pid
            return [own, psutil.Process(own).ppid()]

    left = asyncio.run(family())
    until(lambda: any(map(is_running, left)), lambda still: not still)
