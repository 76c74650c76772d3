"""``rollback``: return all traffic to a revision that was judged good, by hand."""

import contextlib
from collections.abc import Sequence
from typing import NamedTuple

import click

from pytest_deploygate import wiring
from pytest_deploygate.cli.arguments import (
    complete_backup,
    complete_revision,
    confirm,
    examples,
    json_option,
    pass_context,
    reason_option,
    required_environment,
    yes_option,
)
from pytest_deploygate.cli.cli_context import CliContext
from pytest_deploygate.cli.live_gates import run_checks
from pytest_deploygate.cli.output import Output
from pytest_deploygate.cli.rollback_result import KEPT, LOST, Rollback, print_rollback
from pytest_deploygate.config.environment import LOCAL, Environment
from pytest_deploygate.core.errors import (
    DeployGateError,
    PolicyRefused,
    StoreError,
    TargetRefused,
)
from pytest_deploygate.core.identifiers import BackupId, RevisionName
from pytest_deploygate.core.release import Snapshot
from pytest_deploygate.core.state_machine import State
from pytest_deploygate.core.verdict import Reason, ReasonCode
from pytest_deploygate.engine.detached import check_nothing_is_detached
from pytest_deploygate.engine.engine_context import Ports
from pytest_deploygate.engine.heartbeat import LeaseHeartbeat
from pytest_deploygate.engine.journaled_rollout import JournaledRollout
from pytest_deploygate.engine.operator_rollback import rollback_to_revision
from pytest_deploygate.engine.recovery import Recovery, supersede
from pytest_deploygate.engine.rollback_plan import RollbackPlan, plan_rollback
from pytest_deploygate.system.signal_guard import SignalGuard
from pytest_deploygate.targets import gcloud_commands


class RollbackRequest(NamedTuple):
    """What was typed."""

    to: str | None
    to_backup: str | None
    reason: str
    is_emergency: bool
    is_sure: bool

    @property
    def moves_first(self) -> bool:
        """Whether traffic moves before anything else is settled."""
        return self.is_emergency or self.to is not None or self.to_backup is not None


@click.command(
    short_help="Return all traffic to a good revision.",
    epilog=examples(
        'deploygate rollback production --reason "orders without prices"',
        'deploygate rollback production --to process-invoice-00012-abc --reason "had prices" --yes',
        'deploygate rollback production --emergency --reason "500 on every request"',
    ),
)
@required_environment
@click.option(
    "--to",
    metavar="REVISION",
    help="Where to; else the last one judged good before.",
    shell_complete=complete_revision,
)
@click.option(
    "--to-backup",
    metavar="ID",
    shell_complete=complete_backup,
    help="Where to; redeployed if the platform lost it (deploygate backups).",
)
@reason_option
@click.option("--emergency", is_flag=True, help="Traffic first: wait for nobody, need no record.")
@yes_option
@json_option
@pass_context
def rollback(
    context: CliContext,
    environment: str,
    to: str | None,
    to_backup: str | None,
    reason: str,
    *,
    emergency: bool,
    yes: bool,
    is_json: bool,
) -> int:
    """Return all traffic of ENV to a revision that was judged good, and check what then serves.

    It is one write of traffic: no build, no upload. Afterwards the live gates judge what serves, and never act.
    The release that is left is remembered: staging it again needs --deploy-reason.

    With --emergency the lease of a living rollout is taken away, a revision that you name need not have been judged,
    and where the record cannot be opened, none is kept.

    Exit status: 0 rolled back and the checks hold; 1 rolled back, but the checks do not hold; 10 nothing was done;
    11 stranded.
    """
    if to and to_backup:
        raise click.UsageError("--to and --to-backup exclude each other")
    chosen = context.environment(environment)
    out = context.output(is_json=is_json)
    wish = RollbackRequest(
        to=to, to_backup=to_backup, reason=reason, is_emergency=emergency, is_sure=yes
    )
    guard = SignalGuard()
    guard.install()
    try:
        with context.log_to_file():
            began = context.clock.monotonic()
            found = _carry_out(context, chosen, wish, out, guard)
            waited_s = round(context.clock.monotonic() - began, 3)
            found = found._replace(waited_seconds=waited_s)
            if found.rollback_successful:
                out.note("checking what serves now")
                has_record = found.record == KEPT
                checked = run_checks(context, chosen, may_act=False, has_record=has_record)
                found = found._replace(post_rollback_validation=checked)
    finally:
        guard.remove()
    out.document(found)
    print_rollback(out, found)
    return found.exit_status


