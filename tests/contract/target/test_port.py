"""What the engine relies on, held by every target: the two that deploy to Google, and the fake of its own tests."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from pytest_deploygate.core.errors import Drifted, TargetRefused
from pytest_deploygate.core.function_spec import CopyRole
from pytest_deploygate.core.identifiers import RevisionName, RolloutId
from pytest_deploygate.core.own_tags import TAG_CANDIDATE, TAG_VERIFY
from pytest_deploygate.core.release import RolloutLabels, Snapshot
from pytest_deploygate.core.traffic import LATEST, Traffic
from pytest_deploygate.ports import Target
from pytest_deploygate.testing.fake_cloud import FakeCloud
from pytest_deploygate.testing.fake_target import FakeTarget, a_spec
from pytest_deploygate.testing.faults import FakeClock
from tests.contract.target.staged_function import (
    BUDGET_S,
    KINDS,
    ROLLOUT,
    make_source,
    make_spec,
    make_target_of,
    quietly,
    release,
    stage,
)


@pytest.fixture(params=["fake", *KINDS])
def target(request: pytest.FixtureRequest, tmp_path: Path, function_id: str) -> Iterator[Target]:
    """A target of each kind, with nothing deployed yet."""
    if request.param == "fake":
        yield FakeTarget(FakeCloud(FakeClock()), spec=a_spec(SHEET="staging"))
        return
    driver = request.getfixturevalue("driver")
    spec = make_spec(function_id, make_source(tmp_path / "source"))
    made = make_target_of(KINDS[request.param], driver, spec, tmp_path / "records")
    yield made
    made.close()


def test_before_the_first_release_there_is_nothing(target: Target) -> None:
    assert target.snapshot() == Snapshot(exists=False)
    assert target.find_operation() is None
    target.delete_function()
    with pytest.raises(TargetRefused):
        target.shift_traffic(Traffic.of({}), expect=Traffic.of({}))


def test_traffic_does_not_follow_latest_to_a_revision_that_is_only_staged(target: Target) -> None:
    baseline = release(target)
    stage(target)
    at_baseline = Traffic.of({baseline: 100})
    with pytest.raises(Drifted):
        target.shift_traffic(Traffic.of({LATEST: 100}), expect=at_baseline)
    assert target.snapshot().serving.sole == baseline


def test_a_first_release_is_closed_carries_its_rollout_and_can_be_taken_back(
    target: Target,
) -> None:
    staged = stage(target)
    assert staged.snapshot.exists
    assert not staged.snapshot.is_public
    assert staged.snapshot.rollout_labels.rollout is not None
    assert staged.snapshot.rollout_labels.baseline is None
    target.set_public(True)
    with pytest.raises(TargetRefused, match="public"):
        target.delete_function()
    target.set_public(False)
    target.delete_function()
    assert not target.snapshot().exists


def test_a_second_release_is_of_one_digest_and_takes_no_traffic(target: Target) -> None:
    baseline = release(target)
    staged = stage(target)
    assert staged.snapshot.serving.sole == baseline
    assert dict(staged.snapshot.traffic.tags) == {
        TAG_CANDIDATE: staged.candidate,
        TAG_VERIFY: staged.verification,
    }
    verification, candidate = (
        target.revision(staged.verification),
        target.revision(staged.candidate),
    )
    assert verification is not None
    assert candidate is not None
    assert verification.digest == candidate.digest != ""
    assert candidate.variables == {**verification.variables, "SHEET": "production"}
    assert verification.variables["SHEET"] == "staging"
    assert staged.snapshot.latest_created == staged.candidate  # what the template describes


def test_a_copy_equals_its_revision_and_is_made_once_for_a_rollout(target: Target) -> None:
    baseline = release(target)
    staged = stage(target)
    names = []
    for of, role in ((baseline, CopyRole.BASELINE), (staged.candidate, CopyRole.CANDIDATE)):
        name = target.copy_revision(of, role, ROLLOUT)
        assert target.copy_revision(of, role, ROLLOUT) == name
        target.await_revision(name, budget_s=BUDGET_S)
        original, copy = target.revision(of), target.revision(name)
        assert original is not None
        assert copy is not None
        assert copy._replace(name=of, image="", note="", created_at="") == original._replace(
            image="", note="", created_at=""
        )
        names.append(name)
    assert len({*names, baseline, staged.candidate, staged.verification}) == 5
    now = target.snapshot()
    assert now.latest_created == names[-1]  # what the template describes
    assert now.serving.sole == baseline
    gone = RevisionName("nobody-00001-abc")
    with pytest.raises(TargetRefused):
        target.copy_revision(gone, CopyRole.BASELINE, RolloutId("20261124-074500-1a2b3c"))


def test_traffic_is_compared_and_set_and_written_once(target: Target) -> None:
    baseline = release(target)
    staged = stage(target)
    at_baseline, at_candidate = (Traffic.of({name: 100}) for name in (baseline, staged.candidate))
    promoted = target.shift_traffic(at_candidate, expect=at_baseline)
    assert promoted.serving.sole == staged.candidate
    again = target.shift_traffic(at_candidate, expect=at_baseline)
    assert again.etag == promoted.etag
    with pytest.raises(Drifted):
        target.shift_traffic(Traffic.of({staged.verification: 100}), expect=at_baseline)
    labels = RolloutLabels(baseline=baseline, digest="d", config="c")
    back = target.shift_traffic(at_baseline, expect=at_candidate, rollout_labels=labels)
    assert back.serving.sole == baseline
    assert back.rollout_labels == labels
    assert back.is_release("d", "c")


def test_only_a_revision_without_traffic_and_tag_is_deleted(target: Target) -> None:
    baseline = release(target)
    staged = stage(target)
    for name in (baseline, staged.candidate):
        with pytest.raises(TargetRefused, match="traffic or a tag"):
            target.delete_revision(name)
    resting = Traffic.of({baseline: 100}, {TAG_CANDIDATE: staged.candidate})
    target.shift_traffic(resting, expect=Traffic.of({baseline: 100}))
    target.delete_revision(staged.verification)
    assert target.revision(staged.verification) is None
    target.delete_revision(staged.verification)
    assert target.revision(RevisionName("nobody-00001-abc")) is None


def test_a_backup_comes_back_as_a_new_revision_without_traffic(target: Target) -> None:
    baseline = release(target)
    backup = target.backup(target.snapshot())
    assert backup.revision == baseline
    staged = stage(target)
    operation = target.begin_restore(backup)
    restored = target.await_release(operation, progress=quietly, budget_s=BUDGET_S)
    assert restored not in {baseline, staged.candidate, staged.verification}
    now, before = target.revision(restored), target.revision(baseline)
    assert now is not None
    assert before is not None
    assert now.is_ready
    assert now.variables == before.variables
    assert target.snapshot().serving.sole == baseline
