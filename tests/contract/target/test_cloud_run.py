"""What the target for Cloud Run does by itself: builds, images by digest, names of its own, answers that get lost."""

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import requests
from google.cloud import run_v2

from pytest_deploygate.core.artifacts import Backup
from pytest_deploygate.core.container_spec import ContainerSpec, StartupProbe
from pytest_deploygate.core.errors import (
    BuildFailed,
    OutcomeUnknown,
    StartFailed,
    TargetRefused,
)
from pytest_deploygate.core.identifiers import RolloutId
from pytest_deploygate.core.release import RevisionInfo, RolloutLabels
from pytest_deploygate.core.secret_ref import SecretRef
from pytest_deploygate.core.traffic import Traffic
from pytest_deploygate.targets.cloud_run import CloudRunTarget
from tests.contract.target.staged_function import (
    BUDGET_S,
    MAIN,
    ROLLOUT,
    AnyTarget,
    StagedFunction,
    StagedRevisions,
    make_target,
    quietly,
    release,
    stage,
)
from tests.emulator.emulator_driver import Driver, until

NewTarget = Callable[..., AnyTarget]
LABELS = RolloutLabels(rollout=ROLLOUT)
CREATE, PATCH = {"method": "POST", "path": "/services$"}, {"method": "PATCH", "path": "/services/"}


def deployed(target: AnyTarget, labels: RolloutLabels = LABELS) -> str:
    """Name of a revision that was released without a verification revision."""
    operation = target.begin_release(target.upload(target.package()), labels)
    return target.await_release(operation, progress=quietly, budget_s=BUDGET_S)


def service_of(driver: Driver, target: AnyTarget) -> run_v2.Service:
    return driver.service(target.snapshot().service)


def revisions_of(driver: Driver, target: AnyTarget) -> list[str]:
    parent = target.snapshot().service
    found = driver.http.get(f"{driver.cloud.endpoint}/v2/{parent}/revisions", timeout=20).json()
    return [one["name"].rpartition("/")[2] for one in found.get("revisions", [])]


def writes(driver: Driver, after: int) -> list[str]:
    """Methods of the changes of services since the call number ``after``."""
    changes = [c for c in driver.calls(after=after) if c["method"] in {"POST", "PATCH"}]
    of_services = [c for c in changes if re.search(r"/services(/[^:]+)?$", str(c["path"]))]
    return [str(c["method"]) for c in of_services]


# -- a release ------------------------------------------------------------------------------------


def test_a_release_is_one_build_whose_digest_is_deployed_under_a_name_of_ours(
    new_target: NewTarget, driver: Driver
) -> None:
    target = new_target(verify_variables={})
    before = driver.last_call()
    revision = deployed(target)
    calls = driver.calls(after=before)
    assert sum("builds:submit" in str(c["path"]) for c in calls) == 1
    assert not any("/functions" in str(c["path"]) for c in calls)
    assert revision.startswith(target.snapshot().service.rpartition("/")[2] + "-dg-261123-abcd")
    service = service_of(driver, target)
    image = service.template.containers[0].image
    assert "/cloud-run-source-deploy/" in image
    assert "@sha256:" in image
    assert service.template.revision == revision
    assert service.build_config.function_target == "hello"
    info = target.revision(target.snapshot().serving.sole or target.snapshot().latest_ready)  # type: ignore[arg-type]
    assert info is not None
    assert image.endswith(info.digest)


def test_the_verification_revision_and_the_candidate_are_of_one_digest_and_named_alike(
    shared: StagedFunction,
) -> None:
    verification, candidate = (
        shared.target.revision(shared.verification),
        shared.target.revision(shared.candidate),
    )
    assert verification is not None
    assert candidate is not None
    assert verification.digest == candidate.digest != ""
    assert shared.verification.endswith("-v")
    assert shared.candidate.endswith("-c")
    assert shared.verification[:-2] == shared.candidate[:-2]
    assert shared.read().template.revision == shared.candidate


