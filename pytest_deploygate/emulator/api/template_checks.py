"""What a Cloud Run service and its template may say: what the platform refuses is refused before anything is stored.

Sources: Cloud Run, "Environment variables" (reserved names), "Quotas and limits", ``RevisionTemplate`` reference.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator

from google.protobuf.message import Message

from pytest_deploygate.emulator.api.protobuf_json import ApiError
from pytest_deploygate.emulator.runtime.revisions import memory_limit

_REVISION = re.compile(r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?")
_RESERVED = {"PORT", "K_SERVICE", "K_REVISION", "K_CONFIGURATION"}
"""Environment variables that the runtime sets itself."""
_MOST_VARIABLES = 1000
_MAX_VARIABLE_BYTES = 32 * 1024
"""Of one environment variable."""
_MAX_TIMEOUT_S = 3600
_MOST_LABELS = 64
_MOST_TARGETS = 1000
"""As many as a service may have revisions."""
_MOST_ANNOTATIONS = 1000
"""Nothing documents a number; they are 256 KiB together at most (Kubernetes, "Annotations")."""


def check_sizes(service: Message) -> None:
    """Refuse lists and maps that are longer than the platform takes, before anything goes through them.

    Raises:
        ApiError: 400, naming the field.
    """
    template = service.template
    lengths = [
        ("labels", len(service.labels), _MOST_LABELS),
        ("annotations", len(service.annotations), _MOST_ANNOTATIONS),
        ("template.labels", len(template.labels), _MOST_LABELS),
        ("template.annotations", len(template.annotations), _MOST_ANNOTATIONS),
        ("traffic", len(service.traffic), _MOST_TARGETS),
    ]
    for name, length, most in lengths:
        if length > most:
            raise ApiError(400, f"service.{name}: there are {length}, more than {most}")


def check_template_fields(service: str, template: Message) -> None:
    """Hold what ``template`` has to the platform's rules; what it lacks comes from elsewhere.

    Args:
        service: short name, with which the name of a revision begins.
        template: of a request.

    Raises:
        ApiError: 400, naming the fields.
    """
    found = list(_problems(service, template))
    if found:
        raise ApiError(400, "; ".join(f"service.template.{problem}" for problem in found))


def _problems(service: str, template: Message) -> Iterator[str]:
    name = template.revision
    if name and not (name.startswith(f"{service}-") and _REVISION.fullmatch(name)):
        yield (
            f"revision: {name[:80]!r} must begin with {service}- and consist of at most 63 lower-case letters, "
            "digits and '-'"
        )
    if not 0 <= template.timeout.seconds <= _MAX_TIMEOUT_S:
        yield f"timeout: {template.timeout.seconds} s is not from 1 to {_MAX_TIMEOUT_S}"
    if len(template.containers) > 1:
        yield "containers: the emulator runs one, no sidecars"
    for container in template.containers[:1]:
        yield from (f"containers: {problem}" for problem in _container_problems(container))


def _container_problems(container: Message) -> Iterator[str]:
    if memory := container.resources.limits.get("memory"):
        try:
            memory_limit(memory)
        except ValueError as error:
            yield f"resources.limits.memory: {str(error)[:200]}"
    if len(container.env) > _MOST_VARIABLES:
        yield f"env: there are {len(container.env)} variables, more than {_MOST_VARIABLES}"
        return
    for name, count in Counter(variable.name for variable in container.env).items():
        if count > 1:
            yield f"env: {name[:80]!r} is there {count} times"
    for problem in variable_problems((one.name, one.value) for one in container.env):
        yield f"env: {problem}"


def variable_problems(variables: Iterable[tuple[str, str]]) -> Iterator[str]:
    """What is wrong with environment variables; a secret has no value here."""
    for name, value in variables:
        if not name or "=" in name or name in _RESERVED or name.startswith("X_GOOGLE_"):
            yield f"{name[:80]!r} is reserved or not a name"
        if "\0" in f"{name}{value}" or len(f"{name}={value}".encode()) > _MAX_VARIABLE_BYTES:
            yield f"{name[:80]!r} is longer than 32 KiB, or holds a null character"
