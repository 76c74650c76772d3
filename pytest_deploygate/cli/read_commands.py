"""The words of the commands that only look: ``status``, ``history``, ``show``, ``backups``."""

import click

from pytest_deploygate.cli.arguments import (
    WholeNumberRange,
    complete_rollout,
    examples,
    json_option,
    optional_environment,
    pass_context,
)
from pytest_deploygate.cli.cli_context import CliContext
from pytest_deploygate.cli.history import LIMIT, show_history, show_warnings


@click.command(
    short_help="Show what serves, the lease, open rollouts.",
    epilog=examples(
        "deploygate status",
        "deploygate status production --json | jq -r .rollback_target",
        "deploygate status production > /dev/null || echo 'look at production'",
    ),
)
@optional_environment
@json_option
@pass_context
def status(context: CliContext, environment: str, *, is_json: bool) -> int:
    """What serves in ENV, who may act, what is open. Shows as much as can be read, and says what cannot.

    Exit status: 0 all could be read; 10 something could not; 11 a rollout is stranded.
    """
    from pytest_deploygate.cli.status import show_status

    return show_status(context, environment, is_json=is_json)


@click.command(
    short_help="Past rollouts, newest first.",
    epilog=examples(
        "deploygate history production",
        "deploygate history production --warnings",
        "deploygate history --limit 100 --json | jq '.rollouts[] | select(.state == \"ROLLED_BACK\")'",
    ),
)
@optional_environment
@click.option(
    "--limit", type=WholeNumberRange(1), default=LIMIT, show_default=True, help="How many."
)
@click.option(
    "--warnings",
    "only_warnings",
    is_flag=True,
    help='Count how often each rule with enforce = "warn" would have decided.',
)
@json_option
@pass_context
def history(
    context: CliContext, environment: str, limit: int, *, only_warnings: bool, is_json: bool
) -> None:
    """Past rollouts, rollbacks, adoptions and broken leases, newest first; of all environments without ENV."""
    if only_warnings:
        show_warnings(context, environment, limit, is_json=is_json)
    else:
        show_history(context, environment, limit, is_json=is_json)


@click.command(
    short_help="One rollout with its evidence.",
    epilog=examples("deploygate show last", "deploygate show 20261123-074500-1a2b3c --json"),
)
@click.argument("rollout", metavar="[ROLLOUT]", default="last", shell_complete=complete_rollout)
@json_option
@pass_context
def show(context: CliContext, rollout: str, *, is_json: bool) -> None:
    """One rollout with its evidence: gates, checks that did not pass, measurements, journal.

    ROLLOUT is an id as `history` lists it, a part that only one id has, or `last`, the default.
    """
    from pytest_deploygate.cli.show import show_rollout

    show_rollout(context, rollout, is_json=is_json)


@click.command(
    short_help="What served before, kept here.",
    epilog=examples(
        "deploygate backups production",
        "deploygate rollback production --to-backup ID --reason TEXT",
    ),
)
@optional_environment
@json_option
@pass_context
def backups(context: CliContext, environment: str, *, is_json: bool) -> None:
    """Sources and settings of what served before each rollout, and whether they are still whole."""
    from pytest_deploygate.cli.backups import show_backups

    show_backups(context, environment, is_json=is_json)
