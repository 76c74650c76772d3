"""Puts the commands together as click knows them."""

import importlib
import sys
from collections.abc import Sequence
from pathlib import Path

import click

from pytest_deploygate import __version__
from pytest_deploygate.cli.cli_context import CliContext
from pytest_deploygate.cli.exit import (
    report_error,
    report_interruption,
    report_plainly,
    run_guarded,
)
from pytest_deploygate.cli.output import Output
from pytest_deploygate.core.documentation import STRANDED_HELP
from pytest_deploygate.core.errors import ConfigError, DeployGateError

EPILOGUE = f"""\b
Examples:
  deploygate status production
  deploygate rollback production --reason "orders without prices"
  deploygate watch production --interval 300

\b
Exit status:
  0   success
  1   done, but the checks of what serves do not hold; or refused
  2   interrupted
  4   the command line or the settings are wrong
  10  could not look or act; the baseline still serves
  11  stranded: an operator must look, see
      {STRANDED_HELP}
  12  watch --once: a rollout waits at a step, and its steps go on

\b
Completion of environments, revisions and rollouts in your shell:
  bash  eval "$(_DEPLOYGATE_COMPLETE=bash_source deploygate)"
  zsh   eval "$(_DEPLOYGATE_COMPLETE=zsh_source deploygate)"
  fish  _DEPLOYGATE_COMPLETE=fish_source deploygate | source
"""


_MODULES = {
    "init": "init",
    "status": "read_commands",
    "history": "read_commands",
    "show": "read_commands",
    "backups": "read_commands",
    "report": "report",
    "plan": "plan",
    "rollback": "rollback",
    "recover": "recover",
    "unlock": "unlock",
    "adopt": "adopt",
    "hold": "step_control",
    "advance": "step_control",
    "approve": "step_control",
    "abort": "step_control",
    "drill": "drill",
    "watch": "watch",
    "emulator": "emulator",
}
"""The module of each command; only the one that is asked for is loaded."""
_ALIASES = {"local": "emulator"}


class _Commands(click.Group):
    """Loads commands when they are needed, and tells errors of the package where the project's secrets are known."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names of all commands."""
        del ctx
        return list(_MODULES)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of that name."""
        del ctx
        cmd_name = _ALIASES.get(cmd_name, cmd_name)
        if cmd_name not in _MODULES:
            return None
        module = importlib.import_module(f"pytest_deploygate.cli.{_MODULES[cmd_name]}")
        command: click.Command = getattr(module, cmd_name)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command that was typed, or an error that names those that look like it."""
        if args and not args[0].startswith("-") and self.get_command(ctx, args[0]) is None:
            from difflib import get_close_matches

            near = get_close_matches(args[0], [*_MODULES, *_ALIASES], n=2)
            hint = f"; did you mean {' or '.join(near)}?" if near else ""
            raise click.UsageError(f"there is no command {args[0]!r}{hint}", ctx)
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: click.Context) -> object:
        """Run the command that was asked for."""
        try:
            return super().invoke(ctx)
        except DeployGateError as error:
            return report_error(error, ctx.obj, is_json="--json" in sys.argv[1:])


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
    context.obj = CliContext(project)


def run(arguments: Sequence[str]) -> int:
    """Run one command; returns its exit status."""
    return run_guarded(lambda: _run_click(arguments))


def _run_click(arguments: Sequence[str]) -> int:
    try:
        status = deploygate.main(
            args=list(arguments), prog_name="deploygate", standalone_mode=False
        )
    except click.ClickException as error:
        context = error.ctx if isinstance(error, click.UsageError) else None
        hint = f"{context.command_path} --help" if context is not None else ""
        message = error.format_message().removesuffix(".")
        # click's own messages begin with a capital letter
        usage = ConfigError(message[:1].lower() + message[1:], hint=hint)
        is_json = "--json" in arguments
        return report_plainly(Output(), usage, "UsageError", is_json=is_json)
    except click.Abort:
        return report_interruption()
    return int(status or 0)
