"""``hold``, ``advance``, ``approve`` and ``abort``: what an operator orders at a step of a running rollout."""

from datetime import datetime
from typing import NamedTuple

import click

from pytest_deploygate import wiring
from pytest_deploygate.cli.arguments import (
    examples,
    json_option,
    pass_context,
    reason_option,
    required_environment,
)
from pytest_deploygate.cli.cli_context import CliContext
from pytest_deploygate.cli.output import Output
from pytest_deploygate.config.environment import Environment
from pytest_deploygate.core.errors import PolicyRefused
from pytest_deploygate.core.record import RolloutRecord
from pytest_deploygate.core.state_machine import State
from pytest_deploygate.core.step_command import CommandKind, StepCommand
from pytest_deploygate.core.verdict import Reason, ReasonCode
from pytest_deploygate.engine.detached import abort_detached, find_detached
from pytest_deploygate.ports import Store


class Ordered(NamedTuple):
    """What these commands show: which step of which rollout they were given at."""

    environment: str
    rollout_id: str
    percent: int
    command: str
    reason: str
    at: datetime


@click.command(
    short_help="Keep the rollout at its step.",
    epilog=examples('deploygate hold production --reason "looking into the logs"'),
)
@required_environment
@reason_option
@json_option
@pass_context
def hold(context: CliContext, environment: str, reason: str, *, is_json: bool) -> None:
    """Keep the rollout in ENV at its step until you `advance` or `abort` it, or `at-most` of the step is over.

    Where steps need an approval, a later `approve` ends it, too. The running session sees it within two seconds.
    Triggers and objectives still abort the step.
    """
    _order(context, environment, CommandKind.HOLD, reason, is_json=is_json)


@click.command(
    short_help="Let the rollout go on to its next step.",
    epilog=examples('deploygate advance production --reason "nobody calls it at night"'),
)
@required_environment
@reason_option
@json_option
@pass_context
def advance(context: CliContext, environment: str, reason: str, *, is_json: bool) -> None:
    """Let the rollout in ENV go on to its next step without waiting for more evidence; recorded as undecided.

    Does not help against a freeze, a failing gate, or an objective that is worse than its margin.
    """
    _order(context, environment, CommandKind.ADVANCE, reason, is_json=is_json)


@click.command(
    short_help="Approve the next step of a rollout.",
    epilog=examples('deploygate approve production --reason "support sees nothing"'),
)
@required_environment
@reason_option
@json_option
@pass_context
def approve(context: CliContext, environment: str, reason: str, *, is_json: bool) -> None:
    """Let the rollout in ENV go on to its next step when its evidence suffices.

    Needed at each step that waits, where the environment says approval = "step".
    """
    _order(context, environment, CommandKind.APPROVE, reason, is_json=is_json)


@click.command(
    short_help="Return all traffic to the baseline.",
    epilog=examples('deploygate abort production --reason "customers call"'),
)
@required_environment
@reason_option
@json_option
@pass_context
def abort(context: CliContext, environment: str, reason: str, *, is_json: bool) -> None:
    """Have the rollout that is at a step in ENV return all traffic to the baseline.

    The running session does it, so that it also records and reports it.
    """
    _order(context, environment, CommandKind.ABORT, reason, is_json=is_json)


def _order(
    context: CliContext, environment: str, kind: CommandKind, reason: str, *, is_json: bool
) -> None:
    """Record the command for the process that holds the lease of the rollout."""
    found = context.environment(environment)
    name = found.name
    out = context.output(is_json=is_json)
    with context.log_to_file(), context.store() as store:
        record = _rollout_at_a_step(store, found, kind)
        _check_is_carried(store, record)
        percent = record.step_percent
        command = StepCommand(
            rollout_id=record.rollout_id,
            environment=name,
            percent=percent,
            kind=kind,
            actor=context.actor,
            reason=reason,
            at=context.clock.now(),
        )
        store.add_step_command(command)
        has_session = store.lease(name) is not None
    is_left = kind is CommandKind.ABORT and not has_session
    if kind is CommandKind.HOLD and not has_session:  # else that tells the channels
        wiring.start_notifications(context.settings)
    is_ended = is_left and _abort_left(context, found, out, command)
    out.document(
        Ordered(
            environment=name,
            rollout_id=record.rollout_id,
            percent=percent,
            command=kind.value,
            reason=reason,
            at=command.at,
        )
    )
    if is_ended:
        out.line(f"rollout {record.rollout_id} was at {percent} % without a session: it is ended")
        return
    out.line(f"told rollout {record.rollout_id} at {percent} % to {kind.value}")


def _rollout_at_a_step(store: Store, environment: Environment, kind: CommandKind) -> RolloutRecord:
    """The rollout that can be told ``kind`` now.

    Raises:
        PolicyRefused: there is none.
    """
    name = environment.name
    open_rollouts = [r for r in store.open_rollouts(name) if r.state is State.STEPPING]
    if not open_rollouts:
        raise PolicyRefused(
            f"no rollout in {name} is at a step",
            hint=f"see: deploygate status {name}; to return to an earlier release: deploygate rollback {name}",
        )
    record = open_rollouts[-1]
    percent = record.step_percent
    if kind is CommandKind.APPROVE and environment.approval != "step":
        raise PolicyRefused(
            f"no step in {name} needs an approval",
            hint=f'its settings do not say approval = "step"; to end a wait: deploygate advance {name} --reason TEXT',
        )
    waits = any(step.percent == percent and step.wait for step in environment.engine.steps)
    if not (waits or kind is CommandKind.ABORT):
        raise PolicyRefused(
            f"the step of {percent} % in {name} does not wait, so it cannot be told to {kind.value}",
            hint=f"to return to the baseline: deploygate abort {name} --reason TEXT",
        )
    return record


def _check_is_carried(store: Store, record: RolloutRecord) -> None:
    """Raise PolicyRefused if the process that holds the lease is known to be gone: nobody would see the command."""
    from pytest_deploygate.system.process_identity import is_gone

    lease = store.lease(record.environment)
    if lease is not None and is_gone(lease.actor):
        raise PolicyRefused(
            f"nobody carries rollout {record.rollout_id} on: the process that carried it is gone",
            hint=f"recover it first: deploygate recover {record.environment}",
        )


def _abort_left(
    context: CliContext, environment: Environment, out: Output, command: StepCommand
) -> bool:
    """Return a rollout that no session carries to its baseline; False if a session has just taken it over."""
    reason = Reason(code=ReasonCode.REQUESTED, sentence=command.sentence)
    with context.acting_on(environment) as ports:
        record = find_detached(ports)
        if record is None or record.rollout_id != command.rollout_id:
            return False  # that session sees the command
        rollout = abort_detached(
            ports, record, actor=context.actor, reason=reason, progress=out.progress
        )
        if rollout is not None:
            context.record(out, rollout.record)
        return rollout is not None
