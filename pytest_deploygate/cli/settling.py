"""``recover``, ``unlock``, ``adopt``: bringing an environment in order after something went wrong."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

import click

from pytest_deploygate import wiring
from pytest_deploygate.cli.arguments import (
    complete_revision,
    confirm,
    examples,
    json_option,
    pass_operator,
    reason_option,
    required_environment,
    yes_option,
)
from pytest_deploygate.cli.operator import Operator
from pytest_deploygate.cli.output import moment
from pytest_deploygate.core.errors import ExitStatus
from pytest_deploygate.core.rollout import State
from pytest_deploygate.core.values import RevisionName
from pytest_deploygate.engine.adoption import adopt as adopt_revision
from pytest_deploygate.engine.recovery import supersede
from pytest_deploygate.session.signals import SignalGuard


class Settled(NamedTuple):
    """One rollout that was brought to an end: how it was found, how it ended."""

    rollout_id: str
    found: str
    state: str
    reason: str


class Recovered(NamedTuple):
    """What ``recover`` shows."""

    environment: str
    settled: Sequence[Settled]
    serving: Mapping[str, int]

    @property
    def exit_status(self) -> ExitStatus:
        """STRANDED if one could not be settled."""
        is_stranded = any(one.state == State.STRANDED.value for one in self.settled)
        return ExitStatus.STRANDED if is_stranded else ExitStatus.PROMOTED


@click.command(
    short_help="Settle what a dead process left.",
    epilog=examples("deploygate recover production", "deploygate recover production --wait 300"),
)
@required_environment
@click.option(
    "--wait",
    type=click.FloatRange(0),
    default=0,
    metavar="SECONDS",
    help="How long to wait for a living rollout to end.",
)
@json_option
@pass_operator
def recover(operator: Operator, environment: str, wait: float, *, is_json: bool) -> int:
    """Settle what a dead process left in ENV: from the record and the platform, or from the platform alone.

    A rollout that was not judged good returns to its baseline; one that was is put in order. Can be repeated.

    Exit status: 0 nothing is open any more; 10 somebody who lives holds the lease; 11 stranded.
    """
    chosen = operator.environment(environment)
    out = operator.output(is_json=is_json)
    guard = SignalGuard()
    guard.install()
    try:
        with (
            operator.logged(),
            wiring.open_ports(operator.settings, chosen) as ports,
            guard.shield(),
        ):
            done = wiring.recover(ports, wait_s=wait, progress=out.progress)
            shares = ports.target.snapshot().serving.shares
            for one in done:
                record = ports.store.rollout(one.rollout_id)
                if record is not None:
                    operator.record(out, record)
    finally:
        guard.remove()
    found = Recovered(
        environment=chosen.name,
        settled=[
            Settled(
                rollout_id=one.rollout_id,
                found=one.found.value,
                state=one.state.value,
                reason=one.sentence,
            )
            for one in done
        ],
        serving=dict(shares),
    )
    out.document(found)
    out.table(
        ("rollout", "found", "state", "reason"),
        [(s.rollout_id, s.found, s.state, s.reason) for s in found.settled],
    )
    if not found.settled:
        out.line("nothing was open")
    serving = ", ".join(f"{name} {percent} %" for name, percent in found.serving.items())
    out.line(f"serving: {serving or 'nothing'}")
    return found.exit_status


# -- unlock ----------------------------------------------------------------------------------------


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
@pass_operator
def unlock(operator: Operator, environment: str, reason: str, *, yes: bool, is_json: bool) -> None:
    """Take the lease of ENV away from whoever holds it; recorded, with your name and the reason.

    Touches nothing else: a process that still lives notices and stops, and what it left open is settled by
    `deploygate recover ENV` or by the next deployment.
    """
    from pytest_deploygate.store.liveness import is_gone

    name = operator.environment(environment).name
    out = operator.output(is_json=is_json)
    with operator.logged(), operator.store() as store:
        held = store.lease(name)
        if held is not None and not is_gone(held.actor):
            question = f"{held.actor} holds it for {held.purpose} and may still act. Take it away?"
            confirm(out, question, is_sure=yes)
        broken = store.break_lease(name, operator.actor, reason)
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


# -- adopt -----------------------------------------------------------------------------------------


class Adopted(NamedTuple):
    """What ``adopt`` shows. ``superseded`` are stranded rollouts that this decision ended."""

    environment: str
    rollout_id: str
    revision: str
    serves: bool
    reason: str
    superseded: Sequence[str]


@click.command(
    short_help="Vouch for a revision nobody judged.",
    epilog=examples(
        'deploygate adopt production process-invoice-00007-xyz --reason "checked by hand"'
    ),
)
@required_environment
@click.argument("revision", metavar="REVISION", shell_complete=complete_revision)
@reason_option
@json_option
@pass_operator
def adopt(
    operator: Operator, environment: str, revision: str, reason: str, *, is_json: bool
) -> None:
    """Vouch for REVISION of ENV, which no rollout judged: from now on it may be a baseline or a way back.

    For what was deployed by other means. Moves no traffic. If the revision serves, open and stranded rollouts are
    closed: you have looked, and this is what shall serve.
    """
    chosen = operator.environment(environment)
    out = operator.output(is_json=is_json)
    with operator.logged(), wiring.open_ports(operator.settings, chosen) as ports:
        name = RevisionName(revision)
        serves = ports.target.snapshot().serving.sole == name
        operator.free_lease(ports, f"adopt {revision}: {reason}")
        rollout = adopt_revision(ports, name, actor=operator.actor, reason=reason)
        superseded: tuple[str, ...] = ()
        if serves:
            sentence = f"superseded by the adoption of {revision}: {reason}"
            superseded = supersede(ports, actor=operator.actor, sentence=sentence)
        operator.record(out, rollout.record)
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
