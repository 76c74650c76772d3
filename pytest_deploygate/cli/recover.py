"""``recover``: end what a dead process left behind."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import click

from pytest_deploygate import wiring
from pytest_deploygate.cli.arguments import (
    NumberRange,
    examples,
    json_option,
    pass_context,
    required_environment,
)
from pytest_deploygate.cli.cli_context import CliContext
from pytest_deploygate.core.errors import ExitStatus
from pytest_deploygate.core.state_machine import State
from pytest_deploygate.engine.detached import find_detached, waiting_hint, waiting_sentence


class RecoveredRollout(NamedTuple):
    """One rollout that was brought to an end: how it was found, how it ended."""

    rollout_id: str
    found: str
    state: str
    reason: str


class RecoverDocument(NamedTuple):
    """What ``recover`` shows."""

    environment: str
    recovered: Sequence[RecoveredRollout]
    serving: Mapping[str, int]
    waiting: str
    """The rollout that waits at a step, if there is one: nothing of it is recovered."""

    @property
    def exit_status(self) -> ExitStatus:
        """STRANDED if one could not be recovered."""
        is_stranded = any(one.state == State.STRANDED.value for one in self.recovered)
        return ExitStatus.STRANDED if is_stranded else ExitStatus.OK


@click.command(
    short_help="Recover what a dead process left.",
    epilog=examples("deploygate recover production", "deploygate recover production --wait 300"),
)
@required_environment
@click.option(
    "--wait",
    type=NumberRange(0),
    default=0,
    metavar="SECONDS",
    help="How long to wait for a living rollout to end.",
)
@json_option
@pass_context
def recover(context: CliContext, environment: str, wait: float, *, is_json: bool) -> int:
    """Recover what a dead process left in ENV: from the record and the platform, or from the platform alone.

    A rollout that was not judged good returns to its baseline; one that was is put in order. One that waits at a step
    for the next session stays there, and is named. Can be repeated.

    Exit status: 0 nothing is left to recover; 10 somebody who lives holds the lease; 11 stranded.
    """
    chosen = context.environment(environment)
    out = context.output(is_json=is_json)
    with context.acting_on(chosen) as ports:
        done = wiring.recover(ports, wait_s=wait, progress=out.progress)
        shares = ports.target.snapshot().serving.shares
        left = find_detached(ports)
        for one in done:
            record = ports.store.rollout(one.rollout_id)
            if record is not None:
                context.record(out, record)
    found = RecoverDocument(
        environment=chosen.name,
        recovered=[
            RecoveredRollout(
                rollout_id=one.rollout_id,
                found=one.found.value,
                state=one.state.value,
                reason=one.sentence,
            )
            for one in done
        ],
        serving=dict(shares),
        waiting=waiting_sentence(left) if left is not None else "",
    )
    out.document(found)
    out.table(
        ("rollout", "found", "state", "reason"),
        [(s.rollout_id, s.found, s.state, s.reason) for s in found.recovered],
    )
    if found.waiting:
        out.line(f"{found.waiting}: nothing is to be recovered; {waiting_hint(chosen.name)}")
    elif not found.recovered:
        out.line("nothing was open")
    serving = ", ".join(f"{name} {percent} %" for name, percent in found.serving.items())
    out.line(f"serving: {serving or 'nothing'}")
    return found.exit_status
