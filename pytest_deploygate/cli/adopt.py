"""``adopt``: mark a revision that no rollout judged as known good."""

import sys
from collections.abc import Sequence
from typing import NamedTuple

import click

from pytest_deploygate import wiring
from pytest_deploygate.cli.arguments import (
    complete_revision,
    complete_rollout,
    examples,
    json_option,
    pass_context,
    reason_option,
    required_environment,
)
from pytest_deploygate.cli.cli_context import CliContext
from pytest_deploygate.cli.output import Output
from pytest_deploygate.core.identifiers import RevisionName
from pytest_deploygate.engine.adoption import adopt as adopt_revision
from pytest_deploygate.engine.engine_context import Ports
from pytest_deploygate.engine.recovery import supersede
from pytest_deploygate.engine.rollback_plan import bad_verdict_on


class Adopted(NamedTuple):
    """What ``adopt`` shows. ``superseded`` are stranded rollouts that this decision ended."""

    environment: str
    rollout_id: str
    revision: str
    serves: bool
    reason: str
    superseded: Sequence[str]


@click.command(
    short_help="Mark a revision as known good.",
    epilog=examples(
        'deploygate adopt production process-invoice-00007-xyz --reason "checked by hand"'
    ),
)
@required_environment
@click.argument("revision", metavar="REVISION", shell_complete=complete_revision)
@click.option(
    "--even-though",
    metavar="ROLLOUT",
    default="",
    help="The rollout that judged it bad, which you overrule.",
    shell_complete=complete_rollout,
)
@reason_option
@json_option
@pass_context
def adopt(
    context: CliContext,
    environment: str,
    revision: str,
    reason: str,
    even_though: str,
    *,
    is_json: bool,
) -> None:
    """Mark REVISION of ENV as known good, so that it can be a baseline or rollback target.

    For what was deployed by other means. Moves no traffic. If the revision serves, open and stranded rollouts are
    closed: you have looked, and this is what shall serve. A revision that a rollout judged bad is refused, unless
    --even-though names that rollout, or you say so when you are asked.
    """
    chosen = context.environment(environment)
    out = context.output(is_json=is_json)
    with context.log_to_file(), wiring.open_ports(context.settings, chosen) as ports:
        name = RevisionName(revision)
        even_though = even_though or _ask_to_overrule(ports, name, out)
        serves = ports.target.snapshot().serving.sole == name
        context.free_lease(ports, f"adopt {revision}: {reason}")
        rollout = adopt_revision(
            ports, name, actor=context.actor, reason=reason, even_though=even_though
        )
        superseded: tuple[str, ...] = ()
        if serves:
            sentence = f"superseded by the adoption of {revision}: {reason}"
            superseded = supersede(ports, actor=context.actor, sentence=sentence)
        context.record(out, rollout.record)
    found = Adopted(
        environment=chosen.name,
        rollout_id=rollout.record.rollout_id,
        revision=revision,
        serves=serves,
        reason=reason,
        superseded=superseded,
    )
    out.document(found)
    out.line(f"adopted {revision} in {chosen.name} ({found.rollout_id})")
    if superseded:
        out.line(f"closed: {', '.join(superseded)}")


def _ask_to_overrule(ports: Ports, revision: RevisionName, out: Output) -> str:
    """The rollout whose bad verdict whoever sits at the terminal overrules; empty without one, or without anybody."""
    bad = bad_verdict_on(ports, revision)
    if bad is None or out.is_json or not sys.stdin.isatty():
        return ""
    out.note(f"revision {revision} was judged bad by rollout {bad.rollout_id}: {bad.reason}")
    return bad.rollout_id if click.confirm("Adopt it even so?", err=True) else ""
