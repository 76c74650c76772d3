"""``unlock``: take the lease away from a process that will not give it back."""

from datetime import datetime
from typing import NamedTuple

import click

from pytest_deploygate.cli.arguments import (
    confirm,
    examples,
    json_option,
    pass_context,
    reason_option,
    required_environment,
    yes_option,
)
from pytest_deploygate.cli.cli_context import CliContext
from pytest_deploygate.cli.output import moment


class Unlocked(NamedTuple):
    """What ``unlock`` shows; empty texts where nobody held the lease."""

    environment: str
    was_held: bool
    actor: str = ""
    purpose: str = ""
    rollout_id: str = ""
    since: datetime | None = None


@click.command(
    short_help="Take the lease away.",
    epilog=examples('deploygate unlock production --reason "runner 7 was reinstalled"'),
)
@required_environment
@reason_option
@yes_option
@json_option
@pass_context
def unlock(context: CliContext, environment: str, reason: str, *, yes: bool, is_json: bool) -> None:
    """Take the lease of ENV away from whoever holds it; recorded, with your name and the reason.

    Touches nothing else: a process that still lives notices and stops, and what it left open is ended by
    `deploygate recover ENV` or by the next deployment.
    """
    from pytest_deploygate.system.process_identity import is_gone

    name = context.environment(environment).name
    out = context.output(is_json=is_json)
    with context.log_to_file(), context.store() as store:
        held = store.lease(name)
        if held is not None and not is_gone(held.actor):
            question = f"{held.actor} holds it for {held.purpose} and may still act. Take it away?"
            confirm(out, question, is_sure=yes)
        broken = store.break_lease(name, context.actor, reason)
    found = Unlocked(environment=name, was_held=False)
    if broken is not None:
        found = Unlocked(
            environment=name,
            was_held=True,
            actor=str(broken.actor),
            purpose=broken.purpose,
            rollout_id=broken.rollout_id,
            since=broken.since,
        )
    out.document(found)
    if broken is None:
        out.line(f"nobody holds the lease of {name}")
    else:
        out.line(
            f"took the lease of {name} away from {found.actor} ({found.purpose}, {found.rollout_id}, "
            f"since {moment(found.since)}); now: deploygate recover {name}"
        )
