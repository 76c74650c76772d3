"""Names and plain values shared by all parts: ids, secrets, severities, JSON text helpers."""

from enum import Enum, unique
from typing import NamedTuple, NewType

RolloutId = NewType("RolloutId", str)
"""Identifies one rollout; also the correlation id of logs."""
RevisionName = NewType("RevisionName", str)
"""Short name of a revision as the platform gave it, e.g. ``process-invoice-00003-abc``."""
VariantName = NewType("VariantName", str)
"""Name of a verification variant (a further verification revision) in the settings."""
EnvironmentName = NewType("EnvironmentName", str)
BackupId = NewType("BackupId", str)
Digest = NewType("Digest", str)
"""Lower-case hexadecimal SHA-256."""


@unique
class Phase(Enum):
    """The phases in which gates run, in order."""

    READINESS = "readiness"
    CANDIDATE = "candidate"
    STEP = "step"
    """At each part of the traffic that the candidate gets before all of it."""
    LIVE = "live"


@unique
class Severity(Enum):
    """Severity of a trigger; a lower ``rank`` is more severe."""

    CRITICAL = "critical"
    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"

    @property
    def rank(self) -> int:
        """0 for the most severe."""
        return list(Severity).index(self)


class Secret:
    """A text that must not be shown: ``repr`` and ``str`` return ``***``; ``reveal()`` returns the text."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """The text itself, for the one call that needs it."""
        return self._text

    def __repr__(self) -> str:
        return "***"

    __str__ = __repr__

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._text == self._text

    def __hash__(self) -> int:
        return hash(self._text)


class Actor(NamedTuple):
    """Who acts: an operator or CI job on a host, and the process that acts for them."""

    user: str
    host: str
    pid: int
    boot_id: str = ""
    """Host boot and start time of the process, so that a reused pid is recognised."""
    ci_url: str = ""

    def __str__(self) -> str:
        where = f"{self.user}@{self.host}, process {self.pid}"
        return f"{where}, {self.ci_url}" if self.ci_url else where