def test_what_others_put_into_the_template_stays(new_target: NewTarget, driver: Driver) -> None:
    target = new_target(verify_variables={}, labels={"team": "billing"})
    deployed(target)
    service = service_of(driver, target)
    service.template.annotations["example.com/owner"] = "somebody"
    service.template.containers[0].env.append(run_v2.EnvVar(name="LOG_EXECUTION_ID", value="true"))
    service.template.containers[0].env.append(run_v2.EnvVar(name="FUNCTION_TARGET", value="old"))
    service.template.revision = ""
    service.labels["deployment-tool"] = "cli-gcloud"
    request = run_v2.UpdateServiceRequest(
        service=service, update_mask={"paths": ["template", "labels"]}
    )
    driver.services.update_service(request, timeout=20)
    until(lambda: service_of(driver, target), lambda found: not found.reconciling)
    deployed(target, RolloutLabels(rollout=RolloutId("20261124-0001-abcd")))
    after = service_of(driver, target)
    variables = {v.name: v.value for v in after.template.containers[0].env}
    assert after.template.annotations["example.com/owner"] == "somebody"
    assert variables == {"SHEET": "production", "MODE": "a, b=c", "LOG_EXECUTION_ID": "true"}
    assert dict(after.labels)["deployment-tool"] == "cli-gcloud"
    assert dict(after.labels)["team"] == "billing"
    assert dict(after.labels)["deploygate-rollout"] == "20261124-0001-abcd"


def test_who_builds_and_updates_of_the_base_image_stay_where_nobody_names_them(
    new_target: NewTarget, driver: Driver
) -> None:
    target = new_target(verify_variables={})
    deployed(target)
    service = service_of(driver, target)
    builder = "projects/p1/serviceAccounts/builder@p1.iam.gserviceaccount.com"
    pool = "projects/p1/locations/us-central1/workerPools/pool"
    service.build_config.service_account = builder
    service.build_config.worker_pool = pool
    service.build_config.enable_automatic_updates = True
    request = run_v2.UpdateServiceRequest(service=service, update_mask={"paths": ["build_config"]})
    driver.services.update_service(request, timeout=20)
    until(lambda: service_of(driver, target), lambda found: not found.reconciling)
    before = driver.last_call()
    deployed(target, RolloutLabels(rollout=RolloutId("20261124-0001-abcd")))
    [submitted] = [c["request"] for c in driver.calls(before) if "builds:submit" in str(c["path"])]
    sent = json.loads(str(submitted)) if isinstance(submitted, str) else submitted
    assert isinstance(sent, dict)
    assert (sent["serviceAccount"], sent["workerPool"]) == (builder, pool)
    assert sent["buildpackBuild"]["enableAutomaticUpdates"]
    after = service_of(driver, target)
    assert (after.build_config.service_account, after.build_config.worker_pool) == (builder, pool)
    assert after.build_config.enable_automatic_updates
    assert after.template.containers[0].base_image_uri
    named = new_target(verify_variables={}, base_image_updates="on-deploy")
    deployed(named, RolloutLabels(rollout=RolloutId("20261125-0001-abcd")))
    after = service_of(driver, target)
    assert not after.build_config.enable_automatic_updates
    assert not after.template.containers[0].base_image_uri


def test_everything_that_the_settings_name_reaches_the_service(
    new_target: NewTarget, driver: Driver
) -> None:
    files = {"/tmp/secrets/key": SecretRef(name="api-key")}
    target = new_target(
        MAIN.replace("return said", "said['FILE'] = open('/tmp/secrets/key').read(); return said"),
        verify_variables={},
        cpu="1",
        memory="1Gi",
        concurrency=4,
        min_instances=1,
        max_instances=3,
        service_account="runner@p1.iam.gserviceaccount.com",
        vpc_egress="PRIVATE_RANGES_ONLY",
        secrets={"TOKEN": SecretRef(name="api-key")},
        container=ContainerSpec(
            secret_files=files,
            vpc_network="default",
            vpc_subnetwork="sub",
            vpc_tags=("web",),
            startup_probe=StartupProbe(path="/", period_s=1, failures=9),
        ),
    )
    deployed(target)
    template = service_of(driver, target).template
    [container] = template.containers
    assert dict(container.resources.limits) == {"memory": "1Gi", "cpu": "1"}
    assert template.max_instance_request_concurrency == 4
    assert (template.scaling.min_instance_count, template.scaling.max_instance_count) == (1, 3)
    assert template.service_account == "runner@p1.iam.gserviceaccount.com"
    assert template.timeout.seconds == 20
    [interface] = template.vpc_access.network_interfaces
    assert (interface.network, interface.subnetwork, list(interface.tags)) == (
        "default",
        "sub",
        ["web"],
    )
    assert container.startup_probe.http_get.path == "/"
    assert [m.mount_path for m in container.volume_mounts] == ["/tmp/secrets"]
    url, headers = target.snapshot().url, {"Authorization": "Bearer x"}
    said = requests.get(url, headers=headers, timeout=20).json()
    assert said["TOKEN"] == said["FILE"] == "from the secret store"
    assert requests.get(url, timeout=20).status_code == 403  # closed until it is judged


