"""Messages of the platform to values of the package, and back.

The only place that knows the shape of ``google.cloud.functions.v2.Function`` and
``google.cloud.run.v2.Service``. What others put there (labels, tags, variables of the platform) is
kept when written back.
"""

import re
from collections.abc import Iterable, Mapping
from enum import Enum
from typing import Final, TypeVar

from google.cloud import functions_v2, run_v2
from google.protobuf import json_format

from pytest_deploygate.core.errors import ConfigError, TargetRefused
from pytest_deploygate.core.identifiers import RevisionName, RolloutId
from pytest_deploygate.core.release import (
    OWN_TAGS,
    FunctionSpec,
    RevisionInfo,
    RolloutLabels,
    SecretRef,
    Snapshot,
)
from pytest_deploygate.core.traffic import LATEST, Traffic
from pytest_deploygate.targets.container_images import digest_of
from pytest_deploygate.targets.json_api import Json, read_message

LABEL_ROLLOUT: Final = "deploygate-rollout"
LABEL_BASELINE: Final = "deploygate-baseline"
LABEL_DIGEST: Final = "deploygate-digest"
LABEL_CONFIG: Final = "deploygate-config"
OWN_LABELS: Final = (LABEL_ROLLOUT, LABEL_BASELINE, LABEL_DIGEST, LABEL_CONFIG)
LABEL_LENGTH: Final = 63
_LABEL_VALUE: Final = re.compile(r"[a-z0-9_-]{0,63}")

PLATFORM_VARIABLES: Final = (
    "LOG_EXECUTION_ID",
    "FUNCTION_TARGET",
    "FUNCTION_SIGNATURE_TYPE",
    "FIREBASE_CONFIG",
    "GCLOUD_PROJECT",
    "EVENTARC_CLOUD_EVENT_SOURCE",
)
"""Variables that gcloud, firebase and terraform add by themselves; they survive an update."""

_Conditions = run_v2.Condition.State
_LATEST_TYPE: Final = run_v2.TrafficTargetAllocationType.TRAFFIC_TARGET_ALLOCATION_TYPE_LATEST


def short_name(name: str) -> RevisionName:
    """Short name of a revision that the platform names in full (``.../revisions/R``)."""
    return RevisionName(name.rpartition("/")[2])


# -- labels ----------------------------------------------------------------------------------------


def has_rollout_labels(labels: Mapping[str, str]) -> bool:
    """Whether any label is ours."""
    return any(name in labels for name in OWN_LABELS)


def labels_of(labels: Mapping[str, str]) -> RolloutLabels:
    """What our labels say."""
    rollout, baseline = labels.get(LABEL_ROLLOUT), labels.get(LABEL_BASELINE)
    return RolloutLabels(
        rollout=RolloutId(rollout) if rollout else None,
        baseline=RevisionName(baseline) if baseline else None,
        digest=labels.get(LABEL_DIGEST, ""),
        config=labels.get(LABEL_CONFIG, ""),
    )


def marked(labels: Mapping[str, str], rollout_labels: RolloutLabels) -> dict[str, str]:
    """``labels`` with ours replaced by ``rollout_labels``; a digest is cut to the length of a label.

    Raises:
        ConfigError: a value that no label can hold.
    """
    ours = {
        LABEL_ROLLOUT: rollout_labels.rollout or "",
        LABEL_BASELINE: rollout_labels.baseline or "",
        LABEL_DIGEST: rollout_labels.digest[:LABEL_LENGTH],
        LABEL_CONFIG: rollout_labels.config[:LABEL_LENGTH],
    }
    for name, value in ours.items():
        if not _LABEL_VALUE.fullmatch(value):
            raise ConfigError(
                f"{value!r} cannot be the value of the label {name}",
                hint="a label takes at most 63 of a-z, 0-9, _ and -",
            )
    others = {k: v for k, v in labels.items() if k not in OWN_LABELS}
    # the empty rollout says that rollout labels were cleared, not that there never were any
    return others | {k: v for k, v in ours.items() if v or k == LABEL_ROLLOUT}


