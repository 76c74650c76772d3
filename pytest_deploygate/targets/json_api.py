"""Calls of a REST API whose answers stay JSON, so that what a client library does not know never matters.

The platform answers with fields, enum values and types that are newer than the installed library (``satisfiesPzi`` in
a finished operation, ``DETACH_FUNCTION``, ``containerStatuses``). The library's generated operation calls refuse such
answers (gapic-generator-python #780); here they are read past, and kept where something is written back.
"""

from collections.abc import Mapping
from typing import Any, Final, TypeVar

import requests
from google.api_core.exceptions import from_http_response
from google.protobuf import json_format
from google.protobuf.message import Message

from pytest_deploygate.core.errors import TargetUnavailable
from pytest_deploygate.targets.api_caller import ApiCaller

Json = dict[str, Any]
M = TypeVar("M", bound=Message)
_NOT_FOUND: Final = 404


class JsonApi:
    """One API at ``base_url`` (``https://run.googleapis.com/v2``); ``session`` carries the credentials."""

    def __init__(self, session: requests.Session, base_url: str, caller: ApiCaller) -> None:
        self._session = session
        self._base_url = base_url
        self._caller = caller

    def get(self, doing: str, path: str, params: Mapping[str, str] | None = None) -> Json | None:
        """The resource at ``path``, or None if there is none; repeated where a read may be."""
        return self._caller.read(doing, lambda: self._ask("GET", path, params=params))

    def require(self, doing: str, path: str, params: Mapping[str, str] | None = None) -> Json:
        """The resource at ``path``; one that does not exist is a :class:`TargetRefused`."""

        def call() -> Json:
            return self._ask("GET", path, params=params, none_is=None) or {}

        return self._caller.read(doing, call)

    def ask(self, doing: str, path: str, body: Json) -> Json:
        """A POST that changes nothing; repeated where a read may be."""

        def call() -> Json:
            return self._ask("POST", path, body=body, none_is=None) or {}

        return self._caller.read(doing, call)

    def write(
        self,
        doing: str,
        method: str,
        path: str,
        *,
        body: Json | None = None,
        params: Mapping[str, str] | None = None,
    ) -> Json:
        """Change something once; repeated only where it was certainly not applied."""

        def call() -> Json:
            return self._ask(method, path, params=params, body=body, none_is=None) or {}

        return self._caller.write(doing, call)

    def delete(self, doing: str, path: str, params: Mapping[str, str] | None = None) -> Json | None:
        """Remove what is at ``path``; None if there is nothing."""
        return self._caller.write(doing, lambda: self._ask("DELETE", path, params=params))

    def _ask(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        body: Json | None = None,
        none_is: int | None = _NOT_FOUND,
    ) -> Json | None:
        """One request; an answer ``none_is`` is no resource, every other error is raised."""
        response = self._session.request(
            method,
            f"{self._base_url}/{path}",
            params=params,
            json=body,
            timeout=self._caller.timeout_s,
        )
        if response.status_code == none_is:
            return None
        if not response.ok:
            raise from_http_response(response)  # type: ignore[no-untyped-call]
        found = response.json()
        if not isinstance(found, dict):
            raise ValueError("an object was expected")  # noqa: TRY004  # translated as an answer that was cut off
        return found


def read_message(found: object, message: M) -> M:
    """Fill ``message`` from JSON; fields, enum values and packed types that it lacks are read past.

    Raises:
        TargetUnavailable: a known field has a value of another type.
    """
    try:
        json_format.ParseDict(_without_foreign_types(found), message, ignore_unknown_fields=True)
    except json_format.Error as error:
        raise TargetUnavailable(
            f"an answer of the platform cannot be read: {error}",
            hint="report it with the output of --log-level=DEBUG",
        ) from error
    return message


def _without_foreign_types(found: object) -> object:
    """``found`` without ``Any`` values: what is in them is read by whoever knows their type."""
    if isinstance(found, dict):
        return {
            key: _without_foreign_types(value)
            for key, value in found.items()
            if not (isinstance(value, dict) and "@type" in value)
        }
    if isinstance(found, list):
        return [_without_foreign_types(value) for value in found]
    return found
