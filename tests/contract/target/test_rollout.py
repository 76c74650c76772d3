"""A rollout on the emulator, call by call: what the public sees, and what the platform remembers."""

import json
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import requests

from pytest_deploygate.core.errors import TargetRefused
from pytest_deploygate.core.identifiers import Digest, RevisionName
from pytest_deploygate.core.own_tags import TAG_CANDIDATE, TAG_LIVE_VERIFY, TAG_VERIFY
from pytest_deploygate.core.release import RolloutLabels, Snapshot
from pytest_deploygate.core.secret_ref import SecretRef
from pytest_deploygate.core.traffic import LATEST, Traffic
from tests.contract.target.staged_function import (
    BUDGET_S,
    MAIN,
    ROLLOUT,
    AnyTarget,
    StagedFunction,
    quietly,
    release,
    stage,
)
from tests.emulator.emulator_driver import Driver, latest, to

NewTarget = Callable[..., AnyTarget]


def test_before_the_first_release_nothing_exists(new_target: NewTarget) -> None:
    target = new_target()
    assert target.snapshot() == Snapshot(exists=False)
    assert target.find_operation() is None
    target.delete_function()


@pytest.mark.of_target("google")
@pytest.mark.parametrize(
    ("updates", "is_automatic"), [("", True), ("automatic", True), ("on-deploy", False)]
)
def test_the_policy_of_base_image_updates_is_that_of_the_settings(
    new_target: NewTarget, updates: str, is_automatic: bool
) -> None:
    target = new_target(base_image_updates=updates)
    staged = stage(target)
    assert staged.snapshot.updates_base_image is is_automatic
    info = target.revision(staged.candidate)
    assert info is not None
    assert info.base_image.endswith(f"/runtimes/{target.spec.runtime}")


@pytest.mark.of_target("cloud-run")
@pytest.mark.parametrize(("updates", "is_automatic"), [("automatic", True), ("on-deploy", False)])
def test_a_service_names_its_base_image_where_the_platform_updates_it(
    new_target: NewTarget, updates: str, is_automatic: bool
) -> None:
    target = new_target(base_image_updates=updates)
    staged = stage(target)
    assert staged.snapshot.updates_base_image is is_automatic
    info = target.revision(staged.candidate)
    assert info is not None
    assert info.base_image.endswith(f"/runtimes/{target.spec.runtime}") is is_automatic


def test_a_first_release_is_closed_until_it_is_opened(
    new_target: NewTarget, driver: Driver
) -> None:
    target = new_target()
    staged = stage(target)
    url = staged.snapshot.url
    assert requests.get(url, timeout=20).status_code == 403
    token = target.call_token()
    assert token is not None
    headers = {"Authorization": f"Bearer {token.reveal()}"}
    assert requests.get(url, headers=headers, timeout=20).json()["SHEET"] == "production"
    assert target.answering_revision(url) == staged.snapshot.serving.sole
    promoted = target.shift_traffic(
        Traffic.of({staged.candidate: 100}), expect=staged.snapshot.serving
    )
    assert not promoted.is_public
    target.set_public(True)
    assert requests.get(url, timeout=20).json()["SHEET"] == "production"
    assert target.snapshot().is_public
    assert target.call_token() is None


def test_a_first_release_that_is_not_promoted_is_deleted(new_target: NewTarget) -> None:
    target = new_target()
    url = stage(target).snapshot.url
    target.delete_function()
    assert target.snapshot() == Snapshot(exists=False)
    with pytest.raises(requests.ConnectionError):
        requests.get(url, timeout=20)
    target.delete_function()


def test_a_public_function_is_not_deleted(shared: StagedFunction) -> None:
    with pytest.raises(TargetRefused, match="open to the public"):
        shared.target.delete_function()
    assert shared.serving() == {shared.baseline}