# -- traffic ---------------------------------------------------------------------------------------


def plan_of(service: run_v2.Service) -> Traffic:
    """The traffic plan of a service; none at all means that all follows the latest revision.

    Raises:
        TargetRefused: percentages that do not add up to 100.
    """
    if not service.traffic:
        return Traffic.of({LATEST: 100})
    return _traffic(service.traffic)


def _traffic(
    targets: Iterable[run_v2.TrafficTarget] | Iterable[run_v2.TrafficTargetStatus],
) -> Traffic:
    shares: dict[RevisionName, int] = {}
    tags: dict[str, RevisionName] = {}
    for target in targets:
        is_latest = target.type_ == _LATEST_TYPE or not target.revision
        name = LATEST if is_latest else short_name(target.revision)
        shares[name] = shares.get(name, 0) + target.percent
        if target.tag:
            tags[target.tag] = name
    try:
        return Traffic.of(shares, tags)
    except ValueError as error:
        raise TargetRefused(f"the service's traffic makes no sense: {error}") from error


def resolved(plan: Traffic, latest: RevisionName | None) -> Traffic:
    """``plan`` with LATEST replaced by the revision it stands for; without one, nothing serves."""
    shares: dict[RevisionName, int] = {}
    for revision, percent in plan.shares:
        name = latest if revision == LATEST else revision
        if name is None:
            return Traffic.of({})
        shares[name] = shares.get(name, 0) + percent
    tags = {t: latest if r == LATEST else r for t, r in plan.tags}
    return Traffic.of(shares, {t: r for t, r in tags.items() if r is not None})


def wanted_plan(to: Traffic, now: Traffic) -> Traffic:
    """Shares and our tags as in ``to``, all other tags as they are ``now``."""
    foreign = {tag: revision for tag, revision in now.tags if tag not in OWN_TAGS}
    own = {tag: revision for tag, revision in to.tags if tag in OWN_TAGS}
    return Traffic.of(dict(to.shares), foreign | own)


def targets_of(plan: Traffic) -> list[Json]:
    """The plan as the platform takes it: a target for each share, then one for each tag."""
    return [
        *(_target(revision, {"percent": percent}) for revision, percent in plan.shares),
        *(_target(revision, {"tag": tag}) for tag, revision in plan.tags),
    ]


def _target(revision: RevisionName, more: Json) -> Json:
    if revision == LATEST:
        return {"type": "TRAFFIC_TARGET_ALLOCATION_TYPE_LATEST", **more}
    return {
        "type": "TRAFFIC_TARGET_ALLOCATION_TYPE_REVISION",
        "revision": revision,
        **more,
    }


def is_carried_out(service: run_v2.Service) -> bool:
    """Whether the platform has done what the service was told: traffic as planned, nothing under way."""
    if service.reconciling or service.observed_generation != service.generation:
        return False
    shown = _traffic(service.traffic_statuses) if service.traffic_statuses else Traffic.of({})
    return shown == plan_of(service)


def shown_traffic(service: run_v2.Service) -> Traffic:
    """What holds by the service's own word, LATEST resolved; nothing where it does not say."""
    if not service.traffic_statuses:
        return Traffic.of({})
    return resolved(_traffic(service.traffic_statuses), latest_ready(service))


def origin_of(service: run_v2.Service) -> str:
    """How a service without a function came to be, as far as it tells."""
    if service.build_config.function_target:
        return "a function that was detached, or made by gcloud run deploy --function"
    if service.client:
        return f"made by {service.client}"
    return "made through Cloud Run or from Knative YAML"


def latest_ready(service: run_v2.Service) -> RevisionName | None:
    """Short name of the newest revision that is ready, or None."""
    return short_name(service.latest_ready_revision) or None


