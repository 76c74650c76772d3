"""What is found before anything is touched, each finding with what to do about it."""

from collections.abc import Callable

import pytest
from google.cloud import run_v2

from pytest_deploygate.core.errors import TargetRefused
from pytest_deploygate.core.preflight import PreflightFinding
from pytest_deploygate.core.release import RolloutLabels
from pytest_deploygate.core.secret_ref import SecretRef
from pytest_deploygate.targets.cloud_functions import CloudFunctionsTarget
from tests.contract.target.google_replies import error, reply
from tests.contract.target.staged_function import (
    HurriedClock,
    StagedFunction,
    make_target,
)
from tests.emulator.emulator_driver import POLLING, to
from tests.loopback_server import Asked, Reply, serving

NewTarget = Callable[..., CloudFunctionsTarget]


def the_one(findings: tuple[PreflightFinding, ...]) -> PreflightFinding:
    [found] = findings
    assert found.hint
    return found


def changed(shared: StagedFunction, **changes: object) -> tuple[PreflightFinding, ...]:
    """Preflight of the shared function with other settings."""
    spec = shared.target.spec._replace(**changes)  # type: ignore[arg-type]
    target = make_target(shared.driver, spec, shared.home)
    found = target.preflight()
    target.close()
    return found


def test_nothing_is_found_when_all_is_well(shared: StagedFunction, new_target: NewTarget) -> None:
    assert shared.target.preflight() == ()
    assert new_target().preflight() == ()


def test_preflight_changes_nothing(shared: StagedFunction) -> None:
    before = shared.driver.last_call()
    shared.target.preflight()
    asked = shared.driver.calls(after=before)
    assert asked
    assert all(c["method"] == "GET" or ":test" in str(c["path"]) for c in asked)


def test_a_split_blocks(shared: StagedFunction) -> None:
    shared.driver.traffic(shared.service, to(shared.baseline, 60), to(shared.candidate, 40))
    found = the_one(shared.target.preflight())
    assert found.is_blocking
    assert f"{shared.baseline}=60" in found.sentence


def test_a_deployment_under_way_is_said(shared: StagedFunction) -> None:
    shared.driver.fault(
        method="PATCH", path=r"/functions/[^/:]+$", operation={"kind": "slow", "slow_s": 1}
    )
    function = shared.driver.functions.get_function(
        name=f"projects/p1/locations/us-central1/functions/{shared.target.spec.function}",
        timeout=20,
    )
    request = {"function": function, "update_mask": {"paths": ["labels"]}}
    operation = shared.driver.functions.update_function(request, timeout=20)
    found = shared.target.preflight()
    assert not any(f.is_blocking for f in found if "being deployed" in f.sentence)
    assert [f for f in found if "being deployed right now" in f.sentence]
    operation.result(polling=POLLING)  # type: ignore[no-untyped-call]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"runtime": "python27"}, "does not offer the runtime python27"),
        ({"function": "f" * 40}, "has 40 characters"),
        ({"function": "Upper"}, "'Upper' cannot be the name"),
        ({"variables": {"MODE": "1", "2ND": "1"}}, "'2ND' cannot be the name of a variable"),
        ({"variables": {"MODE": "1", "PORT": "1"}}, "the platform itself sets the variable PORT"),
        ({"secrets": {"MODE": SecretRef(name="api-key")}}, "MODE is both a plain variable and a"),
        ({"secrets": {"X_GOOGLE_A": SecretRef(name="api-key")}}, "sets the variable X_GOOGLE_A"),
        ({"labels": {"deploygate-rollout": "x"}}, "the label deploygate-rollout is ours"),
    ],
)
def test_settings_that_cannot_work_block(
    shared: StagedFunction, changes: dict[str, object], words: str
) -> None:
    found = changed(shared, **changes)
    assert [f.sentence for f in found if f.is_blocking and words in f.sentence]


def test_variables_that_would_vanish_are_named(shared: StagedFunction) -> None:
    found = the_one(changed(shared, variables={"SHEET": "production"}))
    assert not found.is_blocking
    assert "MODE" in found.sentence


def test_a_closed_service_that_should_be_public_is_named(shared: StagedFunction) -> None:
    shared.target.set_public(False)
    try:
        found = the_one(shared.target.preflight())
    finally:
        shared.target.set_public(True)
    assert not found.is_blocking
    assert "only a first release is opened" in found.sentence


