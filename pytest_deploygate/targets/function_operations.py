"""Operations of the Cloud Functions API as values, read from JSON.

What an operation tells may be newer than the library, or about something that is no function of ours
(a 1st generation function, one that is being detached): read past, never an error.
"""

from dataclasses import dataclass
from typing import Final

from google.cloud import functions_v2

from pytest_deploygate.targets.json_api import Json, read_message

_FUNCTION: Final = "google.cloud.functions.v2.Function"
_METADATA: Final = "google.cloud.functions.v2.OperationMetadata"


@dataclass(frozen=True, slots=True, kw_only=True)
class DeploymentOperation:
    """One operation; ``metadata`` is empty for an operation of another kind.

    ``function`` is what it made, ``asked`` what it was asked for: None where it does not say. ``error`` is code and
    message of one that failed.
    """

    name: str
    is_done: bool
    metadata: functions_v2.OperationMetadata
    error: tuple[int, str] | None = None
    function: functions_v2.Function | None = None
    asked: functions_v2.Function | None = None

    @property
    def created_at(self) -> float:
        """Seconds since the epoch, 0 where it does not say."""
        made = self.metadata.create_time
        return float(made.timestamp()) if made else 0.0


def operation_of(found: Json) -> DeploymentOperation:
    """The operation that the platform tells of."""
    metadata = functions_v2.OperationMetadata()
    told = found.get("metadata")
    if _is_packed(told, _METADATA):
        read_message(told, functions_v2.OperationMetadata.pb(metadata))
    error = found.get("error")
    return DeploymentOperation(
        name=str(found.get("name", "")),
        is_done=bool(found.get("done")),
        metadata=metadata,
        error=(int(error.get("code", 0)), str(error.get("message", "")))
        if isinstance(error, dict)
        else None,
        function=_function_in(found.get("response")),
        asked=_function_in(told.get("requestResource")) if isinstance(told, dict) else None,
    )


def _is_packed(found: object, kind: str) -> bool:
    return isinstance(found, dict) and str(found.get("@type", "")).endswith(f"/{kind}")


def _function_in(found: object) -> functions_v2.Function | None:
    if not _is_packed(found, _FUNCTION):
        return None
    return function_of(found)


def function_of(found: object) -> functions_v2.Function:
    """The function in JSON."""
    function = functions_v2.Function()
    read_message(found, functions_v2.Function.pb(function))
    return function
