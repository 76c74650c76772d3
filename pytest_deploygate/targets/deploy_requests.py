"""What is sent to deploy: the function's message and the mask of what it changes."""

import logging
from collections.abc import Mapping
from typing import Final

from google.cloud import functions_v2

from pytest_deploygate.core.errors import OutcomeUnknown, TargetError
from pytest_deploygate.core.function_spec import FunctionSpec
from pytest_deploygate.core.secret_ref import SecretRef
from pytest_deploygate.ports import Clock
from pytest_deploygate.system.retry import Backoff, attempts
from pytest_deploygate.targets import function_config
from pytest_deploygate.targets.api_errors import Conflict
from pytest_deploygate.targets.functions_api import CloudFunctions

logger = logging.getLogger(__name__)

_ADOPT_ATTEMPTS: Final = 3
_WAIT: Final = Backoff(first_s=1.0, factor=1.5, longest_s=5.0)
_BUSY_S: Final = 300.0
"""How long the deployment of somebody else is waited for."""

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
    source: functions_v2.StorageSource,
) -> tuple[functions_v2.Function, list[str]]:
    """A release of ``spec``: the one update of a rollout, since the platform builds at every one of them."""
    service, service_paths = function_config.service_config(spec, variables, secrets)
    build, build_paths = function_config.build_config(spec, source)
    function = functions_v2.Function(
        environment=functions_v2.Environment.GEN_2,
        labels=dict(labels),
        build_config=build,
        service_config=service,
    )
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
    before = functions.operations()
    known = frozenset(operation.name for operation in before)
    ended = {operation.name for operation in before if operation.is_done}
    try:
        return _ask(functions, wanted, paths, known, clock)
    except Conflict as error:
        # The platform takes one operation at a time: wait for that of somebody else, and ask once more.
        # It may have ended between the refusal and the look.
        other = [one for one in functions.operations() if one.name not in ended]
        if not other:
            raise
        busy = next((one for one in other if not one.is_done), other[0])
        logger.warning("target.waits_for_operation", extra={"operation": busy.name})
        for _ in attempts(clock, _WAIT, deadline=clock.monotonic() + _BUSY_S):
            if functions.operation(busy.name).is_done:
                return _ask(functions, wanted, paths, known, clock)
        raise error from None


def _ask(
    functions: CloudFunctions,
    wanted: functions_v2.Function,
    paths: list[str] | None,
    known: frozenset[str],
    clock: Clock,
) -> str:
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
        for operation in found:
            if operation.name not in known and _asks_for(operation.asked, wanted):
                return operation.name
    return None


def _asks_for(asked: functions_v2.Function | None, wanted: functions_v2.Function) -> bool:
    if asked is None:
        return False
    ours = dict(wanted.service_config.environment_variables)
    theirs = dict(asked.service_config.environment_variables)
    return dict(asked.labels) == dict(wanted.labels) and theirs == ours
