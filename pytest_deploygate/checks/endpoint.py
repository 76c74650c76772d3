"""Endpoint of a revision. Separate from its client, because the client loads an HTTP library that few modules need."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from pytest_deploygate.core.identifiers import Secret

Json: TypeAlias = "Mapping[str, Json] | list[Json] | str | int | float | bool | None"
"""A JSON document."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """Endpoint of a revision: ``url`` (http or https), the expected name of the revision or ``""``, and permissions."""

    url: str
    revision: str = ""
    token: Secret | None = None
    """Identity token for the ``Authorization`` header."""
    may_write: bool = False
    heard: Callable[[int], None] | None = field(default=None, compare=False, repr=False)
    """Called with the status of an answer that came from there, over a connection that there really was."""
    traceparent: str = field(default="", compare=False, repr=False)
    """Trace context of the phase; empty if it is not traced."""
