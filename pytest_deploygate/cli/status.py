"""``status``: what serves now, where a rollback would go, who may act, what is open. Changes nothing."""

import contextlib
from collections.abc import Mapping, Sequence
from datetime import datetime
from types import MappingProxyType
from typing import Any, NamedTuple

from pytest_deploygate import wiring
from pytest_deploygate.cli.cli_context import CliContext
from pytest_deploygate.cli.history import PastRollout
from pytest_deploygate.cli.output import BAD, DOUBTFUL, Output, moment
from pytest_deploygate.config.environment import LOCAL, Environment
from pytest_deploygate.core.documentation import STRANDED_HELP
from pytest_deploygate.core.errors import DeployGateError, ExitStatus, TargetRefused
from pytest_deploygate.core.identifiers import EnvironmentName
from pytest_deploygate.core.own_tags import TAG_LIVE_VERIFY
from pytest_deploygate.core.record import Lease, RolloutRecord
from pytest_deploygate.core.release import Snapshot
from pytest_deploygate.core.state_machine import State
from pytest_deploygate.core.step_command import latest_command
from pytest_deploygate.engine.detached import is_detached, waiting_hint, waiting_sentence
from pytest_deploygate.engine.engine_context import Ports
from pytest_deploygate.engine.rollback_plan import plan_rollback
from pytest_deploygate.ports import Store, Target
from pytest_deploygate.watchdog import registry

_DELIVERIES = 100
"""How many of the latest notifications are looked at."""
_NOTHING: Mapping[str, Any] = MappingProxyType({})


class Tag(NamedTuple):
    """A name that leads to a revision without traffic."""

    revision: str
    url: str


class Holder(NamedTuple):
    """Who may act. ``lives`` is None where that cannot be told from here."""

    actor: str
    purpose: str
    rollout_id: str
    since: datetime
    heartbeat_at: datetime
    lives: bool | None


class Undelivered(NamedTuple):
    """A notification that no receiver has taken yet; ``error`` is what the last attempt came to."""

    channel: str
    event: str
    rollout_id: str
    attempts: int
    error: str


class EmulatorSummary(NamedTuple):
    """The emulator of this project; ``endpoint`` and ``pid`` are empty while it is down."""

    is_up: bool
    endpoint: str = ""
    pid: int = 0


class Status(NamedTuple):
    """What ``status`` shows. ``problems`` says what could not be looked at; those fields are then empty.

    ``rollback_target`` is the revision that a rollback would return to now, ``no_rollback_target`` why there is none.
    """

    environment: str
    target: str
    function: str
    problems: Sequence[str] = ()
    exists: bool = False
    url: str = ""
    serving: Mapping[str, int] = _NOTHING
    follows_latest: bool = False
    is_public: bool = False
    is_settled: bool = True
    is_judged_good: bool | None = None
    rollback_target: str = ""
    no_rollback_target: str = ""
    verify_revision: str = ""
    tags: Mapping[str, Tag] = _NOTHING
    marked_rollout: str = ""
    is_record_read: bool = False
    lease: Holder | None = None
    open_rollouts: Sequence[PastRollout] = ()
    step: str = ""
    waiting: str = ""
    last_rollout: PastRollout | None = None
    watchdogs: Sequence[int] = ()
    emulator: EmulatorSummary | None = None
    frozen_until: datetime | None = None
    needs_approval: bool = False
    undelivered: Sequence[Undelivered] = ()

    @property
    def exit_status(self) -> ExitStatus:
        """STRANDED, COULD_NOT_ACT where something could not be looked at, else 0."""
        if any(r.state == State.STRANDED.value for r in self.open_rollouts):
            return ExitStatus.STRANDED
        return ExitStatus.COULD_NOT_ACT if self.problems else ExitStatus.OK


def show_status(context: CliContext, environment: str, *, is_json: bool) -> ExitStatus:
    """Show the serving revision, lease holder and unfinished rollouts: what can be read, and what cannot."""
    chosen = context.environment(environment)
    found = _read_status(context, chosen)
    out = context.output(is_json=is_json)
    out.document(found)
    if not is_json:
        _print(out, found)
    return found.exit_status


