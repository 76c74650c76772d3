"""What a Cloud Run service may be: the rules that the platform refuses by, and what cannot be had locally."""

from google.protobuf.message import Message

from pytest_deploygate.core.service_limits import TAG, ServiceLimits, cpus_of, limit_problems
from pytest_deploygate.emulator.api.protobuf_json import ApiError
from pytest_deploygate.emulator.container import EmulatedCloud
from pytest_deploygate.emulator.runtime.instance_files import SECRETS_BELOW
from pytest_deploygate.emulator.runtime.revisions import image_to_run, memory_limit
from pytest_deploygate.emulator.runtime.runner import ImageMissing
from pytest_deploygate.emulator.runtime.service_status import LATEST

MAX_TAG_AND_SERVICE = 46
"""Length of tag and service name together (Cloud Run: they share one DNS label with the hash)."""


def check_template(cloud: EmulatedCloud, template: Message) -> None:
    """Refuse what the platform refuses, and what cannot be had locally.

    Raises:
        ApiError: 400, naming the field.
    """
    if not template.containers or not all(c.image for c in template.containers):
        raise ApiError(400, "service.template.containers: each must have an image")
    container = template.containers[0]
    try:
        image_to_run(cloud.state, container)
    except ImageMissing as error:
        raise ApiError(400, f"service.template.containers.image: {error}") from error
    problems = [f"service.template: {found}" for found in _limits(template)]
    problems += [
        f"service.template.containers.volume_mounts: the emulator shows secrets below {SECRETS_BELOW} only, not at "
        f"{mount.mount_path}"
        for mount in container.volume_mounts
        if not mount.mount_path.startswith(f"{SECRETS_BELOW}/")
    ]
    if problems:
        raise ApiError(400, "; ".join(problems))


def _limits(template: Message) -> list[str]:
    container = template.containers[0]
    limits = dict(container.resources.limits)
    try:
        memory = memory_limit(limits.get("memory", ""))
    except ValueError as error:
        return [f"memory: {error}"]
    wanted = ServiceLimits(
        memory_mib=memory.mib,
        cpu=cpus_of(limits.get("cpu", "")),
        concurrency=template.max_instance_request_concurrency or None,
        min_instances=template.scaling.min_instance_count or None,
        max_instances=template.scaling.max_instance_count or None,
        variables={v.name: v.value for v in container.env if "value_source" not in v},
    )
    return list(limit_problems(wanted))


def normalise_traffic(cloud: EmulatedCloud, service: Message) -> None:
    """Hold a traffic list to the platform's rules; an empty one means all to the latest.

    Raises:
        ApiError: 400 for shares that do not add up to 100, an unknown revision, a tag twice or too long.
    """
    if not service.traffic:
        service.traffic.add(type_=LATEST, percent=100)
    if sum(target.percent for target in service.traffic) != 100:
        raise ApiError(400, "service.traffic: the percentages must add up to 100")
    if any(not 0 <= target.percent <= 100 for target in service.traffic):
        raise ApiError(400, "service.traffic: a percentage is not from 0 to 100")
    tags = [target.tag for target in service.traffic if target.tag]
    if len(set(tags)) != len(tags):
        raise ApiError(400, "service.traffic: a tag is named twice")
    short = service.name.rsplit("/", 1)[-1]
    for tag in tags:
        if not TAG.fullmatch(tag):
            raise ApiError(400, f"service.traffic: {tag!r} cannot be a tag")
        if len(tag) + len(short) > MAX_TAG_AND_SERVICE:
            raise ApiError(
                400,
                f"service.traffic: tag {tag!r} and service {short!r} together are longer than 46",
            )
    for target in service.traffic:
        if target.type_ == LATEST:
            if target.revision:
                raise ApiError(400, "service.traffic: a target of type LATEST names a revision")
        elif f"{service.name}/revisions/{target.revision}" not in cloud.state.revisions:
            raise ApiError(400, f"service.traffic: Revision '{target.revision}' was not found")