@pytest.mark.parametrize(
    ("path", "words"),
    [
        (r"/functions/[^/]+$", "reading the function"),
        ("/runtimes", "listing the runtimes"),
        (r"/services/[^/:]+$", "reading the service"),
    ],
)
def test_what_may_not_be_asked_blocks_with_the_reason(
    shared: StagedFunction, path: str, words: str
) -> None:
    shared.driver.fault(path=path, http=403, status="PERMISSION_DENIED", times=None)
    found = the_one(shared.target.preflight())
    assert found.is_blocking
    assert words in found.sentence
    assert "roles/" in found.hint


def test_a_platform_that_is_not_there_is_one_finding(shared: StagedFunction) -> None:
    shared.driver.fault(path="/v2/", http=503, times=None)
    found = the_one(shared.target.preflight())
    assert found.is_blocking


def altered(
    shared: StagedFunction, *changes: tuple[str, Reply], **settings: object
) -> tuple[PreflightFinding, ...]:
    """Preflight of the shared function on the emulator, with other answers where the path has the words."""

    def answer(asked: Asked) -> Reply:
        for words, other in changes:
            if words in f"{asked.path}?":
                return other
        url = shared.driver.cloud.endpoint + asked.path
        answer = shared.driver.http.request(asked.method, url, data=asked.body, timeout=20)
        return Reply(status=answer.status_code, body=answer.content)

    with serving() as start:
        spec = shared.target.spec._replace(**settings)  # type: ignore[arg-type]
        target = CloudFunctionsTarget(
            spec=spec,
            endpoint=start(answer).url,
            credentials=None,
            home=shared.home,
            clock=HurriedClock(),
            is_local=True,
        )
        found = target.preflight()
        target.close()
    return found


RUNNER = "runner@p1.iam.gserviceaccount.com"
NOTHING_GRANTED = (":testIamPermissions", reply({}))


def test_missing_permissions_are_named_with_the_role_that_has_them(shared: StagedFunction) -> None:
    found = altered(shared, NOTHING_GRANTED, service_account=RUNNER)
    assert [f.is_blocking for f in found] == [True, True, True]
    account, function, service = found
    assert f"may not act as the function's service account {RUNNER}" in account.sentence
    assert "--role=roles/iam.serviceAccountUser" in account.hint
    assert "cloudfunctions.functions.update" in function.sentence
    assert "roles/cloudfunctions.developer" in function.hint
    assert "run.services.update" in service.sentence
    assert "roles/run.developer" in service.hint


def test_who_may_not_call_a_closed_service_is_told(shared: StagedFunction) -> None:
    granted = ["run.services.get", "run.services.update", "run.services.getIamPolicy"]
    path = f"/services/{shared.service.rpartition('/')[2]}:testIamPermissions"
    shared.target.set_public(False)
    try:
        found = altered(shared, (path, reply({"permissions": granted})), public=False)
    finally:
        shared.target.set_public(True)
    blocked = the_one(found)
    assert blocked.sentence == "permissions are missing: run.routes.invoke"
    assert blocked.hint == "ask for roles/run.invoker"


def test_granted_permissions_are_fine(shared: StagedFunction) -> None:
    assert changed(shared, service_account=RUNNER) == ()


def test_apis_that_only_the_build_would_miss_are_named(shared: StagedFunction) -> None:
    parent = "projects/p1/services/"
    services = [
        {"name": f"{parent}run.googleapis.com", "state": "ENABLED"},
        {"name": f"{parent}cloudbuild.googleapis.com", "state": "DISABLED"},
        {"name": f"{parent}artifactregistry.googleapis.com", "state": "DISABLED"},
    ]
    found = the_one(altered(shared, ("services:batchGet", reply({"services": services}))))
    assert found.is_blocking
    assert "cloudbuild.googleapis.com, artifactregistry.googleapis.com" in found.sentence
    assert (
        "gcloud services enable cloudbuild.googleapis.com artifactregistry.googleapis.com"
        in found.hint
    )


def test_who_may_not_ask_for_apis_is_told_and_goes_on(shared: StagedFunction) -> None:
    shared.driver.fault(path="services:batchGet", http=403, status="PERMISSION_DENIED", times=None)
    found = the_one(shared.target.preflight())
    assert not found.is_blocking
    assert "asking which APIs are enabled" in found.sentence


