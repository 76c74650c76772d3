"""Messages of Cloud Functions to values of the package, and back.

The only place that knows the shape of ``google.cloud.functions.v2.Function``. Variables that the platform put there are
kept when written back.
"""

from collections.abc import Mapping
from enum import Enum
from typing import Final, TypeVar

from google.cloud import functions_v2, run_v2
from google.protobuf import json_format

from pytest_deploygate.core.errors import ConfigError
from pytest_deploygate.core.function_spec import FunctionSpec
from pytest_deploygate.core.release import Snapshot
from pytest_deploygate.core.secret_ref import SecretRef
from pytest_deploygate.targets import converters

PLATFORM_VARIABLES: Final = (
    "LOG_EXECUTION_ID",
    "FUNCTION_TARGET",
    "FUNCTION_SIGNATURE_TYPE",
    "FIREBASE_CONFIG",
    "GCLOUD_PROJECT",
    "EVENTARC_CLOUD_EVENT_SOURCE",
)
"""Variables that gcloud, firebase and terraform add by themselves; they survive an update."""


def function_snapshot(
    function: functions_v2.Function, service: run_v2.Service, *, is_public: bool
) -> Snapshot:
    """The function and its service as one value.

    Where the service has none of our labels yet, those of the function speak: the platform hands
    them on late.
    """
    found = converters.snapshot_of(service, is_public=is_public)
    if not converters.has_rollout_labels(service.labels):
        found = found._replace(rollout_labels=converters.labels_of(function.labels))
    if not found.exists:
        return found
    is_deploying = function.state == functions_v2.Function.State.DEPLOYING
    return found._replace(
        url=found.url or function.service_config.uri,
        is_settled=found.is_settled and not is_deploying,
        updates_base_image=found.updates_base_image
        or "automatic_update_policy" in function.build_config,
    )


def kept_variables(function: functions_v2.Function | None) -> dict[str, str]:
    """Variables of the platform that an update must not wipe."""
    if function is None:
        return {}
    known = function.service_config.environment_variables
    return {name: known[name] for name in PLATFORM_VARIABLES if name in known}


def secret_variables(
    spec: FunctionSpec, secrets: Mapping[str, SecretRef]
) -> list[functions_v2.SecretEnvVar]:
    """``secrets`` by variable, as the platform takes them."""
    return [
        functions_v2.SecretEnvVar(
            key=key,
            project_id=ref.project or spec.project,
            secret=ref.name,
            version=ref.version or "latest",
        )
        for key, ref in sorted(secrets.items())
    ]


def storage_source(text: str) -> functions_v2.StorageSource:
    """The place of an uploaded archive, from the text that :func:`Functions.upload` returned."""
    source = functions_v2.StorageSource()
    json_format.Parse(text, functions_v2.StorageSource.pb(source))
    return source


def build_config(
    spec: FunctionSpec, source: functions_v2.StorageSource
) -> tuple[functions_v2.BuildConfig, list[str]]:
    """How to build, and the mask paths that it sets: those that the settings name."""
    config = functions_v2.BuildConfig(
        runtime=spec.runtime,
        entry_point=spec.entry_point,
        source=functions_v2.Source(storage_source=source),
        environment_variables=dict(spec.build_variables),
    )
    paths = ["runtime", "entry_point", "source", "environment_variables"]
    if spec.build_service_account:
        config.service_account = spec.build_account
        paths.append("service_account")
    if spec.build_worker_pool:
        config.worker_pool = spec.build_worker_pool
        paths.append("worker_pool")
    if spec.docker_repository:
        config.docker_repository = spec.docker_repository
        paths.append("docker_repository")
    if spec.base_image_updates == "automatic":
        config.automatic_update_policy = functions_v2.AutomaticUpdatePolicy()
        paths.append("automatic_update_policy")
    elif spec.base_image_updates == "on-deploy":
        config.on_deploy_update_policy = functions_v2.OnDeployUpdatePolicy()
        paths.append("on_deploy_update_policy")
    return config, [f"build_config.{path}" for path in paths]


E = TypeVar("E", bound=Enum)


def _member(kind: type[E], name: str) -> E:
    """The member ``name`` of one of the platform's enums.

    Raises:
        ConfigError: there is none.
    """
    known: dict[str, E] = {member.name: member for member in kind}
    if name not in known:
        allowed = ", ".join(n for n in known if not n.endswith("UNSPECIFIED"))
        raise ConfigError(f"{name!r} is none of {allowed}", hint="correct it in the settings")
    return known[name]


def service_config(
    spec: FunctionSpec, variables: Mapping[str, str], secrets: Mapping[str, SecretRef]
) -> tuple[functions_v2.ServiceConfig, list[str]]:
    """How to run, and the mask paths that it sets.

    What the settings do not name stays as it is on the platform, as with gcloud.
    ``all_traffic_on_latest_revision`` is never among the paths: traffic is Cloud Run's, and pinned.
    """
    config = functions_v2.ServiceConfig(
        available_memory=spec.memory,
        timeout_seconds=spec.timeout_s,
        environment_variables=dict(variables),
        secret_environment_variables=secret_variables(spec, secrets),
    )
    paths = [
        "available_memory",
        "timeout_seconds",
        "environment_variables",
        "secret_environment_variables",
    ]
    optional = {
        "available_cpu": spec.cpu or None,
        "service_account_email": spec.service_account or None,
        "min_instance_count": spec.min_instances,
        "max_instance_count": spec.max_instances,
        "max_instance_request_concurrency": spec.concurrency,
        "vpc_connector": spec.vpc_connector or None,
    }
    for path, value in optional.items():
        if value is not None:
            setattr(config, path, value)
            paths.append(path)
    if spec.ingress:
        ingress = functions_v2.ServiceConfig.IngressSettings
        config.ingress_settings = _member(ingress, spec.ingress)
        paths.append("ingress_settings")
    if spec.vpc_egress:
        egress = functions_v2.ServiceConfig.VpcConnectorEgressSettings
        config.vpc_connector_egress_settings = _member(egress, spec.vpc_egress)
        paths.append("vpc_connector_egress_settings")
    return config, [f"service_config.{path}" for path in paths]
