"""What the target for Cloud Run finds before anything is touched, each finding with what to do about it."""

from collections.abc import Callable

import pytest
from google.cloud import run_v2

from pytest_deploygate.core.container_spec import ContainerSpec
from pytest_deploygate.core.errors import TargetRefused
from pytest_deploygate.core.preflight import PreflightFinding
from pytest_deploygate.core.release import RolloutLabels
from pytest_deploygate.core.secret_ref import SecretRef
from pytest_deploygate.targets.cloud_run import CloudRunTarget
from tests.contract.target.google_replies import error, reply
from tests.contract.target.staged_function import (
    AnyTarget,
    HurriedClock,
    StagedFunction,
    make_target_of,
)
from tests.loopback_server import Asked, Reply, serving

NewTarget = Callable[..., AnyTarget]
OURS = {"deploygate-rollout": "", "team": "billing"}
KEY = SecretRef(name="api-key")


def the_one(findings: tuple[PreflightFinding, ...]) -> PreflightFinding:
    [found] = findings
    assert found.hint
    return found


def altered(
    shared: StagedFunction,
    *changes: tuple[str, Reply],
    labels: dict[str, str] = OURS,
    **settings: object,
) -> tuple[PreflightFinding, ...]:
    """Preflight of the shared service as one that we deployed, with other answers where the path has the words."""
    now = described(shared, labels=labels)
    path = f"/services/{shared.service.rpartition('/')[2]}?"

    def answer(asked: Asked) -> Reply:
        for words, other in (*changes, (path, reply(now))):
            if words in f"{asked.path}?":
                return other
        url = shared.driver.cloud.endpoint + asked.path
        got = shared.driver.http.request(asked.method, url, data=asked.body, timeout=20)
        return Reply(status=got.status_code, body=got.content)

    with serving() as start:
        target = CloudRunTarget(
            spec=shared.target.spec._replace(**settings),  # type: ignore[arg-type]
            endpoint=start(answer).url,
            credentials=None,
            home=shared.home,
            clock=HurriedClock(),
            is_local=True,
        )
        found = target.preflight()
        target.close()
    return found


def described(shared: StagedFunction, **changes: object) -> dict[str, object]:
    """The shared service in JSON with other fields."""
    now = run_v2.Service.to_dict(shared.read(), preserving_proto_field_name=False)
    return {**now, **changes}


def changed(shared: StagedFunction, **settings: object) -> tuple[PreflightFinding, ...]:
    return altered(shared, **settings)  # type: ignore[arg-type]


def test_nothing_is_found_when_all_is_well(shared: StagedFunction, new_target: NewTarget) -> None:
    assert altered(shared) == ()
    assert new_target().preflight() == ()


def test_preflight_changes_nothing(shared: StagedFunction) -> None:
    before = shared.driver.last_call()
    shared.target.preflight()
    asked = shared.driver.calls(after=before)
    assert asked
    assert all(c["method"] == "GET" or ":test" in str(c["path"]) for c in asked)


def test_a_service_that_we_never_deployed_is_said_with_how_to_adopt_it(
    shared: StagedFunction,
) -> None:
    now = described(shared, labels={}, buildConfig={"functionTarget": "hello"})
    path = f"/services/{shared.service.rpartition('/')[2]}?"
    found = the_one(altered(shared, (path, reply(now))))
    assert not found.is_blocking
    assert "was detached" in found.sentence
    assert "deploygate adopt ENV REVISION" in found.hint