def test_an_api_that_is_off_is_named_by_its_own_answer(shared: StagedFunction) -> None:
    off = error(
        403,
        "PERMISSION_DENIED",
        "Cloud Run Admin API has not been used in project 1 before or it is disabled.",
        reason="SERVICE_DISABLED",
        domain="googleapis.com",
        metadata={"service": "run.googleapis.com", "consumer": "projects/1"},
    )
    found = the_one(altered(shared, ("/services/", off)))
    assert found.is_blocking
    assert "gcloud services enable run.googleapis.com" in found.hint


def test_secrets_are_looked_for_before_anything_is_touched(shared: StagedFunction) -> None:
    present, absent = SecretRef(name="api-key"), SecretRef(name="gone", version="4")
    assert changed(shared, secrets={"KEY": present}) == ()
    found = the_one(changed(shared, secrets={"KEY": present, "OTHER": absent}))
    assert found.is_blocking
    assert "the version 4 of the secret gone" in found.sentence
    assert "secrets.toml" in found.sentence
    assert "gcloud secrets create gone" in found.hint


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ({"environment": "GEN_1"}, "is a function of the 1st generation"),
        ({"environment": "GEN_2", "eventTrigger": {"eventType": "x"}}, "triggered by events"),
        ({"environment": "GEN_2", "state": "DELETING"}, "is being deleted right now"),
    ],
)
def test_a_function_of_another_kind_blocks(
    shared: StagedFunction, answer: dict[str, object], words: str
) -> None:
    name = f"projects/p1/locations/us-central1/functions/{shared.target.spec.function}"
    environment = {"environmentVariables": {"SHEET": "s", "MODE": "m"}}
    other = {"name": name, "serviceConfig": environment, **answer}
    path = f"/functions/{shared.target.spec.function}?"
    found = the_one(altered(shared, (path, reply(other))))
    assert found.is_blocking
    assert words in found.sentence


def test_a_service_that_is_being_changed_blocks(shared: StagedFunction) -> None:
    service = run_v2.Service.to_dict(shared.read(), preserving_proto_field_name=False)
    service["reconciling"] = True
    path = f"/services/{shared.service.rpartition('/')[2]}?"
    found = the_one(altered(shared, (path, reply(service))))
    assert found.is_blocking
    assert "is being changed right now" in found.sentence


def test_a_baseline_that_is_not_ready_is_named(shared: StagedFunction) -> None:
    gone = error(404, "NOT_FOUND", "Resource was not found")
    found = the_one(altered(shared, (f"/revisions/{shared.baseline}", gone)))
    assert not found.is_blocking
    assert f"{shared.baseline} has the traffic and is not ready" in found.sentence


@pytest.mark.parametrize("http", [501, 403])
def test_permissions_that_cannot_be_asked_are_a_note(shared: StagedFunction, http: int) -> None:
    no = error(http, "UNIMPLEMENTED" if http == 501 else "PERMISSION_DENIED", "no")
    found = altered(shared, (":testIamPermissions", no), service_account=RUNNER)
    assert [f.is_blocking for f in found] == [False] * 3
    assert all("cannot be asked" in f.sentence for f in found)


def test_a_service_without_a_function_is_no_first_release(
    shared: StagedFunction, new_target: NewTarget
) -> None:
    target = new_target()
    service = run_v2.Service.to_dict(shared.read(), preserving_proto_field_name=False)
    service["buildConfig"] = {"functionTarget": "hello"}

    def answer(asked: Asked) -> Reply:
        if asked.path.endswith(f"/services/{target.spec.function.replace('_', '-')}"):
            return reply(service)
        url = shared.driver.cloud.endpoint + asked.path
        got = shared.driver.http.request(asked.method, url, data=asked.body, timeout=20)
        return Reply(status=got.status_code, body=got.content)

    with serving() as start:
        detached = CloudFunctionsTarget(
            spec=target.spec, endpoint=start(answer).url, credentials=None, home=shared.home,
            clock=HurriedClock(), is_local=True,
        )  # fmt: skip
        found = the_one(detached.preflight())
        assert found.is_blocking
        assert "was detached" in found.sentence
        assert 'target = "cloud-run"' in found.hint
        before = shared.driver.last_call()
        with pytest.raises(TargetRefused, match="has no function"):
            detached.begin_release("{}", RolloutLabels())
        assert not any(c["method"] == "POST" for c in shared.driver.calls(after=before))
        detached.close()


def test_a_function_in_another_region_is_named(shared: StagedFunction) -> None:
    found = the_one(changed(shared, region="europe-west1"))
    assert not found.is_blocking
    assert "exists in us-central1 and not in europe-west1" in found.sentence


