"""Errors of the package, and the exit statuses of a session.

A failing gate is a value, not an error. Every error has a ``hint``: what the operator should do next.
"""

from collections.abc import Sequence
from enum import IntEnum, unique


@unique
class ExitStatus(IntEnum):
    """Which revision carries traffic; 2 to 6 are pytest's own and always mean that the baseline serves."""

    OK = 0
    FAILED = 1
    INTERRUPTED = 2
    USAGE = 4
    COULD_NOT_ACT = 10
    STRANDED = 11
    STEPPING = 12
    """Baseline and candidate serve: the rollout waits at a step, and the next runner carries it on."""


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


def join_errors(errors: Sequence[ConfigError], what: str) -> ConfigError:
    """One error that tells all ``errors``, of which there is at least one, each with its hint; ``what`` is wrong."""
    if len(errors) == 1:
        return errors[0]
    told = "\n".join(f"  {error}".replace("\n", "\n  ") for error in errors)
    return ConfigError(f"{len(errors)} {what} are wrong:\n{told}")


class PolicyRefused(DeployGateError):
    """A rule of evidence forbids this rollout; nothing was touched."""


class TargetError(DeployGateError):
    """The target did not do what was requested; ``log_url`` is the platform's log if there is one."""

    def __init__(self, message: str, *, hint: str = "", log_url: str = "") -> None:
        super().__init__(message, hint=hint)
        self.log_url = log_url


class TargetRefused(TargetError):
    """The target refused the request; a retry cannot help."""


class BuildFailed(TargetRefused):
    """The platform could not build the source; the message ends with the tail of the build log."""


class StartFailed(TargetRefused):
    """The build succeeded, but the revision never became ready to serve."""


class NotCarriedOut(TargetRefused):
    """The target accepted a traffic plan and could not apply it: a revision cannot serve, or its image is gone."""


class TargetUnavailable(TargetError):
    """The request was certainly not applied; a later retry may help."""


class OutcomeUnknown(TargetError):
    """The request may have been applied: observe the target first, never repeat the request blindly."""


class Drifted(TargetError):
    """Somebody else changed the service during the rollout; ``found`` describes what serves now."""

    def __init__(self, message: str, *, found: str, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.found = found


class LeaseHeld(DeployGateError):
    """Another rollout holds the lease of the environment; the message names holder, start and purpose."""


class LeaseLost(DeployGateError):
    """The lease was broken or taken over while we held it: stop acting at once."""


class StoreError(DeployGateError):
    """The record cannot be read or written: disk full, read-only, damaged, or from a newer version."""


class JournalDamaged(StoreError):
    """The journal of a rollout contradicts itself; an operator must look."""


class IllegalTransition(DeployGateError):
    """The rollout table has no row for this state and event: a bug."""