def test_a_service_that_was_never_ready_is_not_ours_to_end(
    shared: StagedFunction, new_target: NewTarget
) -> None:
    now = described(shared, labels={}, latestReadyRevision="", traffic=[], trafficStatuses=[])
    path = f"/services/{shared.service.rpartition('/')[2]}?"
    found = [f for f in altered(shared, (path, reply(now))) if "never had a ready" in f.sentence]
    assert the_one(tuple(found)).is_blocking
    with serving() as start:
        target = CloudRunTarget(
            spec=shared.target.spec, endpoint=start(lambda _: reply(now)).url, credentials=None,
            home=shared.home, clock=HurriedClock(), is_local=True,
        )  # fmt: skip
        with pytest.raises(TargetRefused, match="never had a ready revision"):
            target.begin_release('{"image": "x@sha256:0"}', RolloutLabels())
        target.close()


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"labels": {**OURS, "managed-by": "google-cloud-deploy"}}, "by Cloud Deploy"),
        ({"labels": {**OURS, "managed-by-cnrm": "true"}}, "by Config Connector"),
        ({"labels": {**OURS, "goog-terraform-provisioned": "true"}}, "by Terraform"),
        ({"labels": {**OURS, "goog-managed-by": "cloudfunctions"}}, "belongs to a function"),
        (
            {
                "labels": OURS,
                "annotations": {"kubectl.kubernetes.io/last-applied-configuration": "{}"},
            },
            "from Knative YAML",
        ),
    ],
)
def test_who_else_manages_the_service_is_named(
    shared: StagedFunction, fields: dict[str, object], words: str
) -> None:
    path = f"/services/{shared.service.rpartition('/')[2]}?"
    found = the_one(altered(shared, (path, reply(described(shared, **fields)))))
    assert not found.is_blocking
    assert words in found.sentence


def test_what_gcloud_and_the_console_write_is_no_knative_yaml(shared: StagedFunction) -> None:
    now = described(shared, labels=OURS, annotations={"client.knative.dev/user-image": "x"})
    assert altered(shared, (f"/services/{shared.service.rpartition('/')[2]}?", reply(now))) == ()


def test_internal_ingress_is_said_before_a_first_release_is_built(new_target: NewTarget) -> None:
    found = the_one(new_target(ingress="ALLOW_INTERNAL_ONLY").preflight())
    assert not found.is_blocking
    assert "ingress of" in found.sentence


def test_internal_ingress_that_a_release_would_open_is_said(shared: StagedFunction) -> None:
    now = described(shared, labels=OURS, ingress="INGRESS_TRAFFIC_INTERNAL_ONLY")
    path = f"/services/{shared.service.rpartition('/')[2]}?"
    found = the_one(altered(shared, (path, reply(now)), ingress="ALLOW_ALL"))
    assert not found.is_blocking
    assert "the settings open it to all" in found.sentence
    for ingress in ("", "ALLOW_INTERNAL_ONLY"):
        kept = the_one(altered(shared, (path, reply(now)), ingress=ingress))
        assert "answer only from inside" in kept.sentence


def test_a_service_that_somebody_changes_is_waited_for(shared: StagedFunction) -> None:
    now = described(shared, labels=OURS, reconciling=True)
    path = f"/services/{shared.service.rpartition('/')[2]}?"
    found = the_one(altered(shared, (path, reply(now))))
    assert not found.is_blocking
    assert "is being changed right now" in found.sentence


def template_of(shared: StagedFunction, **changes: object) -> dict[str, object]:
    """The template of the shared service in JSON with other fields."""
    now = described(shared)["template"]
    assert isinstance(now, dict)
    return {**now, **changes}


def container_of(shared: StagedFunction, **changes: object) -> dict[str, object]:
    """The container of that template with other fields."""
    containers = template_of(shared)["containers"]
    assert isinstance(containers, list)
    return {**containers[0], **changes}


SMALL_CPU = {"limits": {"memory": "256Mi", "cpu": "0.1666"}}


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"concurrency": 8}, "concurrency 8 needs at least 1 cpu, not 0.1666"),
        ({"memory": "1Gi"}, "memory of 1024 MiB needs at least 0.5 cpu, not 0.1666"),
        ({"concurrency": 8, "cpu": "1"}, ""),
    ],
)
def test_what_the_service_keeps_must_go_with_what_the_settings_name(
    shared: StagedFunction, settings: dict[str, object], words: str
) -> None:
    kept = container_of(shared, resources=SMALL_CPU)
    template = template_of(shared, containers=[kept], maxInstanceRequestConcurrency=1)
    path = f"/services/{shared.service.rpartition('/')[2]}?"
    now = reply(described(shared, labels=OURS, template=template))
    found = altered(shared, (path, now), **{"memory": "256Mi", **settings})  # type: ignore[arg-type]
    if not words:
        assert found == ()
        return
    [one] = found
    assert one.is_blocking
    assert words in one.sentence


