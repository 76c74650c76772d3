"""The template of a Cloud Run service: how a revision is to run, in JSON.

What the settings do not name stays as it is on the platform, also fields that nobody here knows.
"""

import json
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass
from typing import Final, NamedTuple

from pytest_deploygate.core.container_spec import ContainerSpec
from pytest_deploygate.core.function_spec import FunctionSpec
from pytest_deploygate.core.identifiers import RevisionName
from pytest_deploygate.core.secret_ref import SecretRef
from pytest_deploygate.targets.json_api import Json

BUILD_ANNOTATION: Final = "deploygate-build"
"""Annotation of a revision that says what it was built from; a backup reads it."""
COPY_LABEL: Final = "deploygate-copy"
"""Label of a revision that copies another one: for which rollout, and as what."""
KEPT_VARIABLES: Final = (
    "LOG_EXECUTION_ID",
    "FIREBASE_CONFIG",
    "GCLOUD_PROJECT",
    "EVENTARC_CLOUD_EVENT_SOURCE",
)
"""Variables that gcloud, firebase and terraform add by themselves; they survive a release.

``FUNCTION_TARGET`` is none of them: an image has its own, and an older one would win over it.
"""
FIELDS_OF_REVISION: Final = (
    "labels",
    "annotations",
    "scaling",
    "vpcAccess",
    "timeout",
    "serviceAccount",
    "containers",
    "volumes",
    "executionEnvironment",
    "encryptionKey",
    "encryptionKeyRevocationAction",
    "encryptionKeyShutdownDuration",
    "nodeSelector",
    "gpuZonalRedundancyDisabled",
    "serviceMesh",
    "maxInstanceRequestConcurrency",
    "sessionAffinity",
    "healthCheckDisabled",
)
"""Fields that a revision has from its template."""
INGRESS: Final[Mapping[str, str]] = {
    "ALLOW_ALL": "INGRESS_TRAFFIC_ALL",
    "ALLOW_INTERNAL_ONLY": "INGRESS_TRAFFIC_INTERNAL_ONLY",
    "ALLOW_INTERNAL_AND_GCLB": "INGRESS_TRAFFIC_INTERNAL_LOAD_BALANCER",
}
"""Cloud Functions' words for who may reach a service, with Cloud Run's."""
_SECRETS: Final = "deploygate-secrets"
"""Prefix of the names of the volumes that we make."""


class BuildSource(NamedTuple):
    """What a revision was built from: an archive in Cloud Storage, and how."""

    bucket: str
    object: str
    generation: str
    runtime: str
    entry_point: str
    variables: Mapping[str, str] = {}

    @property
    def location(self) -> str:
        """Its address, ``gs://BUCKET/OBJECT#GENERATION``."""
        return f"gs://{self.bucket}/{self.object}#{self.generation}"

    def to_annotation(self) -> str:
        """As a revision carries it."""
        return json.dumps({**self._asdict(), "variables": dict(self.variables)}, sort_keys=True)

    @classmethod
    def of_revision(cls, revision: Json) -> "BuildSource | None":
        """What ``revision`` says of itself, or None."""
        text = (revision.get("annotations") or {}).get(BUILD_ANNOTATION, "")
        try:
            found = json.loads(text)
            return cls(**{name: found[name] for name in cls._fields})
        except (ValueError, TypeError, KeyError):
            return None


@dataclass(frozen=True, slots=True, kw_only=True)
class WantedRevision:
    """A revision to be made: its own name, its image by digest, and what it is given."""

    name: RevisionName
    image: str
    variables: Mapping[str, str]
    secrets: Mapping[str, SecretRef]
    secret_files: Mapping[str, SecretRef]
    build: BuildSource | None = None
    base_image: str = ""
    """Image of the operating system and interpreter that the platform may replace by itself; empty for none."""


def template_for(spec: FunctionSpec, wanted: WantedRevision, now: Json, *, is_local: bool) -> Json:
    """The template ``now`` changed to what ``spec`` says of ``wanted``; ``now`` is empty where there is none yet."""
    template = deepcopy(now)
    template["revision"] = wanted.name
    template["timeout"] = f"{spec.timeout_s}s"
    if spec.service_account:
        template["serviceAccount"] = spec.service_account
    if spec.concurrency is not None:
        template["maxInstanceRequestConcurrency"] = spec.concurrency
    _set_scaling(spec, template)
    _set_network(spec, template)
    _set_annotation(template, wanted.build)
    containers = template.setdefault("containers", [{}])
    containers[0] = _container(spec, wanted, containers[0], is_local=is_local)
    _mount_secrets(template, containers[0], wanted.secret_files)
    return template


def template_of_revision(revision: Json) -> Json:
    """The template that makes a revision like ``revision`` again."""
    return {name: deepcopy(revision[name]) for name in FIELDS_OF_REVISION if name in revision}


def copy_of_revision(revision: Json, image: str, mark: str) -> Json:
    """The template that makes a copy of ``revision``, which runs ``image``; ``mark`` makes it differ from any other."""
    template = template_of_revision(revision)
    first, *others = template["containers"]
    template["containers"] = [{**first, "image": image}, *others]
    template["labels"] = {**(template.get("labels") or {}), COPY_LABEL: mark}
    return template


def is_copy(revision_or_template: Json, mark: str) -> bool:
    """Whether it was made as the copy with that ``mark``."""
    return bool((revision_or_template.get("labels") or {}).get(COPY_LABEL) == mark)