def _carry_out(
    context: CliContext,
    environment: Environment,
    wish: RollbackRequest,
    out: Output,
    guard: SignalGuard,
) -> Rollback:
    """Go back; in an emergency with an empty record in memory where the real one cannot be read or written.

    Once traffic is being returned, a record that fails is passed over, so nothing is done twice.
    """
    settings = context.settings
    try:
        with wiring.open_ports(settings, environment) as ports:
            return _rollback_with_ports(context, environment, ports, wish, out, guard)
    except StoreError as error:
        if not wish.is_emergency:
            raise
        out.note(f"the record cannot be used, so none is kept: {error.message}")
    with wiring.open_ports(settings, environment, in_memory=True) as ports:
        found = _rollback_with_ports(context, environment, ports, wish, out, guard)
    return found._replace(record=LOST)


def _rollback_with_ports(
    context: CliContext,
    environment: Environment,
    ports: Ports,
    wish: RollbackRequest,
    out: Output,
    guard: SignalGuard,
) -> Rollback:
    # Where the revision is named, visitors do not wait for what dead processes left: it is closed afterwards.
    recovered = () if wish.moves_first else _recover_open_rollouts(ports, wish, out)
    now = ports.target.snapshot()
    if back := _find_finished_recovery(recovered, now, wish):
        return _rollback_of_recovery(environment, wish, now, back)
    plan = _plan(ports, now, wish)
    confirm(
        out,
        f"Return all traffic of {environment.name} to {plan.to}, from {_shares_text(now)}?",
        is_sure=wish.is_sure,
    )
    if wish.is_emergency or _has_stranded(recovered):
        _take_lease_away(context, ports, wish, out)
    elif wish.moves_first and (dead := context.free_lease(ports, f"rollback: {wish.reason}")):
        out.note(f"took the lease away from {dead.actor} ({dead.purpose}), which is dead")
    with guard.shield():
        rollout = _roll_back(context, ports, plan, wish, out)
        superseded = _supersede(context, ports, rollout, out)
    context.record(out, rollout.record)
    is_pinned = rollout.state is State.ROLLED_BACK and environment.target != LOCAL
    notes = _pinned_notes(ports) if is_pinned else ()
    found = _rollback_of(environment, wish, rollout, plan, now, recovered, superseded)
    return found._replace(notes=notes)


def _pinned_notes(ports: Ports) -> tuple[str, ...]:
    with contextlib.suppress(DeployGateError):
        return gcloud_commands.pinned_notes(ports.target.spec, ports.target.snapshot())
    return ()


def _recover_open_rollouts(
    ports: Ports, wish: RollbackRequest, out: Output
) -> tuple[Recovery, ...]:
    """Bring to an end what dead processes left; what stays stranded is the operator's to decide."""
    recovered = wiring.recover(ports, progress=out.progress)
    check_nothing_is_detached(ports)
    for one in recovered:
        out.note(f"recovered {one.rollout_id}: {one.state.value}: {one.sentence}")
    if _has_stranded(recovered) and not (wish.to or wish.to_backup):
        raise PolicyRefused(
            f"rollout {recovered[-1].rollout_id} is stranded: {recovered[-1].sentence}",
            hint="say what shall serve: --to REVISION, or --to-backup ID",
        )
    return recovered


def _has_stranded(recovered: Sequence[Recovery]) -> bool:
    return any(one.state is State.STRANDED for one in recovered)


def _find_finished_recovery(
    recovered: Sequence[Recovery], now: Snapshot, wish: RollbackRequest
) -> Recovery | None:
    """The recovery that has done what was asked for, if one has."""
    done = [one for one in recovered if one.state is State.ROLLED_BACK]
    is_there = wish.to is None or wish.to == now.serving.sole
    return done[-1] if done and is_there and wish.to_backup is None else None


