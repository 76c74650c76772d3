"""One call of a stand-in service, as it is passed on to the process that answers it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from multidict import MultiMapping

from pytest_deploygate.emulator.api.protobuf_json import ApiError, Json, parse_json


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One call of a service."""

    path: Mapping[str, str]
    """Variable parts of the path, decoded."""
    query: MultiMapping[str]
    content: bytes

    def body(self) -> Json:
        """The JSON object that was sent; empty for an empty body.

        Raises:
            ApiError: 400.
        """
        found = parse_json(self.content, is_loop_beside=False)
        if not isinstance(found, dict):
            raise ApiError(400, "Invalid JSON payload received. An object is expected.")
        return found


Act = Callable[[Call], Json]
"""Answers a call, or raises ApiError."""
