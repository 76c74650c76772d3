"""The emulator takes as long as the platform where its settings ask for that."""

import asyncio
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path

import pytest
from google.cloud import functions_v2
from google.iam.v1 import iam_policy_pb2, policy_pb2

from pytest_deploygate.emulator.lifecycle import ensure_running, stop
from pytest_deploygate.emulator.runtime.pace import Pace, lasting, pace_of
from tests.emulator.emulator_driver import Driver, until, who


def test_latencies_are_those_that_were_recorded_times_the_factor() -> None:
    pace = pace_of("google", 1.0)
    assert 60 <= pace.build_s <= 120
    assert 15 <= pace.revision_s <= 30
    assert pace.access_s == 120
    assert pace.monitoring_lag_s == 240
    assert pace_of("google", 0.1).build_s == pytest.approx(pace.build_s / 10)
    assert pace_of("moments", 1.0) == Pace()


@pytest.mark.parametrize("fails", [False, True])
def test_what_takes_long_by_itself_is_not_made_longer(
    monkeypatch: pytest.MonkeyPatch, *, fails: bool
) -> None:
    async def act() -> None:
        loop = asyncio.get_running_loop()
        now = loop.time
        async with asyncio.timeout(90), lasting(60):
            monkeypatch.setattr(loop, "time", lambda: now() + 59.9)
            if fails:
                raise ValueError

    with pytest.raises(ValueError) if fails else nullcontext():
        asyncio.run(act())


@pytest.fixture
def slow(tmp_path: Path) -> Iterator[Driver]:
    """An emulator at Google's own pace, in which a function was deployed before."""
    home = tmp_path / "cloud"
    with Driver(ensure_running(home)) as driver:
        driver.deploy("slow", who())
    stop(home)
    (home / "settings.toml").write_text('pace = "google"\n', encoding="utf-8")
    with Driver(ensure_running(home)) as driver:
        yield driver
    stop(home)


@pytest.mark.full
def test_a_build_goes_on_and_a_policy_does_not_hold_yet(slow: Driver) -> None:
    name = "projects/p1/locations/us-central1/services/slow"
    service = slow.service(name)
    assert slow.get(service.uri).status_code == 200
    closed = iam_policy_pb2.SetIamPolicyRequest(resource=name, policy=policy_pb2.Policy())
    slow.services.set_iam_policy(closed, timeout=20)
    assert slow.get(service.uri).status_code == 200, "it took effect at once"

    wanted = slow.function("slow", who(2))
    request = functions_v2.UpdateFunctionRequest(
        function=wanted, update_mask={"paths": ["build_config.source"]}
    )
    operation = slow.functions.update_function(request, timeout=20)
    building = (functions_v2.Stage.Name.BUILD, functions_v2.Stage.State.IN_PROGRESS)

    def stages() -> list[tuple[int, int]]:
        assert not operation.done()  # type: ignore[no-untyped-call]  # which reads it again
        return [(stage.name, stage.state) for stage in operation.metadata.stages]

    until(stages, lambda found: building in found)
    assert building in stages()
    assert len(list(slow.revisions.list_revisions(parent=name))) == 1