def _plan(ports: Ports, now: Snapshot, wish: RollbackRequest) -> RollbackPlan:
    backup = None
    if wish.to_backup is not None:
        backup = ports.store.backup(BackupId(wish.to_backup))
        if backup is None:
            raise TargetRefused(
                f"there is no backup {wish.to_backup}",
                hint=f"deploygate backups {ports.environment}",
            )
    return plan_rollback(
        ports,
        now,
        to=RevisionName(wish.to) if wish.to else None,
        backup=backup,
        is_emergency=wish.is_emergency,
    )


def _take_lease_away(context: CliContext, ports: Ports, wish: RollbackRequest, out: Output) -> None:
    what = "emergency rollback" if wish.is_emergency else "rollback"
    broken = ports.store.break_lease(ports.environment, context.actor, f"{what}: {wish.reason}")
    if broken is not None:
        out.note(f"took the lease away from {broken.actor} ({broken.purpose})")


def _roll_back(
    context: CliContext, ports: Ports, plan: RollbackPlan, wish: RollbackRequest, out: Output
) -> JournaledRollout:
    keepers: list[LeaseHeartbeat] = []

    def keep(rollout: JournaledRollout) -> None:
        keepers.append(LeaseHeartbeat(rollout.ports.store, rollout.lease, out.note))
        keepers[0].start()

    try:
        return rollback_to_revision(
            ports,
            plan,
            actor=context.actor,
            purpose="rollback",
            reason=Reason(code=ReasonCode.REQUESTED, sentence=wish.reason),
            progress=out.progress,
            opened=keep,
        )
    finally:
        for keeper in keepers:
            keeper.stop()


def _supersede(
    context: CliContext, ports: Ports, rollout: JournaledRollout, out: Output
) -> tuple[str, ...]:
    """Close what else is open; traffic is where it should be, so what fails here is only said."""
    if rollout.state is not State.ROLLED_BACK:
        return ()
    sentence = f"superseded by rollback {rollout.record.rollout_id}"
    try:
        return supersede(ports, actor=context.actor, sentence=sentence)
    except DeployGateError as error:
        out.note(f"earlier rollouts are still open: {error.message}")
        return ()


def _shares_text(now: Snapshot) -> str:
    return ", ".join(f"{revision} ({percent} %)" for revision, percent in now.serving.shares)


def _rollback_of(  # the parts of one document
    environment: Environment,
    wish: RollbackRequest,
    rollout: JournaledRollout,
    plan: RollbackPlan,
    now: Snapshot,
    recovered: Sequence[Recovery],
    superseded: Sequence[str],
) -> Rollback:
    is_back = rollout.state is State.ROLLED_BACK
    return Rollback(
        environment=environment.name,
        rollout_id=rollout.record.rollout_id,
        state=rollout.state.value,
        rollback_successful=is_back,
        rollback_duration_seconds=rollout.record.rollback_s,
        waited_seconds=0,
        rollback_reason=wish.reason,
        error="" if is_back else rollout.record.reason,
        from_revisions=[revision for revision, _ in plan.serving.shares],
        to_revision=rollout.record.serving or plan.to if is_back else plan.to,
        url=now.url,
        is_emergency=wish.is_emergency,
        record=KEPT,
        recovered=[one.rollout_id for one in recovered],
        superseded=superseded,
        post_rollback_validation=None,
    )


def _rollback_of_recovery(
    environment: Environment, wish: RollbackRequest, now: Snapshot, done: Recovery
) -> Rollback:
    return Rollback(
        environment=environment.name,
        rollout_id=done.rollout_id,
        state=done.state.value,
        rollback_successful=True,
        rollback_duration_seconds=None,
        waited_seconds=0,
        rollback_reason=done.sentence,
        error="",
        from_revisions=(),
        to_revision=now.serving.sole or "",
        url=now.url,
        is_emergency=wish.is_emergency,
        record=KEPT,
        recovered=(done.rollout_id,),
        superseded=(),
        post_rollback_validation=None,
    )
