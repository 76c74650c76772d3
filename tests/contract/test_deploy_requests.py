"""What is sent to deploy: the settings as the platform takes them, and the mask that names exactly those."""

import pytest
from google.cloud import functions_v2
from google.protobuf import field_mask_pb2, json_format

from pytest_deploygate.core.errors import ConfigError, TargetRefused
from pytest_deploygate.core.function_spec import FunctionSpec
from pytest_deploygate.core.identifiers import RevisionName, RolloutId
from pytest_deploygate.core.release import RolloutLabels
from pytest_deploygate.core.secret_ref import SecretRef
from pytest_deploygate.core.traffic import Traffic
from pytest_deploygate.targets import converters
from pytest_deploygate.targets.deploy_requests import release
from tests.contract.discovery import problems

SOURCE = functions_v2.StorageSource(bucket="b", object_="o.zip", generation=7)
SPEC = FunctionSpec(
    function="process_invoice",
    project="p1",
    region="us-central1",
    runtime="python312",
    entry_point="process_invoice",
    source="/src",
    memory="1Gi",
    timeout_s=540,
    variables={"A": "1"},
    secrets={"KEY": SecretRef(name="key", version="7")},
)
FULL = SPEC._replace(
    cpu="2",
    service_account="runner@p1.iam.gserviceaccount.com",
    ingress="ALLOW_INTERNAL_AND_GCLB",
    min_instances=0,
    max_instances=7,
    concurrency=3,
    vpc_connector="projects/p1/locations/us-central1/connectors/c",
    vpc_egress="ALL_TRAFFIC",
    build_variables={"GOOGLE_PYTHON_VERSION": "3.12"},
    build_service_account="build@p1.iam.gserviceaccount.com",
    build_worker_pool="projects/p1/locations/us-central1/workerPools/w",
    docker_repository="projects/p1/locations/us-central1/repositories/r",
)
ALWAYS = {
    "build_config.runtime",
    "build_config.entry_point",
    "build_config.source",
    "build_config.environment_variables",
    "service_config.available_memory",
    "service_config.timeout_seconds",
    "service_config.environment_variables",
    "service_config.secret_environment_variables",
    "labels",
}


def sent(
    spec: FunctionSpec, source: functions_v2.StorageSource = SOURCE
) -> tuple[dict[str, object], set[str]]:
    """The message as JSON, held to Google's document, and the mask."""
    function, paths = release(
        spec, variables=spec.variables, secrets=spec.secrets, labels={"l": "1"}, source=source
    )
    message = functions_v2.Function.pb(function)
    mask = field_mask_pb2.FieldMask(paths=paths)
    assert mask.IsValidForDescriptor(message.DESCRIPTOR)
    assert len(paths) == len(set(paths))
    body = json_format.MessageToDict(message)
    assert problems("cloudfunctions.v2", "Function", body) == []
    return body, set(paths)


def test_settings_that_are_not_named_stay_as_they_are_on_the_platform() -> None:
    _, paths = sent(SPEC)
    assert paths == ALWAYS


def test_every_setting_reaches_the_platform() -> None:
    body, paths = sent(FULL)
    assert body["buildConfig"] == {
        "runtime": "python312",
        "entryPoint": "process_invoice",
        "source": {"storageSource": {"bucket": "b", "object": "o.zip", "generation": "7"}},
        "environmentVariables": {"GOOGLE_PYTHON_VERSION": "3.12"},
        "serviceAccount": "projects/p1/serviceAccounts/build@p1.iam.gserviceaccount.com",
        "workerPool": "projects/p1/locations/us-central1/workerPools/w",
        "dockerRepository": "projects/p1/locations/us-central1/repositories/r",
    }
    assert body["serviceConfig"] == {
        "availableMemory": "1Gi",
        "availableCpu": "2",
        "timeoutSeconds": 540,
        "environmentVariables": {"A": "1"},
        "secretEnvironmentVariables": [
            {"key": "KEY", "projectId": "p1", "secret": "key", "version": "7"}
        ],
        "ingressSettings": "ALLOW_INTERNAL_AND_GCLB",
        "serviceAccountEmail": "runner@p1.iam.gserviceaccount.com",
        "maxInstanceCount": 7,
        "maxInstanceRequestConcurrency": 3,
        "vpcConnector": "projects/p1/locations/us-central1/connectors/c",
        "vpcConnectorEgressSettings": "ALL_TRAFFIC",
    }
    # zero is the default and not in the message: the mask alone says that it is meant
    assert "service_config.min_instance_count" in paths
    assert len(paths) == len(ALWAYS) + 11


@pytest.mark.parametrize("change", [{"ingress": "ALL"}, {"vpc_egress": "SOME"}])
def test_a_word_that_the_platform_does_not_have_names_those_it_has(change: dict[str, str]) -> None:
    with pytest.raises(ConfigError, match="is none of") as caught:
        sent(SPEC._replace(**change))  # type: ignore[arg-type]
    assert "UNSPECIFIED" not in caught.value.message


def test_marks_survive_their_labels() -> None:
    rollout_labels = RolloutLabels(
        rollout=RolloutId("20261123-a"),
        baseline=RevisionName("r-00001-abc"),
        digest="d" * 63,
        config="c",
    )
    labels = converters.with_rollout_labels(
        {"team": "billing", "deploygate-digest": "old"}, rollout_labels
    )
    assert labels["team"] == "billing"
    assert converters.labels_of(labels) == rollout_labels
    assert (
        converters.labels_of(converters.with_rollout_labels(labels, RolloutLabels()))
        == RolloutLabels()
    )


def test_a_mark_that_no_label_holds_is_refused() -> None:
    with pytest.raises(ConfigError, match="deploygate-rollout"):
        converters.with_rollout_labels({}, RolloutLabels(rollout=RolloutId("Not A Label")))


def test_latest_is_resolved_everywhere() -> None:
    old, new = RevisionName("r-1"), RevisionName("r-2")
    plan = Traffic.parse("LATEST=60,r-2=40;blue>LATEST,dg-prev>r-1")
    assert converters.resolve_latest(plan, new) == Traffic.of(
        {new: 100}, {"blue": new, "dg-prev": old}
    )
    assert converters.resolve_latest(plan, None) == Traffic.of({})


def test_traffic_that_makes_no_sense_is_refused() -> None:
    from google.cloud import run_v2

    service = run_v2.Service(traffic=[run_v2.TrafficTarget(revision="r-1", percent=50)])
    with pytest.raises(TargetRefused, match="makes no sense"):
        converters.plan_of(service)
    assert converters.plan_of(run_v2.Service()) == Traffic.parse("LATEST=100")
