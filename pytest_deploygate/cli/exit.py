"""How a command ends: every error becomes a message, a hint and an exit status."""

import contextlib
import json
import os
import sys
from collections.abc import Callable

from pytest_deploygate.cli.cli_context import CliContext
from pytest_deploygate.cli.output import Output
from pytest_deploygate.core.errors import (
    ConfigError,
    DeployGateError,
    ExitStatus,
    PolicyRefused,
)
from pytest_deploygate.core.redaction import Redactor, secrets_among


def run_guarded(command: Callable[[], int]) -> int:
    """The exit status of ``command``, also where it is interrupted or nobody reads what it prints."""
    try:
        status = command()
        sys.stdout.flush()
    except KeyboardInterrupt:
        return report_interruption()
    except BrokenPipeError:
        # The reader (head, less) has seen enough; Python must not complain about it at exit.
        with contextlib.suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return ExitStatus.FAILED
    return status


def report_interruption() -> ExitStatus:
    """An operator ended the command."""
    Output().note("interrupted")
    return ExitStatus.INTERRUPTED


def status_of(error: DeployGateError) -> ExitStatus:
    """The exit status of a command that ended with ``error``."""
    match error:
        case ConfigError():
            return ExitStatus.USAGE
        case PolicyRefused():
            return ExitStatus.FAILED
        case _:
            return ExitStatus.COULD_NOT_ACT


def report_error(error: DeployGateError, context: CliContext, *, is_json: bool) -> ExitStatus:
    """Say what went wrong where the project's secrets are known; returns the exit status."""
    clean = Redactor(secrets_among(os.environ))
    with contextlib.suppress(DeployGateError):
        clean = context.redactor
    return report_plainly(Output(clean=clean), error, type(error).__name__, is_json=is_json)


def report_plainly(out: Output, error: DeployGateError, kind: str, *, is_json: bool) -> ExitStatus:
    """Say what went wrong; returns the exit status."""
    status = status_of(error)
    if is_json:
        told = {
            "kind": kind,
            "message": error.message,
            "hint": error.hint,
            "exit_status": int(status),
        }
        out.line(json.dumps({"error": told}, indent=2))
    else:
        out.note(f"error: {error.message}")
        if error.hint:
            out.note(f"hint:  {error.hint}")
    return status