def _read_status(context: CliContext, environment: Environment) -> Status:
    found = Status(
        environment=environment.name,
        target=environment.target,
        function=environment.spec.function,
        frozen_until=_frozen_until(environment, context.clock.now()),
        needs_approval=environment.needs_approval,
        watchdogs=[
            note.pid
            for note in registry.find(context.settings.state_dir)
            if note.environment == environment.name
        ],
    )
    with contextlib.ExitStack() as stack:
        found, target = _add_target(context, environment, found)
        snapshot: Snapshot | None = None
        if target is not None:
            stack.callback(target.close)
            try:
                snapshot = target.snapshot()
                found = _add_snapshot(found, snapshot)
            except DeployGateError as error:
                found = _add_problem(found, "target", error)
        try:
            store = stack.enter_context(context.store())
            has_channels = bool(context.settings.channels)
            found = _add_record(
                store,
                environment,
                found,
                snapshot,
                now=context.clock.now(),
                has_channels=has_channels,
            )
        except DeployGateError as error:
            found = _add_problem(found, "record", error)
            store = stack.enter_context(context.store(in_memory=True))
        if target is None or snapshot is None or not snapshot.exists:
            return found
        ports = Ports(environment=environment.name, target=target, store=store, clock=context.clock)
        return _add_rollback_target(ports, snapshot, found)


def _frozen_until(environment: Environment, now: datetime) -> datetime | None:
    if not environment.freeze:
        return None
    from pytest_deploygate.core.freeze import frozen_until

    frozen = frozen_until(environment.freeze, now)
    return frozen[1] if frozen is not None else None


def _add_problem(found: Status, what: str, error: DeployGateError) -> Status:
    hint = f"; {error.hint}" if error.hint else ""
    return found._replace(problems=[*found.problems, f"{what}: {error.message}{hint}"])


def _add_target(
    context: CliContext, environment: Environment, found: Status
) -> tuple[Status, Target | None]:
    """The target, if it can be had without starting the emulator; the caller closes it."""
    if environment.target == LOCAL:
        from pytest_deploygate.emulator.lifecycle import find

        cloud = find(context.settings.emulator_home)
        if cloud is None:
            down = ["the emulator is down: deploygate emulator up"]
            return found._replace(problems=down, emulator=EmulatorSummary(is_up=False)), None
        up = EmulatorSummary(is_up=True, endpoint=cloud.endpoint, pid=cloud.pid)
        found = found._replace(emulator=up)
    try:
        return found, wiring.open_target(context.settings, environment, context.clock)
    except DeployGateError as error:
        return _add_problem(found, "target", error), None


def _add_snapshot(found: Status, snapshot: Snapshot) -> Status:
    tags = dict(snapshot.traffic.tags)
    return found._replace(
        exists=snapshot.exists,
        url=snapshot.url,
        serving=dict(snapshot.serving.shares),
        follows_latest=snapshot.exists and not snapshot.traffic.is_pinned,
        is_public=snapshot.is_public,
        is_settled=snapshot.is_settled,
        is_judged_good=snapshot.is_marked_good or None,
        verify_revision=tags.get(TAG_LIVE_VERIFY, ""),
        tags={
            tag: Tag(revision=revision, url=snapshot.tag_urls.get(tag, ""))
            for tag, revision in tags.items()
        },
        marked_rollout=snapshot.rollout_labels.rollout or "",
    )


def _add_record(
    store: Store,
    environment: Environment,
    found: Status,
    snapshot: Snapshot | None,
    *,
    now: datetime,
    has_channels: bool,
) -> Status:
    name, latest = environment.name, store.history(environment.name, 1)
    lease, judged = store.lease(name), found.is_judged_good
    if snapshot is not None and snapshot.baseline is not None:
        judged = judged or store.is_known_good(name, snapshot.baseline)
    still_open = store.open_rollouts(name)
    left = [record for record in still_open if is_detached(record, now)]
    return found._replace(
        is_record_read=True,
        lease=_holder(lease) if lease is not None else None,
        open_rollouts=[PastRollout.of(r) for r in still_open],
        step=next((_step_text(store, record) for record in still_open), ""),
        waiting=waiting_sentence(left[-1]) if left else "",
        last_rollout=PastRollout.of(latest[0]) if latest else None,
        is_judged_good=judged,
        undelivered=_pending_deliveries(store, name) if has_channels else (),
    )


def _step_text(store: Store, record: RolloutRecord) -> str:
    """At which share a rollout is, and what an operator ordered there last; empty for one that is at no step."""
    if record.state is not State.STEPPING:
        return ""
    ordered = latest_command(store.step_commands(record.rollout_id), record.step_percent)
    told = f"; {ordered.sentence}" if ordered is not None else ""
    return f"{record.step_percent} %{told}"


def _pending_deliveries(store: Store, environment: EnvironmentName) -> Sequence[Undelivered]:
    from pytest_deploygate.notify.sender import Outbox

    if not isinstance(store, Outbox):
        return ()
    return [
        Undelivered(d.channel, d.event.value, d.rollout_id, d.attempts, d.error)
        for d in store.deliveries(_DELIVERIES)
        if d.environment == environment and d.sent_at is None
    ]