KNATIVE = "/apis/serving.knative.dev/"


def test_a_service_without_a_function_in_another_region_is_named(shared: StagedFunction) -> None:
    labels = {"cloud.googleapis.com/location": "asia-east1"}
    items = [{"metadata": {"name": "far-away", "labels": labels}}]
    found = the_one(altered(shared, (KNATIVE, reply({"items": items})), function="far_away"))
    assert not found.is_blocking
    assert "the Cloud Run service far-away exists in asia-east1 and not in us" in found.sentence


def test_other_regions_that_nobody_may_list_are_a_note(shared: StagedFunction) -> None:
    denied = error(403, "PERMISSION_DENIED", "Permission 'run.services.list' denied")
    found = the_one(altered(shared, (KNATIVE, denied), function="far_away"))
    assert not found.is_blocking
    assert "looking for the service in other regions: 403" in found.sentence


@pytest.mark.parametrize(
    ("service", "words", "is_blocking"),
    [
        ({"defaultUriDisabled": True}, "default URL", True),
        ({"ingress": "INGRESS_TRAFFIC_INTERNAL_ONLY"}, "ingress of", False),
        ({"labels": {"goog-terraform-provisioned": "true"}}, "managed by Terraform", False),
        ({"labels": {"managed-by": "google-cloud-deploy"}}, "from Knative YAML", False),
        ({"labels": {"managed-by-cnrm": "true"}}, "managed by Config Connector", False),
        (
            {"annotations": {"kubectl.kubernetes.io/last-applied-configuration": "{}"}},
            "from Knative YAML",
            False,
        ),
    ],
)
def test_what_hurts_later_is_said_before_anything_is_built(
    shared: StagedFunction, service: dict[str, object], words: str, is_blocking: bool
) -> None:
    now = run_v2.Service.to_dict(shared.read(), preserving_proto_field_name=False)
    path = f"/services/{shared.service.rpartition('/')[2]}?"
    found = the_one(altered(shared, (path, reply({**now, **service}))))
    assert found.is_blocking is is_blocking
    assert words in found.sentence


def test_internal_ingress_is_said_before_a_first_release_is_built(new_target: NewTarget) -> None:
    found = the_one(new_target(ingress="ALLOW_INTERNAL_ONLY").preflight())
    assert not found.is_blocking
    assert "ingress of" in found.sentence


def test_a_traffic_update_that_failed_is_told_from_a_split(shared: StagedFunction) -> None:
    now = run_v2.Service.to_dict(shared.read(), preserving_proto_field_name=False)
    kind = "TRAFFIC_TARGET_ALLOCATION_TYPE_REVISION"
    now["traffic"] = [
        {"type": kind, "revision": str(shared.baseline), "percent": 60},
        {"type": kind, "revision": str(shared.candidate), "percent": 40},
    ]
    path = f"/services/{shared.service.rpartition('/')[2]}?"
    found = the_one(altered(shared, (path, reply(now))))
    assert found.is_blocking
    assert "an update of traffic failed" in found.sentence
    assert f"--to-revisions={shared.baseline}=100" in found.hint


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"concurrency": 8, "cpu": "0.5"}, "needs at least 1 cpu"),
        ({"concurrency": 8, "cpu": "500m"}, "needs at least 1 cpu"),
        ({"concurrency": 8}, "512Mi of memory come with 0.3333"),
        ({"concurrency": 8, "function": "elsewhere"}, "512Mi of memory come with 0.3333"),
        ({"memory": "8Gi", "cpu": "1"}, "needs at least 2 cpu"),
        ({"min_instances": 3, "max_instances": 2}, "above max-instances"),
        ({"variables": {"MODE": "x" * 40_000, "SHEET": "s"}}, "32768 are allowed"),
        ({"variables": {"MODE": "a\0b", "SHEET": "s"}}, "NUL byte"),
    ],
)
def test_settings_that_do_not_go_together_block(
    shared: StagedFunction, changes: dict[str, object], words: str
) -> None:
    found = changed(shared, **changes)
    assert [f for f in found if f.is_blocking and words in f.sentence]


def test_function_target_may_be_a_users_variable(shared: StagedFunction) -> None:
    variables = {**shared.target.spec.variables, "FUNCTION_TARGET": "hello"}
    assert changed(shared, variables=variables) == ()