def test_a_build_that_fails_names_its_log_and_changes_nothing(
    new_target: NewTarget, driver: Driver
) -> None:
    target = new_target(verify_variables={})
    driver.fault(
        path="builds:submit", operation={"kind": "build_failed", "message": "no such package"}
    )
    with pytest.raises(BuildFailed, match="no such package") as caught:
        deployed(target)
    assert caught.value.log_url
    assert not target.snapshot().exists


def test_a_revision_that_does_not_start_is_told_in_the_words_of_the_platform(
    new_target: NewTarget, driver: Driver
) -> None:
    deployed(new_target(verify_variables={}))
    broken = new_target("""\
raise RuntimeError('no')

def hello(request):
    return ''
""")
    with pytest.raises(StartFailed, match="did not start"):
        deployed(broken)


def test_a_bad_startup_probe_keeps_a_revision_from_being_ready(new_target: NewTarget) -> None:
    probe = ContainerSpec(startup_probe=StartupProbe(path="/"))
    target = new_target(
        """\
def hello(request):
    return 'no', 500
""",
        verify_variables={},
        container=probe,
    )
    with pytest.raises(StartFailed):
        deployed(target)


# -- answers that get lost --------------------------------------------------------------------------


@pytest.mark.parametrize("rule", [CREATE, PATCH], ids=["create", "patch"])
@pytest.mark.parametrize("effect", [{"drop": "after"}, {"http": 503, "applied": True}], ids=str)
def test_a_lost_answer_is_settled_by_one_reading_without_a_second_revision(
    new_target: NewTarget, driver: Driver, rule: dict[str, str], effect: dict[str, object]
) -> None:
    target = new_target(verify_variables={})
    if rule is PATCH:
        deployed(target, RolloutLabels(rollout=RolloutId("20261101-0001-0000")))
    known = revisions_of(driver, target) if rule is PATCH else []
    operation = target.begin_release(target.upload(target.package()), LABELS)
    before = driver.last_call()
    driver.fault(**rule, **effect)
    revision = target.await_release(operation, progress=quietly, budget_s=BUDGET_S)
    assert writes(driver, before) == [rule["method"]]
    assert sorted(set(revisions_of(driver, target)) - set(known)) == [revision]


def test_a_write_that_was_not_applied_is_made_again(new_target: NewTarget, driver: Driver) -> None:
    target = new_target(verify_variables={})
    driver.fault(**CREATE, drop="before")
    revision = deployed(target)
    assert revisions_of(driver, target) == [revision]
    driver.fault(**PATCH, http=409, status="ABORTED")
    again = deployed(target, RolloutLabels(rollout=RolloutId("20261124-0001-abcd")))
    assert revisions_of(driver, target) == [again, revision]


def test_a_write_of_which_nothing_can_be_read_is_not_repeated(
    new_target: NewTarget, driver: Driver
) -> None:
    target = new_target(verify_variables={})
    deployed(target)
    labels = RolloutLabels(rollout=RolloutId("20261124-0001-abcd"))
    operation = target.begin_release(target.upload(target.package()), labels)
    before = driver.last_call()
    driver.fault(**PATCH, drop="after")
    driver.fault(method="GET", path=r"/services/[^/:]+$", after=1, http=503, times=None)
    with pytest.raises(OutcomeUnknown, match="cannot be read"):
        target.await_release(operation, progress=quietly, budget_s=BUDGET_S)
    driver.local("DELETE", "faults")
    assert writes(driver, before) == ["PATCH"]


