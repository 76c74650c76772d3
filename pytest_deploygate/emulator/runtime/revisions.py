"""Revisions: what a function's configuration becomes in Cloud Run, their conditions, and how one is launched."""

import secrets
import string
from collections.abc import Mapping
from pathlib import Path

from google.api import launch_stage_pb2
from google.cloud import run_v2
from google.protobuf.message import Message

from pytest_deploygate.core.units import Memory
from pytest_deploygate.emulator.runtime.builder import Build
from pytest_deploygate.emulator.runtime.instance_launch import LaunchSpec
from pytest_deploygate.emulator.runtime.platform_fields import fill_template
from pytest_deploygate.emulator.runtime.runner import INSTANCES, ImageMissing, clean_path
from pytest_deploygate.emulator.storage.local_secrets import resolve_secret
from pytest_deploygate.emulator.storage.state import EmulatorState

Revision = run_v2.Revision.pb()
Condition = run_v2.Condition.pb()
RevisionTemplate = run_v2.RevisionTemplate.pb()
_Reasons = run_v2.Condition.RevisionReason
_States = run_v2.Condition.State

DEFAULT_MEMORY = "256M"
DEFAULT_TIMEOUT_S = 60
_GA = launch_stage_pb2.LaunchStage.Value("GA")


def memory_limit(text: str) -> Memory:
    """The limit of a container; an empty text is the platform's default of 256M.

    Raises:
        ValueError: it is no such quantity.
    """
    return Memory.parse(text or DEFAULT_MEMORY)


def service_id(function: str) -> str:
    """Name of the Cloud Run service of a function id: ``process_invoice`` becomes ``process-invoice``."""
    return function.replace("_", "-").lower()


def image_tag_of(function: str) -> str:
    """The image of ``function`` (full name) as the platform names it: one tag, which each build overwrites."""
    _, project, _, location, _, short = function.split("/")
    parts = (one.replace("-", "--").replace("_", "__") for one in (project, location, short))
    return f"{location}-docker.pkg.dev/{project}/gcf-artifacts/{'__'.join(parts)}:version_1"


def with_tag(image: str) -> str:
    """``image`` with its tag: the usual one where it names neither tag nor digest."""
    is_bare = "@" not in image and ":" not in image.rpartition("/")[2]
    return f"{image}:latest" if is_bare else image


def push_image(state: EmulatorState, tag: str, build: Build) -> str:
    """Keep what a build made under a digest of its own, and let ``tag`` lead there; what it led to before stays."""
    digest = f"sha256:{secrets.token_hex(32)}"
    state.builds.put(build.digest, build.to_json())
    state.images.put(f"{tag.rpartition(':')[0]}@{digest}", {"build": build.digest})
    state.images.put(tag, {"digest": digest})
    return digest


def resolve_image(state: EmulatorState, image: str) -> str:
    """``image`` by digest: what its tag leads to now.

    Raises:
        ImageMissing: there is no such image.
    """
    image = with_tag(image)
    known = state.images.get(image)
    if known is None:
        raise ImageMissing(
            f"Image '{image}' not found. The emulator has the images that it built itself and no others; it can run "
            "the program of another one in its place: name it as the container's command."
        )
    return f"{image.rpartition(':')[0]}@{known['digest']}" if "digest" in known else image


def image_to_run(state: EmulatorState, container: Message) -> str:
    """The image of a container by digest, which its revision goes on running, whatever its tag leads to later.

    Raises:
        ImageMissing: there is none, and no program of this machine stands in for it.
    """
    try:
        return resolve_image(state, container.image)
    except ImageMissing:
        if not container.command:
            raise
        return str(container.image)


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
    fill_template(template, function)
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
    for field in ("timeout", "scaling", "vpc_access"):
        if template.HasField(field):
            getattr(revision, field).CopyFrom(getattr(template, field))
    revision.execution_environment = template.execution_environment
    revision.volumes.extend(template.volumes)
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


def with_shown_conditions(revision: Message, *, has_traffic: bool) -> Message:
    """``revision`` with the conditions that the platform shows besides whether it is ready.

    One without traffic is ready and retired; that it is not active is information, no failure.
    """
    if not is_ready(revision):
        return revision
    set_condition(revision, "ContainerReady", _States.CONDITION_SUCCEEDED)
    available = _States.CONDITION_SUCCEEDED if has_traffic else _States.CONDITION_RECONCILING
    set_condition(revision, "ResourcesAvailable", available)
    set_condition(revision, "MinInstancesProvisioned", _States.CONDITION_FAILED)
    revision.conditions[-1].severity = run_v2.Condition.Severity.INFO
    revision.conditions[-1].revision_reason = _Reasons.MIN_INSTANCES_NOT_PROVISIONED
    active = _States.CONDITION_SUCCEEDED if has_traffic else _States.CONDITION_FAILED
    set_condition(revision, "Active", active)
    if not has_traffic:
        for condition in revision.conditions:
            if condition.type_ in {"Ready", "Active"}:
                condition.revision_reason = _Reasons.RETIRED
        revision.conditions[-1].severity = run_v2.Condition.Severity.INFO
    return revision


def is_ready(revision: Message) -> bool:
    """Whether the platform would let it serve."""
    return any(
        c.type_ == "Ready" and c.state == _States.CONDITION_SUCCEEDED for c in revision.conditions
    )


def launch_spec(state: EmulatorState, home: Path, name: str, base: Mapping[str, str]) -> LaunchSpec:
    """How to run the revision ``name``; ``base`` are variables that every function gets.

    Raises:
        ImageMissing: its build is gone. StartFailed: a secret cannot be resolved.
    """
    revision, running = state.revisions.get(name), state.running_images.get(name)
    image = state.images.get(str(running["image"])) if running is not None else None
    short = name.rsplit("/", 1)[-1]
    command = tuple(revision.containers[0].command) if revision is not None else ()
    if revision is None or (image is None and not command):
        raise ImageMissing(f"Image of '{short}' not found.")
    build = None if image is None else Build.from_json(state.builds[str(image["build"])])
    container = revision.containers[0]
    environment = dict(base) | {
        "PATH": clean_path(),
        "LANG": "C.UTF-8",
        "PYTHONUNBUFFERED": "1",
        "K_SERVICE": revision.service,
        "K_CONFIGURATION": revision.service,
        "K_REVISION": short,
    }
    if build is not None:
        environment |= {
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
        memory=memory_limit(container.resources.limits["memory"]),
        timeout_s=float(revision.timeout.seconds or DEFAULT_TIMEOUT_S),
        log=home / "logs" / f"{short}.log",
        instances=home / INSTANCES,
        command=() if build is not None else (*command, *container.args),
        working_directory=container.working_dir,
        startup_path=container.startup_probe.http_get.path,
        secret_files=_secret_files(home, revision),
    )


def _secret_files(home: Path, revision: Message) -> dict[str, str]:
    """Contents of the files by which a container sees secrets, by their paths.

    Raises:
        StartError: a secret cannot be resolved.
    """
    places = {mount.name: mount.mount_path for mount in revision.containers[0].volume_mounts}
    return {
        f"{places[volume.name]}/{item.path}": resolve_secret(
            home, volume.secret.secret, item.version or "latest"
        )
        for volume in revision.volumes
        if volume.name in places
        for item in volume.secret.items
    }