def test_a_service_whose_first_container_takes_no_requests_blocks(shared: StagedFunction) -> None:
    ingress = container_of(shared, name="web", ports=[{"containerPort": 8080}])
    sidecar = {"name": "proxy", "image": "x@sha256:0"}
    path = f"/services/{shared.service.rpartition('/')[2]}?"
    for containers, is_found in (([sidecar, ingress], True), ([ingress, sidecar], False)):
        template = template_of(shared, containers=containers)
        now = reply(described(shared, labels=OURS, template=template))
        found = [f for f in altered(shared, (path, now)) if f.is_blocking]
        assert bool(found) is is_found
        assert not found or "2 containers" in found[0].sentence


def test_a_job_of_that_name_is_no_service(shared: StagedFunction, new_target: NewTarget) -> None:
    target = new_target()

    def answer(asked: Asked) -> Reply:
        if "/jobs/" in asked.path:
            return reply({"name": "projects/p1/locations/us-central1/jobs/x"})
        url = shared.driver.cloud.endpoint + asked.path
        got = shared.driver.http.request(asked.method, url, data=asked.body, timeout=20)
        return Reply(status=got.status_code, body=got.content)

    with serving() as start:
        other = CloudRunTarget(
            spec=target.spec, endpoint=start(answer).url, credentials=None, home=shared.home,
            clock=HurriedClock(), is_local=True,
        )  # fmt: skip
        found = the_one(other.preflight())
        other.close()
    assert found.is_blocking
    assert "is a job of Cloud Run" in found.sentence


def test_a_service_in_another_region_is_named(shared: StagedFunction) -> None:
    spec = shared.target.spec._replace(region="europe-west1")
    target = make_target_of(CloudRunTarget, shared.driver, spec, shared.home)
    found = the_one(target.preflight())
    target.close()
    assert not found.is_blocking
    assert "exists in us-central1 and not in europe-west1" in found.sentence


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (
            {"build_worker_pool": "projects/p1/locations/europe-west1/workerPools/p"},
            "build-worker-pool is in europe-west1",
        ),
        (
            {"vpc_connector": "projects/p1/locations/europe-west1/connectors/c"},
            "vpc-connector is in europe-west1",
        ),
        (
            {"container": ContainerSpec(vpc_subnetwork="projects/p1/regions/asia-east1/subnetworks/s")},
            "vpc-subnetwork is in asia-east1",
        ),
        (
            {"container": ContainerSpec(image="docker.io/library/nginx:1")},
            "its registry is not Artifact Registry",
        ),
        (
            {"container": ContainerSpec(image="us-central1-docker.pkg.dev/p1/a/none:v1")},
            "leads nowhere",
        ),
        (
            {"container": ContainerSpec(image=f"us-central1-docker.pkg.dev/p1/a/b@sha256:{'0' * 64}")},
            "there is no image",
        ),
        ({"container": ContainerSpec(secret_files={"key": KEY})}, "is no path of a file"),
        (
            {"container": ContainerSpec(secret_files={"/s/one": KEY, "/s/two": KEY})},
            "in one directory",
        ),
        ({"container": ContainerSpec(vpc_tags=("web",))}, "vpc-tags are named, and no network"),
        ({"secrets": {"T": SecretRef(name="gone")}}, "the version latest of the secret gone"),
        ({"concurrency": 8, "cpu": "0.5"}, "needs at least 1 cpu"),
    ],
)  # fmt: skip
def test_settings_that_the_platform_would_refuse_block(
    shared: StagedFunction, settings: dict[str, object], words: str
) -> None:
    found = [f for f in changed(shared, **settings) if words in f.sentence]
    assert the_one(tuple(found)).is_blocking


def test_a_repository_of_another_project_is_named(shared: StagedFunction) -> None:
    repository = "projects/other-1/locations/us-central1/repositories/r"
    found = the_one(changed(shared, docker_repository=repository))
    assert not found.is_blocking
    assert "of the project other-1, not of p1" in found.sentence


def test_variables_that_would_vanish_are_named(shared: StagedFunction) -> None:
    found = the_one(changed(shared, variables={"SHEET": "production"}))
    assert not found.is_blocking
    assert "MODE" in found.sentence


def test_what_may_not_be_asked_blocks_with_the_reason(shared: StagedFunction) -> None:
    no = error(403, "PERMISSION_DENIED", "no")
    path = f"/services/{shared.service.rpartition('/')[2]}?"
    found = the_one(altered(shared, (path, no)))
    assert found.is_blocking
    assert "reading the service" in found.sentence
    assert "roles/" in found.hint