def _add_rollback_target(ports: Ports, snapshot: Snapshot, found: Status) -> Status:
    try:
        return found._replace(rollback_target=plan_rollback(ports, snapshot).to)
    except TargetRefused as error:
        return found._replace(no_rollback_target=error.message)
    except DeployGateError as error:
        return _add_problem(found, "rollback target", error)


def _holder(lease: Lease) -> Holder:
    from pytest_deploygate.system.process_identity import is_gone

    gone = is_gone(lease.actor)
    return Holder(
        actor=str(lease.actor),
        purpose=lease.purpose,
        rollout_id=lease.rollout_id,
        since=lease.since,
        heartbeat_at=lease.beat_at,
        lives=None if gone is None else not gone,
    )


def _print(out: Output, found: Status) -> None:
    traffic = "follows LATEST" if found.follows_latest else "pinned by name"
    adopt = f"no: deploygate adopt {found.environment} REVISION --reason TEXT, if it is good"
    lease = "free" if found.is_record_read else ""
    last = "no rollout yet" if found.is_record_read else ""
    out.facts(
        (
            ("environment", f"{found.environment} ({found.target})"),
            ("function", found.function),
            ("url", found.url),
            ("serving", _serving_text(found)),
            ("traffic", traffic if found.exists else ""),
            ("judged good", {True: "yes", False: adopt, None: ""}[found.is_judged_good]),
            (
                "rollback to",
                found.rollback_target
                or (found.no_rollback_target and f"none: {found.no_rollback_target}"),
            ),
            ("verification", found.verify_revision),
            ("public", ("yes" if found.is_public else "no") if found.exists else ""),
            ("settled", "" if found.is_settled else "no: the platform is still at work"),
            ("lease", _holder_text(found.lease) if found.lease is not None else lease),
            ("step", found.step),
            ("watchdog", _watchdog_text(found)),
            ("emulator", _cloud_text(found.emulator)),
            ("frozen", f"until {moment(found.frozen_until)}" if found.frozen_until else ""),
            ("approval", "required" if found.needs_approval else ""),
            ("last", _past_text(found.last_rollout) if found.last_rollout else last),
        )
    )
    rows = [(name, tag.revision, tag.url) for name, tag in found.tags.items()]
    out.table(("tag", "revision", "url"), rows, title="tags")
    open_rows = [(r.rollout_id, r.state, r.reason or r.purpose) for r in found.open_rollouts]
    out.table(("rollout", "state", "reason"), open_rows, title="open rollouts")
    _print_advice(out, found)


def _print_advice(out: Output, found: Status) -> None:
    for one in found.undelivered:
        out.line(
            f"not delivered: {one.channel} was not told that {one.rollout_id} was {one.event}: "
            f"{one.error} (attempts: {one.attempts})",
            DOUBTFUL,
        )
    for problem in found.problems:
        out.line(f"could not look: {problem}", BAD)
    if found.rollback_target and not found.is_record_read:
        out.line(
            "if what serves is bad, going back needs no record: "
            f"deploygate rollback {found.environment} --emergency --reason TEXT",
            DOUBTFUL,
        )
    if found.exit_status is ExitStatus.STRANDED:
        out.line(f"STRANDED: an operator must look: {STRANDED_HELP}", BAD)
    elif found.waiting and found.lease is None:
        name = EnvironmentName(found.environment)
        out.line(f"{found.waiting}; {waiting_hint(name)}", DOUBTFUL)
    elif found.open_rollouts and (found.lease is None or found.lease.lives is False):
        out.line(
            f"rollout {found.open_rollouts[0].rollout_id} was interrupted; "
            f"run: deploygate recover {found.environment}",
            DOUBTFUL,
        )


def _serving_text(found: Status) -> str:
    if found.problems and not found.exists:
        return ""
    shares = ", ".join(f"{name} {percent} %" for name, percent in found.serving.items())
    return shares or "nothing is deployed"


def _holder_text(holder: Holder) -> str:
    word = {True: "lives", False: "is dead: deploygate recover", None: "cannot be seen from here"}
    return (
        f"{holder.actor} since {moment(holder.since)} for {holder.purpose} "
        f"({word[holder.lives]}, last heartbeat {moment(holder.heartbeat_at)})"
    )


def _watchdog_text(found: Status) -> str:
    if found.watchdogs:
        return f"on, process {', '.join(map(str, found.watchdogs))}"
    return "off" if found.open_rollouts else "off: no rollout is under way"


def _cloud_text(cloud: EmulatorSummary | None) -> str:
    if cloud is None:
        return ""
    return f"up at {cloud.endpoint}, process {cloud.pid}" if cloud.is_up else "down"


def _past_text(one: PastRollout) -> str:
    reason = f": {one.reason}" if one.reason else ""
    return f"{one.state} {one.purpose} {one.rollout_id} at {moment(one.began_at)}{reason}"