def test_a_lost_answer_of_a_build_begins_another_and_deploys_one(
    new_target: NewTarget, driver: Driver
) -> None:
    target = new_target(verify_variables={})
    before = driver.last_call()
    driver.fault(path="builds:submit", drop="after")
    revision = deployed(target)
    assert revisions_of(driver, target) == [revision]
    assert writes(driver, before) == ["POST"]


def test_a_process_that_died_while_it_built_changed_nothing(
    new_target: NewTarget, driver: Driver
) -> None:
    target = new_target(verify_variables={})
    operation = target.begin_release(target.upload(target.package()), LABELS)
    other = new_target(verify_variables={})
    assert other.find_operation() is None
    with pytest.raises(TargetRefused, match="died before it deployed"):
        other.await_release(operation, progress=quietly, budget_s=BUDGET_S)
    assert not other.snapshot().exists
    revision = target.await_release(operation, progress=quietly, budget_s=BUDGET_S)
    assert other.await_release(operation, progress=quietly, budget_s=BUDGET_S) == revision


def test_another_process_waits_until_the_service_stands_still(
    new_target: NewTarget, driver: Driver
) -> None:
    target = new_target(verify_variables={})
    revision = deployed(target)
    service = service_of(driver, target)
    service.template.revision = ""
    service.template.containers[0].env.append(run_v2.EnvVar(name="MORE", value="1"))
    driver.fault(**PATCH, operation={"kind": "slow", "slow_s": 1.0})
    request = run_v2.UpdateServiceRequest(service=service, update_mask={"paths": ["template"]})
    driver.services.update_service(request, timeout=20)
    other = new_target(verify_variables={})
    operation = other.find_operation()
    assert operation == service.name
    found = other.await_release(operation, progress=quietly, budget_s=BUDGET_S)
    assert found != revision
    assert other.find_operation() is None


# -- what is not ours -------------------------------------------------------------------------------


def test_a_service_that_somebody_made_meanwhile_is_not_changed(
    new_target: NewTarget, driver: Driver
) -> None:
    mine, theirs = new_target(verify_variables={}), new_target(verify_variables={})
    operation = mine.begin_release(mine.upload(mine.package()), LABELS)
    other = deployed(theirs, RolloutLabels(rollout=RolloutId("20261101-0001-0000")))
    before = driver.last_call()
    with pytest.raises(TargetRefused, match="made by somebody else"):
        mine.await_release(operation, progress=quietly, budget_s=BUDGET_S)
    assert writes(driver, before) == []
    assert revisions_of(driver, theirs) == [other]


def test_a_service_that_vanished_is_not_made_again(new_target: NewTarget, driver: Driver) -> None:
    target = new_target(verify_variables={})
    deployed(target)
    labels = RolloutLabels(rollout=RolloutId("20261124-0001-abcd"))
    operation = target.begin_release(target.upload(target.package()), labels)
    target.delete_function()
    with pytest.raises(TargetRefused, match="does not exist any more"):
        target.await_release(operation, progress=quietly, budget_s=BUDGET_S)
    assert not target.snapshot().exists


# -- images -----------------------------------------------------------------------------------------


def test_an_image_is_deployed_by_the_digest_that_its_tag_leads_to(
    new_target: NewTarget, driver: Driver
) -> None:
    source = new_target(verify_variables={})
    deployed(source)
    pinned = service_of(driver, source).template.containers[0].image
    repository = pinned.partition("@")[0]
    by_both = pinned.replace("@", ":gone@")
    for image in (pinned, by_both, repository, f"{repository}:latest"):
        target = new_target(verify_variables={}, source="", container=ContainerSpec(image=image))
        package = target.package()
        assert pinned.endswith(package.digest)
        assert not [found for found in target.preflight() if found.is_blocking]
        before = driver.last_call()
        deployed(target)
        assert not any("builds:submit" in str(c["path"]) for c in driver.calls(before))
        assert service_of(driver, target).template.containers[0].image == pinned


