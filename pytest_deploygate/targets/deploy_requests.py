"""What is sent to deploy: the function's message and the mask of what it changes."""

import logging
from collections.abc import Mapping
from typing import Final

from google.cloud import functions_v2

from pytest_deploygate.core.errors import OutcomeUnknown, TargetError
from pytest_deploygate.core.release import FunctionSpec, SecretRef
from pytest_deploygate.ports import Clock
from pytest_deploygate.system.retry import Backoff, attempts
from pytest_deploygate.targets import converters
from pytest_deploygate.targets.api_errors import Conflict
from pytest_deploygate.targets.functions_api import CloudFunctions

logger = logging.getLogger(__name__)

_ADOPT_ATTEMPTS: Final = 3

_RESTORED = (
    "build_config.runtime",
    "build_config.entry_point",
    "build_config.source",
    "build_config.environment_variables",
    "service_config.available_memory",
    "service_config.timeout_seconds",
    "service_config.environment_variables",
    "service_config.secret_environment_variables",
    "service_config.max_instance_request_concurrency",
)
"""What makes a revision behave as it did; labels, scaling and network stay as they are now."""


def release(
    spec: FunctionSpec,
    *,
    variables: Mapping[str, str],
    secrets: Mapping[str, SecretRef],
    labels: Mapping[str, str],
    source: functions_v2.StorageSource | None,
) -> tuple[functions_v2.Function, list[str]]:
    """A release of ``spec``.

    Without ``source`` only the variables and labels change: the build and the versions of the
    secrets stay those of the revision before, so that both differ in nothing else.
    """
    service, service_paths = converters.service_config(spec, variables, secrets)
    function = functions_v2.Function(
        environment=functions_v2.Environment.GEN_2, labels=dict(labels), service_config=service
    )
    if source is None:
        return function, ["service_config.environment_variables", "labels"]
    build, build_paths = converters.build_config(spec, source)
    function.build_config = build
    return function, [*build_paths, *service_paths, "labels"]


def restoration(
    before: functions_v2.Function, source: functions_v2.StorageSource, labels: Mapping[str, str]
) -> tuple[functions_v2.Function, list[str]]:
    """The function as it was ``before``, built from ``source``; with the ``labels`` of now it is told from others."""
    function = functions_v2.Function(
        environment=functions_v2.Environment.GEN_2,
        labels=dict(labels),
        build_config=before.build_config,
        service_config=before.service_config,
    )
    function.build_config.source = functions_v2.Source(storage_source=source)
    return function, [*_RESTORED, "labels"]


def begin(
    functions: CloudFunctions, wanted: functions_v2.Function, paths: list[str] | None, clock: Clock
) -> str:
    """Ask for ``wanted``, of a function that exists only its ``paths``; returns the operation's name.

    Raises:
        OutcomeUnknown: the answer was lost, and what was begun is not to be told from others.
    """
    known = frozenset(str(operation.name) for operation, _ in functions.operations())
    try:
        if paths is None:
            return functions.create(wanted)
        return functions.update(wanted, paths)
    except (Conflict, OutcomeUnknown) as error:
        adopted = adopt(functions, wanted, known, clock)
        if adopted is None:
            raise
        logger.warning(
            "target.operation_adopted", extra={"operation": adopted, "reason": error.message}
        )
        return adopted


def adopt(
    functions: CloudFunctions, wanted: functions_v2.Function, known: frozenset[str], clock: Clock
) -> str | None:
    """The operation that our own request began although its answer was lost, or None.

    Ours is the one that was not ``known`` before and asks for the same labels (those of a release
    carry the rollout's id) and variables.
    """
    for _ in attempts(clock, Backoff(first_s=0.5, factor=1), most=_ADOPT_ATTEMPTS):
        try:
            found = functions.operations()
        except TargetError as error:
            logger.warning("target.adopt_failed", extra={"reason": error.message})
            continue
        for operation, metadata in found:
            if operation.name not in known and _asks_for(metadata, wanted):
                return str(operation.name)
    return None


def _asks_for(metadata: functions_v2.OperationMetadata, wanted: functions_v2.Function) -> bool:
    asked = functions_v2.Function()
    message = functions_v2.Function.pb(asked)
    packed = functions_v2.OperationMetadata.pb(metadata).request_resource
    if not packed.Is(message.DESCRIPTOR):
        return False
    packed.Unpack(message)
    ours = dict(wanted.service_config.environment_variables)
    theirs = dict(asked.service_config.environment_variables)
    return dict(asked.labels) == dict(wanted.labels) and theirs == ours