def _container(spec: FunctionSpec, wanted: WantedRevision, now: Json, *, is_local: bool) -> Json:
    container = {**now, "image": wanted.image, "env": _environment(wanted, now)}
    limits = {**(now.get("resources") or {}).get("limits", {}), "memory": spec.memory}
    if spec.cpu:
        limits["cpu"] = spec.cpu
    container["resources"] = {**(now.get("resources") or {}), "limits": limits}
    if wanted.build is not None or spec.container.command or now.get("command"):
        container.pop("args", None)  # those of another program
    for name in ("command", "baseImageUri", "workingDir"):
        container.pop(name, None)
    if wanted.base_image:
        container["baseImageUri"] = wanted.base_image
    if spec.container.command:
        container["command"] = list(spec.container.command)
        if is_local and spec.source:  # a program of this machine runs beside its files
            container["workingDir"] = spec.source
    probe = spec.container.startup_probe
    if probe.path:
        container["startupProbe"] = {
            "httpGet": {"path": probe.path},
            "periodSeconds": probe.period_s,
            "timeoutSeconds": probe.period_s,
            "failureThreshold": probe.failures,
        }
    return container


def _environment(wanted: WantedRevision, now: Json) -> list[Json]:
    known = {v.get("name"): v for v in now.get("env") or [] if isinstance(v, dict)}
    given = {*wanted.variables, *wanted.secrets}
    kept = [known[name] for name in KEPT_VARIABLES if name in known and name not in given]
    plain: list[Json] = [{"name": k, "value": v} for k, v in sorted(wanted.variables.items())]
    secret: list[Json] = [
        {"name": k, "valueSource": {"secretKeyRef": _selector(ref)}}
        for k, ref in sorted(wanted.secrets.items())
    ]
    return [*kept, *plain, *secret]


def _selector(ref: SecretRef) -> Json:
    return {"secret": _secret_name(ref), "version": ref.version or "latest"}


def _secret_name(ref: SecretRef) -> str:
    return f"projects/{ref.project}/secrets/{ref.name}" if ref.project else ref.name


def _mount_secrets(template: Json, container: Json, files: Mapping[str, SecretRef]) -> None:
    """Show each of ``files`` at its path; volumes of others stay, those that we made before go.

    So does what others show in a directory of ours: the platform takes one of both.
    """
    folders = {path.rpartition("/")[0] for path in files}
    volumes = [v for v in template.get("volumes") or [] if not _is_ours(v.get("name"))]
    mounts = [
        m
        for m in container.get("volumeMounts") or []
        if not _is_ours(m.get("name")) and m.get("mountPath") not in folders
    ]
    others = [
        *mounts,
        *(m for c in template["containers"][1:] for m in c.get("volumeMounts") or []),
    ]
    hidden = {m.get("name") for m in container.get("volumeMounts") or []} - {
        m.get("name") for m in others
    }
    volumes = [v for v in volumes if v.get("name") not in hidden]
    for number, (path, ref) in enumerate(sorted(files.items())):
        folder, _, file = path.rpartition("/")
        name = f"{_SECRETS}-{number}"
        item = {"path": file, "version": ref.version or "latest"}
        volumes.append({"name": name, "secret": {"secret": _secret_name(ref), "items": [item]}})
        mounts.append({"name": name, "mountPath": folder})
    for place, key, found in ((template, "volumes", volumes), (container, "volumeMounts", mounts)):
        place.pop(key, None)
        if found:
            place[key] = found


def _is_ours(name: object) -> bool:
    return str(name).startswith(_SECRETS)


def _set_scaling(spec: FunctionSpec, template: Json) -> None:
    named = {"minInstanceCount": spec.min_instances, "maxInstanceCount": spec.max_instances}
    given = {name: value for name, value in named.items() if value is not None}
    scaling = {**(template.get("scaling") or {}), **given}
    if scaling:
        template["scaling"] = scaling


def _set_network(spec: FunctionSpec, template: Json) -> None:
    """Direct VPC or a connector: Cloud Run takes one of both."""
    access, container = dict(template.get("vpcAccess") or {}), spec.container
    if spec.vpc_connector:
        access.pop("networkInterfaces", None)
        access["connector"] = spec.vpc_connector
    elif container.vpc_network or container.vpc_subnetwork or container.vpc_tags:
        access.pop("connector", None)
        known = (access.get("networkInterfaces") or [{}])[0]
        access["networkInterfaces"] = [_interface(container, known)]
    if spec.vpc_egress:
        access["egress"] = spec.vpc_egress
    if access:
        template["vpcAccess"] = access


def _interface(container: ContainerSpec, now: Json) -> Json:
    """The interface ``now`` with what the settings name; a network and its subnetwork belong together."""
    named = {"network": container.vpc_network, "subnetwork": container.vpc_subnetwork}
    given: Json = {key: value for key, value in named.items() if value}
    kept = now if all(now.get(key) == value for key, value in given.items()) else {}
    tags = list(container.vpc_tags) or now.get("tags")
    return {**kept, **given, **({"tags": tags} if tags else {})}


def _set_annotation(template: Json, build: BuildSource | None) -> None:
    annotations = dict(template.get("annotations") or {})
    annotations.pop(BUILD_ANNOTATION, None)
    if build is not None:
        annotations[BUILD_ANNOTATION] = build.to_annotation()
    template["annotations"] = annotations
