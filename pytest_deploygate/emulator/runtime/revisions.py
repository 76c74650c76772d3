"""Revisions: what a function's configuration becomes in Cloud Run, their conditions, and how one is launched."""

import re
import secrets
import string
from collections.abc import Mapping
from pathlib import Path

from google.api import launch_stage_pb2
from google.cloud import functions_v2, run_v2
from google.protobuf.message import Message

from pytest_deploygate.emulator.runtime.builder import Build
from pytest_deploygate.emulator.runtime.runner import ImageMissing, LaunchSpec, clean_path
from pytest_deploygate.emulator.storage.local_secrets import resolve_secret
from pytest_deploygate.emulator.storage.state import EmulatorState

Revision = run_v2.Revision.pb()
Condition = run_v2.Condition.pb()
RevisionTemplate = run_v2.RevisionTemplate.pb()
_Reasons = run_v2.Condition.RevisionReason
_States = run_v2.Condition.State
Ingress = functions_v2.ServiceConfig.IngressSettings

_UNITS = {
    "": 1, "k": 10**3, "M": 10**6, "G": 10**9, "Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "KiB": 2**10, "MiB": 2**20,
    "GiB": 2**30,
}  # fmt: skip
"""Suffixes of ``ServiceConfig.available_memory`` (k8s.io/apimachinery quantities, and gcloud's forms)."""
DEFAULT_MEMORY = "256M"
DEFAULT_TIMEOUT_S = 60
_MIB = 2**20
_GA = launch_stage_pb2.LaunchStage.Value("GA")


def memory_mib(text: str) -> float:
    """``1Gi`` is 1024; an empty text is the platform's default of 256M.

    Raises:
        ValueError: it is no such quantity.
    """
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([A-Za-z]*)", text or DEFAULT_MEMORY)
    if match is None or match[2] not in _UNITS:
        raise ValueError(f"not an amount of memory: {text!r}")
    return float(match[1]) * _UNITS[match[2]] / _MIB


def service_id(function: str) -> str:
    """Name of the Cloud Run service of a function id: ``process_invoice`` becomes ``process-invoice``."""
    return function.replace("_", "-").lower()


def image_of(function: str, digest: str) -> str:
    """Name of the image that a build of ``function`` (full name) made; equal digests mean the same build."""
    _, project, _, location, _, short = function.split("/")
    return f"{location}-docker.pkg.dev/{project}/gcf-artifacts/{short.replace('_', '__')}@sha256:{digest}"


def revision_name(service: str, generation: int) -> str:
    """A new full revision name: the service, a number that grows, three letters that nobody can guess."""
    letters = "".join(secrets.choice(string.ascii_lowercase) for _ in range(3))
    return f"{service}/revisions/{service.rsplit('/', 1)[-1]}-{generation:05d}-{letters}"


def template_of(function: Message, image: str) -> Message:
    """The template of the service that runs ``function`` from ``image``."""
    config = function.service_config
    template = RevisionTemplate(
        labels=dict(function.labels),
        service_account=config.service_account_email,
        max_instance_request_concurrency=config.max_instance_request_concurrency or 1,
    )
    template.timeout.seconds = config.timeout_seconds or DEFAULT_TIMEOUT_S
    template.scaling.min_instance_count = config.min_instance_count
    template.scaling.max_instance_count = config.max_instance_count
    container = template.containers.add(name="worker", image=image)
    container.ports.add(name="http1", container_port=8080)
    container.resources.limits["memory"] = config.available_memory or DEFAULT_MEMORY
    if config.available_cpu:
        container.resources.limits["cpu"] = config.available_cpu
    for name, value in sorted(config.environment_variables.items()):
        container.env.add(name=name, value=value)
    for secret in config.secret_environment_variables:
        reference = container.env.add(name=secret.key).value_source.secret_key_ref
        reference.secret = secret.secret
        reference.version = secret.version or "latest"
    return template


def revision_of(name: str, template: Message, generation: int) -> Message:
    """A new revision from ``template``, not ready yet."""
    revision = Revision(
        name=name,
        uid=secrets.token_hex(16),
        generation=generation,
        observed_generation=generation,
        service=name.split("/")[-3],
        launch_stage=_GA,
        service_account=template.service_account,
        max_instance_request_concurrency=template.max_instance_request_concurrency,
        labels=dict(template.labels),
        annotations=dict(template.annotations),
        etag=f'"{secrets.token_hex(8)}"',
        reconciling=True,
    )
    revision.create_time.GetCurrentTime()
    revision.update_time.GetCurrentTime()
    revision.timeout.CopyFrom(template.timeout)
    revision.scaling.CopyFrom(template.scaling)
    revision.containers.extend(template.containers)
    set_condition(revision, "Ready", _States.CONDITION_RECONCILING)
    return revision


def set_condition(
    resource: Message,
    kind: str,
    state: int,
    message: str = "",
    *,
    health_check_failed: bool = False,
) -> None:
    """Set the condition ``kind`` of a revision or service."""
    condition = next((found for found in resource.conditions if found.type_ == kind), None)
    if condition is None:
        condition = resource.conditions.add()
    condition.Clear()
    condition.type_ = kind
    condition.state = state
    condition.message = message
    condition.last_transition_time.GetCurrentTime()
    if health_check_failed:
        condition.revision_reason = _Reasons.HEALTH_CHECK_CONTAINER_ERROR


def is_ready(revision: Message) -> bool:
    """Whether the platform would let it serve."""
    return any(
        c.type_ == "Ready" and c.state == _States.CONDITION_SUCCEEDED for c in revision.conditions
    )


def digest_of(revision: Message) -> str:
    """Digest of the build that it runs."""
    return str(revision.containers[0].image.rpartition(":")[2])


def launch_spec(state: EmulatorState, home: Path, name: str, base: Mapping[str, str]) -> LaunchSpec:
    """How to run the revision ``name``; ``base`` are variables that every function gets.

    Raises:
        ImageMissing: its build is gone. StartFailed: a secret cannot be resolved.
    """
    revision = state.revisions.get(name)
    known = state.builds.get(digest_of(revision)) if revision is not None else None
    if revision is None or known is None:
        raise ImageMissing(f"Image of '{name.rsplit('/', 1)[-1]}' not found.")
    build = Build.from_json(known)
    container = revision.containers[0]
    short = name.rsplit("/", 1)[-1]
    environment = dict(base) | {
        "PATH": clean_path(),
        "HOME": build.source,
        "LANG": "C.UTF-8",
        "PYTHONUNBUFFERED": "1",
        "K_SERVICE": revision.service,
        "K_CONFIGURATION": revision.service,
        "K_REVISION": short,
        "FUNCTION_TARGET": build.entry_point,
        "FUNCTION_SIGNATURE_TYPE": "http",
        "LOG_EXECUTION_ID": "true",
    }
    for variable in container.env:
        reference = variable.value_source.secret_key_ref
        value = (
            resolve_secret(home, reference.secret, reference.version)
            if reference.secret
            else variable.value
        )
        environment[variable.name] = value
    return LaunchSpec(
        revision=short,
        build=build,
        environment=environment,
        memory_mb=memory_mib(container.resources.limits["memory"]),
        timeout_s=float(revision.timeout.seconds or DEFAULT_TIMEOUT_S),
        log=home / "logs" / f"{short}.log",
    )
