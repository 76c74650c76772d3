"""Waiting for a deployment: its stages as they pass, its end, and which kind of failure it was.

The kind is told by the stage that did not complete, as the error code is the same for a build and a
start that fail (firebase-tools #6465, terraform-provider-google #20571).
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from google.cloud import functions_v2

from pytest_deploygate.core.errors import (
    BuildFailed,
    OutcomeUnknown,
    StartFailed,
    TargetRefused,
    TargetUnavailable,
)
from pytest_deploygate.core.redaction import strip_queries
from pytest_deploygate.ports import Clock
from pytest_deploygate.system.retry import Backoff, attempts
from pytest_deploygate.targets.function_operations import DeploymentOperation
from pytest_deploygate.targets.functions_api import CloudFunctions

_BACKOFF: Final = Backoff(first_s=0.05, factor=1.05, longest_s=1.0)
"""Each pause is a twentieth of the time that the present stage has taken so far, at most a second.

A stage begins with short pauses again, since the last one takes seconds after a build of minutes.
"""
_Name = functions_v2.Stage.Name
_State = functions_v2.Stage.State
_WORDS: Final = {
    _Name.ARTIFACT_REGISTRY: "image repository",
    _Name.BUILD: "build",
    _Name.SERVICE: "revision",
    _Name.TRIGGER: "trigger",
    _Name.SERVICE_ROLLBACK: "undoing the revision",
    _Name.TRIGGER_ROLLBACK: "undoing the trigger",
}
_DOING: Final = {_State.IN_PROGRESS: "under way", _State.COMPLETE: "done"}
_MOST_LINES: Final = 3
"""Of what the platform says of a build: the rest is in the log."""
_LOG_LINK: Final = re.compile(r"https://console\.cloud\.google\.com/\S+?(?=[.,]?(?:\s|$))")


@dataclass(frozen=True, slots=True, kw_only=True)
class DeployedFunction:
    """A deployment that succeeded: the function as it is now (empty for a deletion)."""

    function: functions_v2.Function


def wait(
    functions: CloudFunctions,
    operation: str,
    *,
    clock: Clock,
    progress: Callable[[str], None],
    budget_s: float,
) -> DeployedFunction:
    """Poll until the operation has ended. Works for one that another process began.

    Raises:
        BuildFailed, StartFailed, TargetRefused: it ended in an error.
        OutcomeUnknown: it has not ended within ``budget_s``, or cannot be read any more.
    """
    said, problem, before_stage = set[str](), "", 0
    for attempt in attempts(clock, _BACKOFF, deadline=clock.monotonic() + budget_s):
        try:
            found = functions.operation(operation)
        except TargetUnavailable as error:
            problem = f" (last status request failed: {error.message})"
            continue
        problem = ""
        for line in _lines(found.metadata):
            if line not in said:
                said.add(line)
                progress(line)
                before_stage = attempt.number - 1
        if found.is_done:
            return _result_of(found)
        attempt.pause_s = _BACKOFF.pause_s(attempt.number - before_stage)
    raise OutcomeUnknown(
        f"deployment still running after {max(budget_s, 0):g} s{problem}",
        hint="traffic stays where it is; when it has ended, run: deploygate recover",
    )


def _lines(metadata: functions_v2.OperationMetadata) -> list[str]:
    lines = []
    for stage in metadata.stages:
        if stage.state in _DOING:
            link = f" ({stage.resource_uri})" if stage.name == _Name.BUILD else ""
            is_begun = stage.state == _State.IN_PROGRESS and stage.resource_uri
            what = _WORDS.get(stage.name, stage.name.name.lower())
            lines.append(f"{what}: {_DOING[stage.state]}{link if is_begun else ''}")
    return lines


def _result_of(operation: DeploymentOperation) -> DeployedFunction:
    if operation.error is not None:
        code, message = operation.error
        raise _failed_deployment_error(message, code, operation.metadata)
    return DeployedFunction(function=operation.function or functions_v2.Function())


def _failed_deployment_error(
    said: str, code: int, metadata: functions_v2.OperationMetadata
) -> TargetRefused:
    broken = next((s for s in metadata.stages if s.state != _State.COMPLETE), None)
    link = _LOG_LINK.search(said)
    log_url = link[0] if link is not None else ""
    if broken is not None and broken.resource_uri:
        log_url = broken.resource_uri
    more = [m.message for s in metadata.stages for m in s.state_messages if m.message not in said]
    text = strip_queries("\n".join([said or f"error {code}", *more]))
    see = f" The log: {log_url}" if log_url else ""
    match None if broken is None else broken.name:
        case _Name.ARTIFACT_REGISTRY | _Name.BUILD:
            lines = [log_url, *_ends_of(text)] if log_url else _ends_of(text)
            return BuildFailed(
                "the build failed: " + "\n".join(lines),
                hint="nothing new was deployed. Correct the source or its requirements",
                log_url=log_url,
            )
        case _Name.SERVICE | _Name.SERVICE_ROLLBACK:
            return StartFailed(
                f"the new revision did not start: {text}",
                hint="what served before still does. Does main.py load without an error, with the "
                f"variables and secrets that the settings name?{see}",
                log_url=log_url,
            )
        case _:
            return TargetRefused(
                f"the deployment failed: {text}",
                hint=f"look at the function.{see}",
                log_url=log_url,
            )


def _ends_of(text: str) -> list[str]:
    """Three lines of ``text``: the first says which step failed, the last ones say why."""
    lines = [line for line in text.splitlines() if line.strip()]
    return lines if len(lines) <= _MOST_LINES else [lines[0], *lines[1 - _MOST_LINES :]]
