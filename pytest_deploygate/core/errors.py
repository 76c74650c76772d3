"""Errors that the package raises, and the exit statuses that a session can end with.

A failing gate is a value, not an error. Every error carries a ``hint``: the next thing for a person to do.
"""

from enum import IntEnum, unique


@unique
class ExitStatus(IntEnum):
    """What became of traffic; 2 to 6 are pytest's own and always mean that the baseline serves."""

    OK = 0
    FAILED = 1
    INTERRUPTED = 2
    USAGE = 4
    COULD_NOT_ACT = 10
    STRANDED = 11


class DeployGateError(Exception):
    """Base of all errors raised here; ``hint`` says what to do next and may be empty."""

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}\n  hint: {self.hint}" if self.hint else self.message


class ConfigError(DeployGateError):
    """An option, a setting, a file or a credential is wrong; nothing was touched."""


class PolicyRefused(DeployGateError):
    """A rule of evidence forbids this rollout; nothing was touched."""


class TargetError(DeployGateError):
    """The target did not do what was asked; ``log_url`` leads to the platform's own log if there is one."""

    def __init__(self, message: str, *, hint: str = "", log_url: str = "") -> None:
        super().__init__(message, hint=hint)
        self.log_url = log_url


class TargetRefused(TargetError):
    """The target said no; asking again cannot help."""


class BuildFailed(TargetRefused):
    """The platform could not build the source; the message ends with the tail of the build log."""


class StartFailed(TargetRefused):
    """The build succeeded, but the revision never became ready to serve."""


class TargetUnavailable(TargetError):
    """The request was certainly not applied; asking again later may help."""


class OutcomeUnknown(TargetError):
    """The request may have been applied: observe before anything else, never repeat it blindly."""


class Drifted(TargetError):
    """Somebody else changed the service during the rollout; ``found`` describes what serves now."""

    def __init__(self, message: str, *, found: str, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.found = found


class LeaseHeld(DeployGateError):
    """Another rollout holds the lease of the environment; the message names who, since when, for what."""


class LeaseLost(DeployGateError):
    """The lease was broken or taken over while we held it: stop acting at once."""


class StoreError(DeployGateError):
    """The record cannot be read or written: disk full, read-only, damaged, or from a newer version."""


class JournalDamaged(StoreError):
    """The journal of a rollout contradicts itself; a person must look."""


class IllegalTransition(DeployGateError):
    """The rollout table has no row for this state and event: a bug."""
