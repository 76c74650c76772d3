"""``drill``: try the rollback of what serves, at any time."""

import contextlib
from typing import NamedTuple

import click

from pytest_deploygate import wiring
from pytest_deploygate.cli.arguments import (
    complete_revision,
    examples,
    json_option,
    pass_context,
    required_environment,
)
from pytest_deploygate.cli.cli_context import CliContext
from pytest_deploygate.cli.output import Output
from pytest_deploygate.config.environment import LOCAL, Environment
from pytest_deploygate.core.documentation import stranded_advice
from pytest_deploygate.core.errors import DeployGateError, ExitStatus
from pytest_deploygate.core.identifiers import RevisionName
from pytest_deploygate.core.record import RolloutRecord
from pytest_deploygate.core.state_machine import State
from pytest_deploygate.engine.detached import check_nothing_is_detached
from pytest_deploygate.engine.heartbeat import LeaseHeartbeat
from pytest_deploygate.engine.journaled_rollout import JournaledRollout
from pytest_deploygate.engine.rollback_drill import drill_environment
from pytest_deploygate.engine.rollback_plan import plan_rollback
from pytest_deploygate.judge.preconditions import check_serving_is_whole


class Drilled(NamedTuple):
    """What ``drill`` shows. ``moved_traffic`` says whether all traffic really moved and returned."""

    environment: str
    rollout_id: str
    state: str
    holds: bool
    to_revision: str
    serving: str
    moved_traffic: bool
    drill_seconds: float | None
    return_seconds: float | None
    error: str

    @property
    def exit_status(self) -> ExitStatus:
        """What became of it."""
        if self.state == State.STRANDED.value:
            return ExitStatus.STRANDED
        return ExitStatus.OK if self.holds else ExitStatus.FAILED


@click.command(
    short_help="Try the rollback before it is needed.",
    epilog=examples("deploygate drill production", "deploygate drill local --to hello-00003-abc"),
)
@required_environment
@click.option(
    "--to",
    metavar="REVISION",
    help="Where to; else where `rollback` would go.",
    shell_complete=complete_revision,
)
@json_option
@pass_context
def drill(context: CliContext, environment: str, to: str | None, *, is_json: bool) -> int:
    """Try everything that `deploygate rollback ENV` needs, and measure it; what serves stays.

    The revision is ready, its image is in the registry, its own URL answers, and a compare-and-set write of the
    traffic onto itself is accepted. On the emulator, all traffic really moves there and returns.

    Exit status: 0 the rollback would work; 1 it would not; 10 it could not be tried; 11 stranded.
    """
    chosen = context.environment(environment)
    out = context.output(is_json=is_json)
    found = _try_rollback(context, chosen, to, out)
    out.document(found)
    if found.exit_status is ExitStatus.STRANDED:
        out.line(f"the drill stranded: {found.error}: {stranded_advice(chosen.name)}")
    elif found.holds:
        how = "all traffic moved there and returned" if found.moved_traffic else "no traffic moved"
        out.line(f"a rollback to {found.to_revision} works: {found.drill_seconds:.1f} s, {how}")
    else:
        out.line(f"a rollback to {found.to_revision} would fail: {found.error}")
    out.line(f"serving: {found.serving}")
    return found.exit_status


def _try_rollback(
    context: CliContext, environment: Environment, to: str | None, out: Output
) -> Drilled:
    is_local = environment.target == LOCAL
    with context.acting_on(environment) as ports:
        wiring.recover(ports, progress=out.progress)
        check_nothing_is_detached(ports)
        snapshot = ports.target.snapshot()
        check_serving_is_whole(ports, snapshot)
        plan = plan_rollback(ports, snapshot, to=RevisionName(to) if to else None)

        with contextlib.ExitStack() as stack:

            def keep(one: JournaledRollout) -> None:
                stack.enter_context(LeaseHeartbeat(ports.store, one.lease))

            rollout, problem = drill_environment(
                ports,
                plan.to,
                snapshot,
                actor=context.actor,
                moves_traffic=is_local,
                progress=out.progress,
                opened=keep,
            )
        record = rollout.record
        context.record(out, record)
    return Drilled(
        environment=environment.name,
        rollout_id=record.rollout_id,
        state=record.state.value,
        holds=problem is None and record.state is State.ROLLED_BACK,
        to_revision=plan.to,
        serving=record.serving or "",
        moved_traffic=is_local and problem is None,
        drill_seconds=record.drill_s,
        return_seconds=record.rollback_s,
        error=_error_of(record, problem),
    )


def _error_of(record: RolloutRecord, problem: DeployGateError | None) -> str:
    if record.state is State.STRANDED:
        return record.reason
    return str(problem) if problem is not None else record.rollback_error