# -- snapshot and revisions ------------------------------------------------------------------------


def snapshot_of(
    function: functions_v2.Function, service: run_v2.Service, *, is_public: bool
) -> Snapshot:
    """The function and its service as one value; ``exists`` only if a revision was ever ready.

    ``is_public`` is what the access policy says.

    Where the service has none of our labels yet, those of the function speak: the platform hands
    them on late.
    """
    newest = latest_ready(service)
    labels = service.labels if has_rollout_labels(service.labels) else function.labels
    if newest is None:
        return Snapshot(exists=False, service=service.name, rollout_labels=labels_of(labels))
    plan = plan_of(service)
    is_deploying = function.state == functions_v2.Function.State.DEPLOYING
    return Snapshot(
        exists=True,
        service=service.name,
        url=service.uri or function.service_config.uri,
        traffic=plan,
        serving=resolved(plan, newest),
        tag_urls={status.tag: status.uri for status in service.traffic_statuses if status.tag},
        etag=service.etag,
        is_settled=is_carried_out(service) and not is_deploying,
        is_public=is_public or service.invoker_iam_disabled,
        latest_ready=newest,
        latest_created=short_name(service.latest_created_revision) or None,
        updates_base_image=bool(service.build_config.enable_automatic_updates)
        or "automatic_update_policy" in function.build_config,
        rollout_labels=labels_of(labels),
    )


def service_of(found: Json) -> run_v2.Service:
    """The service in JSON, as far as the library knows it."""
    service = run_v2.Service()
    read_message(found, run_v2.Service.pb(service))
    return service


def revision_info(found: Json) -> RevisionInfo:
    """One revision, from JSON; ``note`` says why it is not ready."""
    revision = run_v2.Revision()
    read_message(found, run_v2.Revision.pb(revision))
    ready = [c for c in revision.conditions if c.type_ == "Ready"]
    is_ready = any(c.state == _Conditions.CONDITION_SUCCEEDED for c in ready)
    container = revision.containers[0] if revision.containers else run_v2.Container()
    plain = {v.name: v.value for v in container.env if "value_source" not in v}
    secret = {
        v.name: _secret_ref(v.value_source.secret_key_ref)
        for v in container.env
        if "value_source" in v
    }
    return RevisionInfo(
        name=short_name(revision.name),
        is_ready=is_ready,
        has_failed=any(c.state == _Conditions.CONDITION_FAILED for c in ready),
        image=container.image,
        digest=digest_of(found),
        variables=plain,
        secrets=secret,
        created_at=revision.create_time.isoformat() if revision.create_time else "",
        note="" if is_ready else "; ".join(c.message for c in ready if c.message),
        base_image=container.base_image_uri,
    )


def _secret_ref(selector: run_v2.SecretKeySelector) -> SecretRef:
    """Reads ``S`` and ``projects/P/secrets/S``."""
    parts = selector.secret.split("/")
    project = parts[1] if len(parts) == 4 else ""
    return SecretRef(name=parts[-1], version=selector.version or "latest", project=project)


# -- the function ----------------------------------------------------------------------------------


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
        config.service_account = _service_account(spec)
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


def _service_account(spec: FunctionSpec) -> str:
    name = spec.build_service_account
    full = f"projects/{spec.project}/serviceAccounts/{name}"
    return name if name.startswith("projects/") else full


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
        ingress_settings=_member(functions_v2.ServiceConfig.IngressSettings, spec.ingress),
    )
    paths = [
        "available_memory",
        "timeout_seconds",
        "environment_variables",
        "secret_environment_variables",
        "ingress_settings",
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
    if spec.vpc_egress:
        egress = functions_v2.ServiceConfig.VpcConnectorEgressSettings
        config.vpc_connector_egress_settings = _member(egress, spec.vpc_egress)
        paths.append("vpc_connector_egress_settings")
    return config, [f"service_config.{path}" for path in paths]
