"""Every step of a rollout reads what was recorded of the real platform, and whatever it may add tomorrow."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from pytest_deploygate.core.function_spec import FunctionSpec
from pytest_deploygate.core.identifiers import RevisionName, RolloutId
from pytest_deploygate.core.own_tags import TAG_CANDIDATE
from pytest_deploygate.core.release import RolloutLabels
from pytest_deploygate.core.state_machine import State
from pytest_deploygate.core.traffic import Traffic
from pytest_deploygate.emulator.api.tomorrow import add_future
from pytest_deploygate.engine.engine_context import Ports
from pytest_deploygate.targets.cloud_functions import CloudFunctionsTarget
from tests.contract import engine_runs
from tests.contract.recorded_google import (
    BASELINE,
    CANDIDATE,
    DIGEST,
    FUNCTION,
    OPERATION,
    PROJECT,
    REGION,
    Json,
    RecordedGoogle,
    recorded,
)
from tests.contract.target.staged_function import MAIN, HurriedClock, make_source
from tests.loopback_server import serving

SPEC = FunctionSpec(
    function=FUNCTION, project=PROJECT, region=REGION, runtime="python312", entry_point=FUNCTION,
    source="/src", memory="1Gi", public=True, variables={"SHEET": "production"},
    verify_variables={"SHEET": "staging"},
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
    spec = SPEC._replace(
        source=str(make_source(tmp_path / "source", MAIN.replace("hello", FUNCTION)))
    )
    with serving() as start:
        made = CloudFunctionsTarget(
            spec=spec, endpoint=google.listen(start), credentials=None, home=tmp_path / "records",
            clock=HurriedClock(), is_local=True,
        )  # fmt: skip
        yield made
        made.close()


@pytest.fixture
def ports(target: CloudFunctionsTarget) -> Iterator[Ports]:
    """The target with a record of its own."""
    made = engine_runs.ports_on(target, HurriedClock())
    yield made
    made.store.close()


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
    assert after.tag_urls[TAG_CANDIDATE]
    back = target.shift_traffic(AT_BASELINE, expect=candidate)
    assert back.serving.sole == BASELINE
    assert {key for _, body in google.writes for key in body} == {"etag", "traffic", "labels"}
    assert google.service["labels"]["goog-managed-by"] == "cloudfunctions"


def test_preflight_finds_nothing_that_blocks(target: CloudFunctionsTarget) -> None:
    found = target.preflight()
    assert not any(f.is_blocking for f in found), found
    assert all("permissions cannot be asked" in f.sentence for f in found), found


def test_a_release_is_staged_and_promoted(ports: Ports, google: RecordedGoogle) -> None:
    record = engine_runs.deploy(ports, "c1")
    assert record.state is State.PROMOTED, record.reason
    assert record.build is not None
    assert record.build.image == DIGEST
    assert record.build.differs_in == ("SHEET",)
    assert record.build.updates_base_image
    assert shares(google) == {record.candidate: 100}
    env = {v["name"]: v.get("value") for v in google.service["template"]["containers"][0]["env"]}
    assert env["SHEET"] == "production"
    assert env["LOG_EXECUTION_ID"] == "true"
    assert google.service["labels"]["goog-managed-by"] == "cloudfunctions"


def test_a_release_that_fails_is_taken_back(ports: Ports, google: RecordedGoogle) -> None:
    record = engine_runs.deploy(ports, "c1", holds=False)
    assert record.state is State.ROLLED_BACK, record.reason
    assert shares(google) == {BASELINE: 100}


@pytest.mark.parametrize("is_record_lost", [False, True])
def test_what_a_death_left_is_recovered(
    ports: Ports, google: RecordedGoogle, is_record_lost: bool
) -> None:
    died = engine_runs.deploy_and_die(ports, "c1")
    assert shares(google) == {died.candidate: 100}
    if is_record_lost:
        ports.store.close()
        ports = engine_runs.ports_on(ports.target, ports.clock)
    [recovered] = engine_runs.recover(ports)
    assert recovered.state is State.ROLLED_BACK, recovered.sentence
    assert shares(google) == {BASELINE: 100}
    if is_record_lost:
        ports.store.close()


def shares(google: RecordedGoogle) -> dict[str, int]:
    """What serves, as it was written last."""
    return {t["revision"]: t["percent"] for t in google.service["traffic"] if t.get("percent")}


def test_an_own_operation_is_known_although_it_names_the_project_by_its_number(
    tmp_path: Path,
) -> None:
    def numbered(path: str, body: Json) -> object:
        text = json.dumps(body).replace(f"projects/{PROJECT}/", "projects/998877665544/")
        return json.loads(text.replace('"done": true', '"done": false'))

    google = RecordedGoogle(numbered)
    with serving() as start:
        target = CloudFunctionsTarget(
            spec=SPEC, endpoint=google.listen(start), credentials=None, home=tmp_path,
            clock=HurriedClock(), is_local=True,
        )  # fmt: skip
        found = target.find_operation()
        target.close()
    assert found is not None
    assert found.rpartition("/")[2] == OPERATION.rpartition("/")[2]


@pytest.mark.parametrize(
    ("packed", "is_done"),
    [
        ({"@type": "type.googleapis.com/google.cloud.functions.v1.CloudFunction"}, True),
        (None, True),
    ],
)
def test_an_operation_of_another_kind_is_no_error(packed: object, is_done: bool) -> None:
    from pytest_deploygate.targets.function_operations import operation_of

    found = operation_of({"name": "o", "done": is_done, "response": packed, "metadata": packed})
    assert (found.is_done, found.function, found.metadata.target) == (True, None, "")


def test_an_operation_that_was_asked_for_something_new_is_known_all_the_same() -> None:
    from pytest_deploygate.targets.function_operations import operation_of

    begun = recorded("operation_running")
    begun["metadata"]["requestResource"] = {"@type": "type.googleapis.com/google.cloud.v9.Thing"}
    found = operation_of(begun)
    assert found.metadata.target.endswith(f"/functions/{FUNCTION}")
    assert found.asked is None
