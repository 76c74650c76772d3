"""The main job, a rollback and a recovery on the emulator, which answers as the platform is recorded to."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from pytest_deploygate.core.own_tags import TAG_LIVE_VERIFY, TAG_PREVIOUS, TAG_PREVIOUS_VERIFY
from pytest_deploygate.core.record import RolloutRecord
from pytest_deploygate.core.state_machine import State
from pytest_deploygate.engine.engine_context import Ports
from pytest_deploygate.targets.cloud_functions import CloudFunctionsTarget
from tests.contract import engine_runs
from tests.contract.recorded_changes import CHANGES, TOGETHER, NoDigest, RecordedChange, forward_to
from tests.contract.target.staged_function import (
    MAIN,
    HurriedClock,
    make_source,
    make_spec,
)
from tests.emulator.emulator_driver import Driver
from tests.loopback_server import serving

PARENT = "projects/p1/locations/us-central1"


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedPlace:
    """A function that a rollout sees through the proxy, and that the test sees as it is."""

    ports: Ports
    driver: Driver
    source: Path
    function: str

    def release(self, number: int) -> None:
        """Write another release."""
        make_source(self.source, f"{MAIN}# {number}\n")

    def builds(self, after: int) -> int:
        """How often the platform was asked to build since that call."""
        asked = [c for c in self.driver.calls(after=after) if "/functions" in str(c["path"])]
        return sum(c["method"] == "PATCH" or "functionId" in str(c["query"]) for c in asked)

    def serving(self) -> set[str]:
        """Revisions that answer at the public URL, of 10 requests."""
        url = self.driver.service(f"{PARENT}/services/{self.function}").uri
        return {str(self.driver.get(url).json()["K_REVISION"]) for _ in range(10)}


@pytest.fixture
def place(
    driver: Driver, tmp_path: Path, request: pytest.FixtureRequest
) -> Iterator[RecordedPlace]:
    """A place where nothing is deployed, behind the changes that the test is about."""
    changes: tuple[type[RecordedChange], ...] = request.param
    function = f"recorded-{request.node.callspec.id.lower()}"
    source = make_source(tmp_path / "source")
    clock = HurriedClock()
    with serving() as start:
        target = CloudFunctionsTarget(
            spec=make_spec(function, source),
            endpoint=start(
                forward_to(driver.cloud.endpoint, *(change() for change in changes))
            ).url,
            credentials=None,
            home=tmp_path / "records",
            clock=clock,
            is_local=True,
        )
        ports = engine_runs.ports_on(target, clock)
        yield RecordedPlace(ports=ports, driver=driver, source=source, function=function)
        ports.store.close()
        target.close()


# each alone where every fault is tried ("tox -e full"); together they meet every line, too
EACH = [(change,) for change in CHANGES] if os.environ.get("DEPLOYGATE_GRID") == "full" else []


@pytest.mark.parametrize(
    "place",
    [*TOGETHER, *EACH],
    ids=lambda changes: (
        changes[0].__name__ if len(changes) == 1 else f"{changes[0].__name__}-and-more"
    ),
    indirect=True,
)
def test_the_main_job_a_rollback_and_a_recovery_end_as_they_should(place: RecordedPlace) -> None:
    first = engine_runs.deploy(place.ports, "c1")
    assert first.state is State.PROMOTED, first.reason
    place.release(2)
    before = place.driver.last_call()
    second = engine_runs.deploy(place.ports, "c2")
    assert second.state is State.PROMOTED, second.reason
    assert second.unfinished == ""
    assert place.builds(before) == 1
    assert second.build is not None
    assert second.build.image.startswith("sha256:")
    assert second.build.differs_in == ("SHEET",)
    assert place.serving() == {second.candidate}
    assert_all_describes_production(place, second)
    tags = dict(place.ports.target.snapshot().traffic.tags)
    assert tags == {TAG_PREVIOUS: first.candidate, TAG_PREVIOUS_VERIFY: first.verification} | {
        TAG_LIVE_VERIFY: second.verification
    }

    assert_image_is_kept(place, first)

    place.release(3)
    taken_back = engine_runs.deploy(place.ports, "c3", holds=False)
    assert taken_back.state is State.ROLLED_BACK, taken_back.reason
    assert place.serving() == {second.candidate}
    place.release(4)
    died = engine_runs.deploy_and_die(place.ports, "c4")
    assert place.serving() == {died.candidate}
    [recovered] = engine_runs.recover(place.ports)
    assert recovered.state is State.ROLLED_BACK, recovered.sentence
    assert place.serving() == {second.candidate}
    assert engine_runs.recover(place.ports) == ()


def assert_all_describes_production(place: RecordedPlace, record: RolloutRecord) -> None:
    """Whoever edits next, in the console or with Terraform, starts from production."""
    service = place.driver.service(f"{PARENT}/services/{place.function}")
    name = f"{PARENT}/functions/{place.function}"
    function = place.driver.functions.get_function(name=name, timeout=20)
    template = {v.name: v.value for v in service.template.containers[0].env}
    assert function.service_config.environment_variables["SHEET"] == "production"
    assert template["SHEET"] == "production"
    assert service.template.revision == ""
    assert service.latest_created_revision.endswith(f"/{record.candidate}")


def assert_image_is_kept(place: RecordedPlace, record: RolloutRecord) -> None:
    """The image of the release before has a tag of its own, and a clean-up of untagged ones leaves it alone."""
    assert record.build is not None
    package = f"p1__us--central1__{place.function.replace('-', '--')}"
    registry = "v1/projects/p1/locations/us-central1/repositories/gcf-artifacts"
    url = f"{place.driver.cloud.endpoint}/{registry}/packages/{package}/tags/{TAG_PREVIOUS}"
    tag = place.driver.http.get(url, timeout=20).json()
    assert tag["version"].endswith(f"/versions/{record.build.image}")


@pytest.mark.parametrize("place", [(NoDigest,)], ids=["no-digest"], indirect=True)
def test_an_image_of_which_only_the_tag_is_known_is_refused(place: RecordedPlace) -> None:
    ended = engine_runs.deploy(place.ports, "c1")
    assert ended.state is State.ROLLED_BACK
    assert "a tag is no identity" in ended.reason
    assert not place.ports.target.snapshot().exists


@pytest.mark.parametrize("place", [(RecordedChange,)], ids=["vanished-image"], indirect=True)
def test_a_release_whose_image_vanished_is_restored_from_its_backup(place: RecordedPlace) -> None:
    records = [engine_runs.deploy(place.ports, "c1")]
    for number in (2, 3):
        place.release(number)
        records.append(engine_runs.deploy(place.ports, f"c{number}"))
    assert [one.state for one in records] == [State.PROMOTED] * 3
    first, _, third = (one.candidate for one in records)
    assert first is not None
    place.driver.lose_image(first)

    rollout = engine_runs.go_back(place.ports, first)
    assert rollout.state is State.ROLLED_BACK, rollout.reason
    serving = place.serving()
    assert serving == {rollout.redeployed}
    assert serving.isdisjoint({first, third})
    place.driver.local("DELETE", "faults")


@pytest.mark.parametrize("place", [(RecordedChange,)], ids=["promoted-tag"], indirect=True)
def test_the_baseline_has_a_tag_as_soon_as_it_loses_its_traffic(place: RecordedPlace) -> None:
    first = engine_runs.deploy(place.ports, "c1")
    place.release(2)
    engine_runs.deploy_and_die(place.ports, "c2")
    assert dict(place.ports.target.snapshot().traffic.tags)[TAG_PREVIOUS] == first.candidate
    engine_runs.recover(place.ports)
    assert TAG_PREVIOUS not in dict(place.ports.target.snapshot().traffic.tags)
