"""Every step of a rollout reads what was recorded of the real platform, and whatever it may add tomorrow."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from pytest_deploygate.core.identifiers import RevisionName, RolloutId
from pytest_deploygate.core.release import TAG_CANDIDATE, FunctionSpec, RolloutLabels
from pytest_deploygate.core.traffic import Traffic
from pytest_deploygate.emulator.api.tomorrow import add_future
from pytest_deploygate.targets.cloud_functions import CloudFunctionsTarget
from tests.contract.recorded_google import (
    BASELINE,
    CANDIDATE,
    DIGEST,
    FUNCTION,
    PROJECT,
    REGION,
    Json,
    RecordedGoogle,
)
from tests.contract.target.staged_function import HurriedClock
from tests.loopback_server import serving

OPERATION = (
    f"projects/{PROJECT}/locations/{REGION}/operations/operation-1771111111111-0a0b0c0d0e0f0"
)
SPEC = FunctionSpec(
    function=FUNCTION, project=PROJECT, region=REGION, runtime="python312", entry_point=FUNCTION,
    source="/src", memory="1Gi", public=True, variables={"SHEET": "production"},
)  # fmt: skip
AT_BASELINE = Traffic.of({RevisionName(BASELINE): 100}, {TAG_CANDIDATE: RevisionName(CANDIDATE)})


def as_recorded(_: str, body: Json) -> object:
    return body


def as_tomorrow(_: str, body: Json) -> object:
    return add_future(body)


@pytest.fixture(params=[as_recorded, as_tomorrow])
def google(request: pytest.FixtureRequest) -> RecordedGoogle:
    """The recorded function, by the answers of today and of tomorrow."""
    return RecordedGoogle(request.param)


@pytest.fixture
def target(google: RecordedGoogle, tmp_path: Path) -> Iterator[CloudFunctionsTarget]:
    """A target that asks it."""
    with serving() as start:
        made = CloudFunctionsTarget(
            spec=SPEC, endpoint=start(google.respond).url, credentials=None, home=tmp_path,
            clock=HurriedClock(), is_local=True,
        )  # fmt: skip
        yield made
        made.close()


def test_a_snapshot_reads_the_recorded_service(target: CloudFunctionsTarget) -> None:
    snapshot = target.snapshot()
    assert snapshot.exists
    assert snapshot.is_settled
    assert snapshot.traffic == AT_BASELINE
    assert snapshot.latest_ready == BASELINE  # it stays while the newest has no traffic
    assert snapshot.latest_created == CANDIDATE


def test_a_staged_revision_is_ready_although_it_is_retired_and_its_digest_is_known(
    target: CloudFunctionsTarget,
) -> None:
    info = target.revision(RevisionName(CANDIDATE))
    assert info is not None
    assert info.is_ready
    assert info.image.endswith(":version_1")
    assert info.digest == DIGEST
    assert info.variables["SHEET"] == "production"


def test_waiting_ends_with_the_recorded_operation(target: CloudFunctionsTarget) -> None:
    said: list[str] = []
    made = target.await_release(OPERATION, progress=said.append, budget_s=60)
    assert made == BASELINE  # what the recording names
    assert said


def test_operations_of_others_in_the_region_are_left_out(target: CloudFunctionsTarget) -> None:
    assert target.find_operation() is None


def test_traffic_goes_to_the_candidate_and_back(
    target: CloudFunctionsTarget, google: RecordedGoogle
) -> None:
    candidate = AT_BASELINE.with_shares({RevisionName(CANDIDATE): 100})
    labels = RolloutLabels(rollout=RolloutId("20261123-0001-abcd"), baseline=RevisionName(BASELINE))
    target.pin(target.snapshot(), labels)
    after = target.shift_traffic(candidate, expect=AT_BASELINE)
    assert after.serving.sole == CANDIDATE
    assert after.tag_urls[TAG_CANDIDATE].startswith("https://dg-cand---")
    back = target.shift_traffic(AT_BASELINE, expect=candidate)
    assert back.serving.sole == BASELINE
    assert {key for _, body in google.writes for key in body} == {"etag", "traffic", "labels"}
    assert google.service["labels"]["goog-managed-by"] == "cloudfunctions"


@pytest.mark.parametrize(
    ("packed", "is_done"),
    [
        ({"@type": "type.googleapis.com/google.cloud.functions.v1.CloudFunction"}, True),
        (None, True),
    ],
)
def test_an_operation_of_another_kind_is_no_error(packed: object, is_done: bool) -> None:
    from pytest_deploygate.targets.operations import operation_of

    found = operation_of({"name": "o", "done": is_done, "response": packed, "metadata": packed})
    assert (found.is_done, found.function, found.metadata.target) == (True, None, "")