def test_a_second_release_takes_no_traffic(shared: StagedFunction) -> None:
    snapshot = shared.target.snapshot()
    assert shared.serving() == {shared.baseline}
    assert snapshot.serving == shared.at_baseline
    assert shared.target.answering_revision(snapshot.tag_urls[TAG_CANDIDATE]) == shared.candidate
    assert shared.target.answering_revision(snapshot.tag_urls[TAG_VERIFY]) == shared.verification
    assert snapshot.is_settled


def test_both_revisions_have_one_build_and_differ_in_the_named_variables(
    shared: StagedFunction,
) -> None:
    verification, candidate = (
        shared.target.revision(shared.verification),
        shared.target.revision(shared.candidate),
    )
    assert verification is not None
    assert candidate is not None
    assert verification.is_ready
    assert candidate.is_ready
    assert verification.digest == candidate.digest != ""
    platform = {"FUNCTION_TARGET"}  # which Cloud Functions adds, and Cloud Run does not
    found = [
        {name: value for name, value in one.variables.items() if name not in platform}
        for one in (candidate, verification)
    ]
    assert found == [
        {"SHEET": "production", "MODE": "a, b=c"},
        {"SHEET": "staging", "MODE": "a, b=c"},
    ]


def test_a_revision_that_does_not_exist_is_none(shared: StagedFunction) -> None:
    assert shared.target.revision(RevisionName("shared-quiet-00999-zzz")) is None


def test_promotion_and_rollback_move_what_the_public_sees(shared: StagedFunction) -> None:
    assert shared.promote().serving.sole == shared.candidate
    assert shared.serving() == {shared.candidate}
    shared.target.shift_traffic(shared.at_baseline, expect=shared.at_candidate)
    assert shared.serving() == {shared.baseline}


def test_a_split_reaches_both(shared: StagedFunction) -> None:
    split = shared.at_baseline.with_shares({shared.baseline: 50, shared.candidate: 50})
    after = shared.target.shift_traffic(split, expect=shared.at_baseline)
    assert after.serving.is_split
    assert after.baseline is None
    assert shared.serving() == {shared.baseline, shared.candidate}


def test_pinning_is_one_write_that_keeps_what_others_put_there(shared: StagedFunction) -> None:
    follow_latest_with_foreign_tag(shared)
    before = shared.target.snapshot()
    assert not before.traffic.is_pinned
    assert before.baseline == shared.candidate
    before_pin = shared.driver.last_call()
    rollout_labels = RolloutLabels(
        rollout=ROLLOUT, baseline=shared.candidate, digest="a" * 64, config="c"
    )
    after = shared.target.pin(before, rollout_labels)
    assert shared.writes(after=before_pin) == 1
    assert after.traffic == Traffic.of(
        {shared.candidate: 100}, {"blue": shared.baseline, TAG_CANDIDATE: shared.candidate}
    )
    assert after.rollout_labels == rollout_labels._replace(digest="a" * 63)
    assert dict(shared.read().labels)["team"] == "billing"
    [change] = [c for c in shared.driver.calls(after=before_pin) if c["method"] == "PATCH"]
    assert "updateMask=traffic,labels" in str(change["query"]).replace("%2C", ",")
    body = change["request"]
    assert isinstance(body, dict)
    assert set(body) <= {"name", "etag", "traffic", "labels"}


def follow_latest_with_foreign_tag(shared: StagedFunction) -> None:
    """As a person may have left it: all to the latest, and a tag that is not ours."""
    shared.driver.traffic(
        shared.service,
        latest(),
        to(shared.baseline, tag="blue"),
        to(shared.candidate, tag=TAG_CANDIDATE),
    )


def test_traffic_follows_the_latest_again(shared: StagedFunction) -> None:
    shared.promote()
    rollout_labels = RolloutLabels(baseline=shared.candidate, digest="d", config="c")
    after = shared.target.shift_traffic(
        Traffic.of({LATEST: 100}, {TAG_LIVE_VERIFY: shared.verification}),
        expect=Traffic.of({shared.candidate: 100}),
        rollout_labels=rollout_labels,
    )
    assert after.traffic.shares == ((LATEST, 100),)
    assert after.serving.sole == shared.candidate
    assert dict(after.traffic.tags) == {TAG_LIVE_VERIFY: shared.verification}
    assert after.rollout_labels == rollout_labels


