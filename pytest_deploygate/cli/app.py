"""Puts the commands together, and turns every error into a message, a hint and an exit status."""

import contextlib
import importlib
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import click

from pytest_deploygate import __version__
from pytest_deploygate.cli.operator import Operator
from pytest_deploygate.cli.output import Output
from pytest_deploygate.core.errors import (
    ConfigError,
    DeployGateError,
    ExitStatus,
    PolicyRefused,
)
from pytest_deploygate.core.redaction import Redactor, secrets_among

EPILOGUE = """\b
Examples:
  deploygate status production
  deploygate rollback production --reason "orders without prices"
  deploygate watch production --interval 300

\b
Exit status:
  0   done; what was asked about is well
  1   done, but the checks of what serves do not hold; or refused
  2   interrupted
  4   the command line or the settings are wrong
  10  could not look or act; what served before still serves
  11  stranded: a person must look (docs/runbook.md)

\b
Completion of environments, revisions and rollouts in your shell:
  bash  eval "$(_DEPLOYGATE_COMPLETE=bash_source deploygate)"
  zsh   eval "$(_DEPLOYGATE_COMPLETE=zsh_source deploygate)"
  fish  _DEPLOYGATE_COMPLETE=fish_source deploygate | source
"""


_MODULES = {
    "status": "status",
    "history": "past",
    "show": "past",
    "backups": "past",
    "plan": "plan",
    "rollback": "rollback",
    "recover": "settling",
    "unlock": "settling",
    "adopt": "settling",
    "watch": "watch",
    "local": "local",
}
"""The module of each command; only the one that is asked for is loaded."""


class _Commands(click.Group):
    """Loads commands when they are needed, and tells errors of the package where the project's secrets are known."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names of all commands."""
        del ctx
        return list(_MODULES)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of that name."""
        del ctx
        if cmd_name not in _MODULES:
            return None
        module = importlib.import_module(f"pytest_deploygate.cli.{_MODULES[cmd_name]}")
        command: click.Command = getattr(module, cmd_name)
        return command

    def invoke(self, ctx: click.Context) -> object:
        """Run the command that was asked for."""
        try:
            return super().invoke(ctx)
        except DeployGateError as error:
            return _tell(error, ctx)


@click.group(
    cls=_Commands, epilog=EPILOGUE, context_settings={"help_option_names": ["-h", "--help"]}
)
@click.option(
    "--project",
    "-C",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    metavar="DIRECTORY",
    help="Where the pyproject.toml is; else it is looked for here and above.",
)
@click.version_option(__version__, "-V", "--version", prog_name="deploygate")
@click.pass_context
def deploygate(context: click.Context, project: Path | None) -> None:
    """Look at deployments made by pytest-deploygate, and act by hand.

    To deploy, use pytest itself: pytest --deploy-to=ENV
    """
    context.obj = Operator(project)


def run(arguments: Sequence[str]) -> int:
    """Run one command; returns its exit status."""
    try:
        status = deploygate.main(
            args=list(arguments), prog_name="deploygate", standalone_mode=False
        )
        sys.stdout.flush()
    except click.ClickException as error:
        if "--json" in arguments:
            context = error.ctx if isinstance(error, click.UsageError) else None
            hint = f"{context.command_path} --help" if context is not None else ""
            _tell_json(Output(), "UsageError", error.format_message(), hint, ExitStatus.USAGE)
        else:
            error.show()
        return ExitStatus.USAGE
    except (click.Abort, KeyboardInterrupt):
        Output().note("interrupted")
        return ExitStatus.INTERRUPTED
    except BrokenPipeError:
        # The reader (head, less) has seen enough; Python must not complain about it at exit.
        with contextlib.suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return ExitStatus.NOT_PROMOTED
    return int(status or 0)


def status_of(error: DeployGateError) -> ExitStatus:
    """The exit status of a command that ended with ``error``."""
    match error:
        case ConfigError():
            return ExitStatus.USAGE
        case PolicyRefused():
            return ExitStatus.NOT_PROMOTED
        case _:
            return ExitStatus.COULD_NOT_ACT


def _tell(error: DeployGateError, ctx: click.Context) -> ExitStatus:
    status = status_of(error)
    clean = Redactor(secrets_among(os.environ))
    with contextlib.suppress(DeployGateError):
        clean = ctx.obj.redactor
    out = Output(clean=clean)
    if "--json" in sys.argv[1:]:
        _tell_json(out, type(error).__name__, error.message, error.hint, status)
    else:
        out.note(f"error: {error.message}")
        if error.hint:
            out.note(f"hint:  {error.hint}")
    return status


def _tell_json(out: Output, kind: str, message: str, hint: str, status: ExitStatus) -> None:
    told = {"kind": kind, "message": message, "hint": hint, "exit_status": int(status)}
    out.line(json.dumps({"error": told}, indent=2))
