"""How often the platform is asked whether a deployment has ended, and how soon after its end that is known."""

from pathlib import Path

import pytest

from pytest_deploygate.core.function_spec import FunctionSpec
from pytest_deploygate.targets.cloud_functions import CloudFunctionsTarget
from tests.contract.target.google_replies import reply
from tests.fakes import FakeClock
from tests.loopback_server import Asked, Reply, ServerMaker

PLACE = "projects/p1/locations/us-central1"
OPERATION = f"{PLACE}/operations/one"
SPEC = FunctionSpec(
    function="f",
    project="p1",
    region="us-central1",
    runtime="python312",
    entry_point="f",
    source="/src",
)


def _stages(seconds: float, build_s: float) -> list[dict[str, str]]:
    """Stages of an operation that old, as Google shows them."""
    if seconds < build_s:
        return [{"name": "BUILD", "state": "IN_PROGRESS"}]
    return [{"name": "BUILD", "state": "COMPLETE"}, {"name": "SERVICE", "state": "IN_PROGRESS"}]


@pytest.mark.parametrize(("build_s", "start_s"), [(9.0, 2.2), (90.0, 5.0)])
def test_the_end_of_a_short_stage_is_seen_soon_after_a_long_build(
    http_server: ServerMaker, tmp_path: Path, build_s: float, start_s: float
) -> None:
    clock = FakeClock()
    began = clock.monotonic()

    def answer(asked: Asked) -> Reply:
        seconds = clock.monotonic() - began
        if asked.path.endswith(OPERATION):
            metadata = {
                "@type": "type.googleapis.com/google.cloud.functions.v2.OperationMetadata",
                "stages": _stages(seconds, build_s),
            }
            function = {
                "@type": "type.googleapis.com/google.cloud.functions.v2.Function",
                "serviceConfig": {"service": f"{PLACE}/services/f", "revision": "f-00002-abc"},
            }
            is_done = seconds >= build_s + start_s
            ended = {"done": True, "response": function} if is_done else {}
            return reply({"name": OPERATION, "metadata": metadata, **ended})
        revision = f"{PLACE}/services/f/revisions/f-00002-abc"
        ready = {"type": "Ready", "state": "CONDITION_SUCCEEDED"}
        image = {"image": f"r/i@sha256:{'0' * 64}"}
        return reply({"name": revision, "conditions": [ready], "containers": [image]})

    server = http_server(answer)
    target = CloudFunctionsTarget(
        spec=SPEC, endpoint=server.url, credentials=None, home=tmp_path, clock=clock, is_local=True
    )
    name = target.await_release(OPERATION, progress=lambda _: None, budget_s=1000)
    target.close()
    assert name == "f-00002-abc"
    begun_s = next(
        sum(clock.slept[:number])
        for number in range(len(clock.slept))
        if sum(clock.slept[:number]) >= build_s
    )
    late_s = clock.monotonic() - began - (build_s + start_s)
    # a twentieth of the stage, which is seen to begin up to a second late
    assert late_s <= (build_s + start_s - begun_s) / 20 + 0.06
    polls = [asked for asked in server.asked if asked.path.endswith(OPERATION)]
    assert len(polls) < 130 + build_s + start_s