@pytest.mark.parametrize(
    ("image", "words"),
    [
        ("docker.io/library/nginx:1", "its registry is not Artifact Registry"),
        ("us-central1-docker.pkg.dev/p1/apps/none:v1", "leads nowhere"),
    ],
)
def test_a_tag_that_cannot_be_resolved_is_refused(
    new_target: NewTarget, image: str, words: str
) -> None:
    target = new_target(source="", container=ContainerSpec(image=image))
    with pytest.raises(TargetRefused, match=words) as caught:
        target.package()
    assert caught.value.hint


def test_a_foreign_image_is_refused_locally_and_a_command_stands_in(
    new_target: NewTarget, tmp_path: Path
) -> None:
    image = f"docker.io/library/nginx@sha256:{'0' * 64}"
    target = new_target(verify_variables={}, source="", container=ContainerSpec(image=image))
    with pytest.raises(TargetRefused, match="images that it built itself"):
        deployed(target)
    (tmp_path / "source" / "server.py").write_text(SERVER)
    command = ("python3", "server.py")
    stood_for = new_target(
        verify_variables={}, container=ContainerSpec(image=image, command=command)
    )
    deployed(stood_for)
    headers = {"Authorization": "Bearer x"}
    assert requests.get(stood_for.snapshot().url, headers=headers, timeout=20).text == "production"


SERVER = """
import http.server, os
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(os.environ["SHEET"].encode())
http.server.HTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
"""


# -- backups, and the move from Cloud Functions -----------------------------------------------------


def test_a_backup_is_restored_by_its_digest_or_built_of_its_source(
    new_target: NewTarget, driver: Driver
) -> None:
    target = new_target()
    baseline = release(target)
    backup = target.backup(target.snapshot())
    assert Path(backup.path).is_file()
    assert target.backup(target.snapshot()) == backup
    before = target.revision(baseline)
    assert before is not None
    [by_digest, by_source] = [
        restored(new_target(), replace(backup, settings=settings))
        for settings in (backup.settings, backup.settings.replace(before.digest, f"sha256:{'0' * 64}"))
    ]  # fmt: skip
    assert by_digest.digest == before.digest != by_source.digest
    assert by_digest.variables == by_source.variables == before.variables
    assert target.snapshot().serving.sole == baseline
    gone = replace(
        backup, path="", settings=backup.settings.replace(before.digest, f"sha256:{'0' * 64}")
    )
    with pytest.raises(TargetRefused, match=str(backup.identifier)):
        target.begin_restore(gone)


def restored(target: AnyTarget, backup: Backup) -> RevisionInfo:
    operation = target.begin_restore(backup)
    name = target.await_release(operation, progress=quietly, budget_s=BUDGET_S)
    info = target.revision(name)
    assert info is not None
    return info


def test_a_service_moves_from_cloud_functions_and_back_again(
    new_target: NewTarget, driver: Driver, tmp_path: Path
) -> None:
    moved = new_target()
    assert isinstance(moved, CloudRunTarget)
    function = make_target(driver, moved.spec, tmp_path / "records")
    baseline = release(function)
    backup = function.backup(function.snapshot())
    staged: StagedRevisions = stage(moved, RolloutId("20261124-0001-beef"))
    assert staged.snapshot.serving.sole == baseline  # never taken for a first release
    at_candidate = Traffic.of({staged.candidate: 100})
    moved.shift_traffic(at_candidate, expect=Traffic.of({baseline: 100}))
    url = moved.snapshot().url
    assert requests.get(url, timeout=20).json()["K_REVISION"] == staged.candidate
    moved.shift_traffic(Traffic.of({baseline: 100}), expect=at_candidate)
    assert requests.get(url, timeout=20).json()["K_REVISION"] == baseline
    rebuilt = restored(moved, backup)
    before = moved.revision(baseline)
    assert before is not None
    assert rebuilt.variables == before.variables
    of_run = moved.backup(moved.snapshot())
    with pytest.raises(TargetRefused, match=r"of a Cloud Run service|not its source"):
        function.begin_restore(of_run)
    function.close()


def test_plan_renders_gcloud_run_deploy(shared: StagedFunction) -> None:
    text = "\n".join(shared.target.gcloud_commands(shared.target.snapshot(), (100,)))
    assert "gcloud run deploy" in text
    assert "--function=hello" in text
    assert "--no-traffic" in text
    assert f"--to-revisions={shared.baseline}=100" in text
    assert "gcloud functions" not in text
    assert json.dumps(text)