@pytest.mark.of_target("google")
def test_an_update_keeps_labels_and_variables_of_the_platform(
    new_target: NewTarget, driver: Driver
) -> None:
    target = new_target(labels={"team": "billing"}, verify_variables={})
    release_one(target)
    name = f"projects/p1/locations/us-central1/functions/{target.spec.function}"
    function = driver.functions.get_function(name=name, timeout=20)
    function.labels["deployment-tool"] = "cli-gcloud"
    function.service_config.environment_variables["LOG_EXECUTION_ID"] = "true"
    driver.update(function, "labels", "service_config.environment_variables")
    revision = release_one(target)
    after = driver.functions.get_function(name=name, timeout=20)
    assert after.labels["deployment-tool"] == "cli-gcloud"
    assert after.labels["team"] == "billing"
    assert after.labels["deploygate-rollout"] == ROLLOUT
    info = target.revision(revision)
    assert info is not None
    assert info.variables["LOG_EXECUTION_ID"] == "true"
    assert info.variables["SHEET"] == "production"


def release_one(target: AnyTarget) -> RevisionName:
    """One revision from source, without a verification revision."""
    source = target.upload(target.package())
    operation = target.begin_release(source, RolloutLabels(rollout=ROLLOUT))
    return target.await_release(operation, progress=quietly, budget_s=BUDGET_S)


def test_no_update_ever_names_the_traffic_flag(shared: StagedFunction) -> None:
    queries = [str(call["query"]) for call in shared.driver.calls() if call["method"] == "PATCH"]
    assert queries
    assert not any("allTrafficOnLatestRevision" in query for query in queries)


def test_secrets_reach_the_function_and_not_the_description(
    new_target: NewTarget, driver: Driver
) -> None:
    target = new_target(secrets={"TOKEN": SecretRef(name="api-key")}, verify_variables={})
    revision = release_one(target)
    info = target.revision(revision)
    assert info is not None
    # a number, whatever the settings say: with `latest` a rollback to this revision would be none
    project = info.secrets["TOKEN"].project
    assert info.secrets == {"TOKEN": SecretRef(name="api-key", version="1", project=project)}
    assert "TOKEN" not in info.variables
    headers = {"Authorization": "Bearer x"}
    said = requests.get(target.snapshot().url, headers=headers, timeout=20).json()
    assert said["TOKEN"] == "from the secret store"


def test_progress_names_the_stages(new_target: NewTarget) -> None:
    target = new_target()
    lines: list[str] = []
    source = target.upload(target.package())
    operation = target.begin_release(source, RolloutLabels())
    target.await_release(operation, progress=lines.append, budget_s=BUDGET_S)
    assert lines[-1] == "revision: done"
    assert "build: done" in lines
    assert len(set(lines)) == len(lines)


@pytest.mark.of_target("google")
def test_another_process_finds_the_operation_and_waits_for_it(
    new_target: NewTarget, driver: Driver
) -> None:
    target = new_target()
    source = target.upload(target.package())
    driver.fault(method="POST", path="/functions$", operation={"kind": "slow", "slow_s": 1.0})
    operation = target.begin_release(source, RolloutLabels())
    other = new_target()
    assert other.find_operation() == operation
    revision = other.await_release(operation, progress=quietly, budget_s=BUDGET_S)
    assert other.find_operation() is None
    assert target.await_release(operation, progress=quietly, budget_s=0) == revision


# -- putting away ----------------------------------------------------------------------------------


def test_a_revision_with_a_tag_is_not_deleted(shared: StagedFunction) -> None:
    before = shared.driver.last_call()
    with pytest.raises(TargetRefused, match="has traffic or a tag"):
        shared.target.delete_revision(shared.verification)
    with pytest.raises(TargetRefused, match="has traffic or a tag"):
        shared.target.delete_revision(shared.baseline)
    assert not any(c["method"] == "DELETE" for c in shared.driver.calls(after=before))


def test_a_revision_without_traffic_and_tag_is_deleted(new_target: NewTarget) -> None:
    target = new_target()
    staged = stage(target)
    target.shift_traffic(Traffic.of({staged.candidate: 100}), expect=staged.snapshot.serving)
    target.delete_revision(staged.verification)
    assert target.revision(staged.verification) is None
    target.delete_revision(staged.verification)


# -- backups ---------------------------------------------------------------------------------------


@pytest.mark.of_target("google")
def test_a_backup_holds_source_and_settings_and_can_be_redeployed(
    new_target: NewTarget, driver: Driver
) -> None:
    target = new_target()
    baseline = release(target)
    backup = target.backup(target.snapshot())
    assert backup.revision == baseline
    assert backup.path.endswith(f"{backup.identifier}.zip")
    with zipfile.ZipFile(backup.path) as opened:
        assert opened.read("main.py").decode() == MAIN
    assert Path(backup.path).stat().st_mode & 0o077 == 0
    settings = json.loads(backup.settings)
    assert settings["function"]["serviceConfig"]["environmentVariables"]["SHEET"] == "production"
    assert target.backup(target.snapshot()) == backup
    damaged = replace(backup, sha256=Digest("0" * 64))
    with pytest.raises(TargetRefused, match="damaged"):
        target.begin_restore(damaged)

    other = new_target(MAIN.replace('"SHEET"', '"OTHER"'))
    newer = release(other)
    operation = other.begin_restore(backup)
    restored = new_target().await_release(operation, progress=quietly, budget_s=BUDGET_S)
    assert restored not in (baseline, newer)
    assert other.snapshot().serving.sole == newer
    now, before = other.revision(restored), other.revision(baseline)
    assert now is not None
    assert before is not None
    assert now.digest != before.digest  # the platform builds again
    assert now.variables == before.variables


@pytest.mark.of_target("google")
def test_without_an_earlier_backup_only_the_settings_are_kept(shared: StagedFunction) -> None:
    # the platform would hand out the candidate's source now, and the baseline serves
    assert shared.target.snapshot().baseline == shared.baseline
    backup = shared.target.backup(shared.target.snapshot())
    assert backup.path == ""
    assert json.loads(backup.settings)["function"]["name"].endswith(shared.target.spec.function)
    with pytest.raises(TargetRefused, match="not its source"):
        shared.target.begin_restore(backup)


def test_an_earlier_backup_of_what_serves_is_found_again(new_target: NewTarget) -> None:
    target = new_target()
    baseline = release(target)
    first = target.backup(target.snapshot())
    stage(new_target(MAIN + "# changed\n"))
    again = target.backup(target.snapshot())
    assert (again.revision, again.path, again.sha256) == (baseline, first.path, first.sha256)


def test_the_backup_of_an_unchanged_service_is_fetched_once_while_it_is_whole(
    new_target: NewTarget, driver: Driver
) -> None:
    target = new_target()
    release(target)
    before = target.snapshot()
    backup = target.backup(before)
    whole = Path(backup.path).read_bytes()
    asked = driver.last_call()
    assert target.backup(before) == backup
    assert driver.calls(after=asked) == []
    # readiness checks are told the path
    Path(backup.path).write_bytes(b"damaged")
    assert target.backup(before) == backup
    assert Path(backup.path).read_bytes() == whole
    stage(new_target(MAIN + "# changed\n"))
    asked = driver.last_call()
    target.backup(target.snapshot())
    assert len(driver.calls(after=asked)) > 3


def test_a_split_has_no_one_revision_to_back_up(shared: StagedFunction) -> None:
    split = shared.at_baseline.with_shares({shared.baseline: 50, shared.candidate: 50})
    shared.target.shift_traffic(split, expect=shared.at_baseline)
    with pytest.raises(TargetRefused, match="split"):
        shared.target.backup(shared.target.snapshot())
