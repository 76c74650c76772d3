"""``status`` and ``plan``: what serves now, and what a deployment would do. Neither changes anything."""

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

import click

from pytest_deploygate import watchdog, wiring
from pytest_deploygate.cli.operator import (
    Operator,
    examples,
    json_option,
    optional_environment,
    pass_operator,
)
from pytest_deploygate.cli.output import Output, moment
from pytest_deploygate.cli.past import PastRollout
from pytest_deploygate.config import Environment
from pytest_deploygate.core.approval import plan_digest
from pytest_deploygate.core.errors import DeployGateError, ExitStatus
from pytest_deploygate.core.freeze import frozen_until
from pytest_deploygate.core.record import Lease
from pytest_deploygate.core.release import TAG_LIVE_VERIFY, Snapshot
from pytest_deploygate.core.rollout import State
from pytest_deploygate.ports import Store


@dataclass(frozen=True, slots=True, kw_only=True)
class Tag:
    """A name that leads to a revision without traffic."""

    revision: str
    url: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Holder:
    """Who may act. ``lives`` is None where that cannot be told from here."""

    actor: str
    purpose: str
    rollout_id: str
    since: datetime
    heartbeat_at: datetime
    lives: bool | None


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalCloudState:
    """The local cloud of this project; ``endpoint`` and ``pid`` are empty while it is down."""

    is_up: bool
    endpoint: str = ""
    pid: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """What ``status`` shows. ``problems`` says what could not be looked at; those fields are then empty."""

    environment: str
    target: str
    function: str
    problems: Sequence[str] = ()
    exists: bool = False
    url: str = ""
    serving: Mapping[str, int] = field(default_factory=dict)
    follows_latest: bool = False
    is_public: bool = False
    is_settled: bool = True
    is_judged_good: bool | None = None
    verify_revision: str = ""
    tags: Mapping[str, Tag] = field(default_factory=dict)
    marked_rollout: str = ""
    lease: Holder | None = None
    open_rollouts: Sequence[PastRollout] = ()
    last_rollout: PastRollout | None = None
    watchdogs: Sequence[int] = ()
    local_cloud: LocalCloudState | None = None
    frozen_until: datetime | None = None
    needs_approval: bool = False

    @property
    def exit_status(self) -> ExitStatus:
        """STRANDED, COULD_NOT_ACT where something could not be looked at, else 0."""
        if any(r.state == State.STRANDED.value for r in self.open_rollouts):
            return ExitStatus.STRANDED
        return ExitStatus.COULD_NOT_ACT if self.problems else ExitStatus.PROMOTED


@click.command(
    short_help="What serves, who may act, what is open.",
    epilog=examples("deploygate status", "deploygate status production --json | jq .serving"),
)
@optional_environment
@json_option
@pass_operator
def status(operator: Operator, environment: str, *, is_json: bool) -> int:
    """What serves in ENV, who may act, what is open. Shows as much as can be read, and says what cannot.

    Exit status: 0 all could be read; 10 something could not; 11 a rollout is stranded.
    """
    chosen = operator.environment(environment)
    found = _look(operator, chosen)
    out = operator.output(is_json=is_json)
    out.document(found)
    if not is_json:
        _print(out, found)
    return found.exit_status


def _look(operator: Operator, environment: Environment) -> Status:
    frozen = frozen_until(environment.freeze, operator.clock.now())
    found = Status(
        environment=environment.name,
        target=environment.target,
        function=environment.spec.function,
        frozen_until=frozen[1] if frozen is not None else None,
        needs_approval=environment.approval == "required",
        watchdogs=[
            note.pid
            for note in watchdog.find(operator.settings.state_dir)
            if note.environment == environment.name
        ],
    )
    found, snapshot = _with_target(operator, environment, found)
    try:
        with operator.store() as store:
            return _with_record(store, environment, found, snapshot)
    except DeployGateError as error:
        return replace(found, problems=[*found.problems, f"record: {error.message}"])


def _with_target(
    operator: Operator, environment: Environment, found: Status
) -> tuple[Status, Snapshot | None]:
    if environment.target == wiring.LOCAL:
        from pytest_deploygate.emulator.process import find

        cloud = find(wiring.cloud_home(operator.settings))
        if cloud is None:
            down = ["the local cloud is down: deploygate local up"]
            return replace(found, problems=down, local_cloud=LocalCloudState(is_up=False)), None
        up = LocalCloudState(is_up=True, endpoint=cloud.endpoint, pid=cloud.pid)
        found = replace(found, local_cloud=up)
    try:
        target = wiring.open_target(operator.settings, environment, operator.clock)
        with contextlib.closing(target):
            snapshot = target.snapshot()
    except DeployGateError as error:
        return replace(found, problems=[f"target: {error.message}"]), None
    return _with_snapshot(found, snapshot), snapshot


def _with_snapshot(found: Status, snapshot: Snapshot) -> Status:
    tags = dict(snapshot.traffic.tags)
    return replace(
        found,
        exists=snapshot.exists,
        url=snapshot.url,
        serving=dict(snapshot.serving.shares),
        follows_latest=snapshot.exists and not snapshot.traffic.is_pinned,
        is_public=snapshot.is_public,
        is_settled=snapshot.is_settled,
        verify_revision=tags.get(TAG_LIVE_VERIFY, ""),
        tags={
            tag: Tag(revision=revision, url=snapshot.tag_urls.get(tag, ""))
            for tag, revision in tags.items()
        },
        marked_rollout=snapshot.marks.rollout or "",
    )


def _with_record(
    store: Store, environment: Environment, found: Status, snapshot: Snapshot | None
) -> Status:
    name, latest = environment.name, store.history(environment.name, 1)
    lease = store.lease(name)
    judged: bool | None = None
    if snapshot is not None and snapshot.baseline is not None:
        marks = snapshot.marks
        is_marked = marks.rollout is None and marks.baseline == snapshot.baseline
        judged = is_marked or store.is_known_good(name, snapshot.baseline)
    return replace(
        found,
        lease=_holder(lease) if lease is not None else None,
        open_rollouts=[PastRollout.of(r) for r in store.open_rollouts(name)],
        last_rollout=PastRollout.of(latest[0]) if latest else None,
        is_judged_good=judged,
    )


def _holder(lease: Lease) -> Holder:
    from pytest_deploygate.store.liveness import is_gone

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
    shares = ", ".join(f"{name} {percent} %" for name, percent in found.serving.items())
    serving = shares or "nothing is deployed"
    if found.problems and not found.exists:
        serving = ""
    traffic = "follows LATEST" if found.follows_latest else "pinned by name"
    judged = {True: "yes", False: "no: deploygate adopt", None: ""}[found.is_judged_good]
    out.facts(
        (
            ("environment", f"{found.environment} ({found.target})"),
            ("function", found.function),
            ("url", found.url),
            ("serving", serving),
            ("traffic", traffic if found.exists else ""),
            ("judged good", judged),
            ("verification", found.verify_revision),
            ("public", ("yes" if found.is_public else "no") if found.exists else ""),
            ("settled", "" if found.is_settled else "no: the platform is still at work"),
            ("lease", _holder_text(found.lease) if found.lease is not None else "free"),
            ("watchdog", _watchdog_text(found)),
            ("local cloud", _cloud_text(found.local_cloud)),
            ("frozen", f"until {moment(found.frozen_until)}" if found.frozen_until else ""),
            ("approval", "required" if found.needs_approval else ""),
            ("last", _past_text(found.last_rollout) if found.last_rollout else "no rollout yet"),
        )
    )
    rows = [(name, tag.revision, tag.url) for name, tag in found.tags.items()]
    out.table(("tag", "revision", "url"), rows, title="\ntags")
    rows = [(r.rollout_id, r.state, r.reason) for r in found.open_rollouts]
    out.table(("rollout", "state", "reason"), rows, title="\nopen rollouts")
    for problem in found.problems:
        out.line(f"could not look: {problem}", "bold red")
    if found.exit_status is ExitStatus.STRANDED:
        out.line("STRANDED: a person must look: docs/runbook.md, 'A stranded rollout'", "bold red")


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


def _cloud_text(cloud: LocalCloudState | None) -> str:
    if cloud is None:
        return ""
    return f"up at {cloud.endpoint}, process {cloud.pid}" if cloud.is_up else "down"


def _past_text(one: PastRollout) -> str:
    return f"{one.state} {one.purpose} {one.rollout_id} at {moment(one.began_at)}: {one.reason}"


# -- plan ------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanFinding:
    """What preflight found; a blocking one would end the deployment before anything is touched."""

    is_blocking: bool
    sentence: str
    hint: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What ``plan`` shows. ``plan_digest`` is what an approval names; ``left_out`` has the reason for each path."""

    environment: str
    plan_digest: str
    package_digest: str
    package_files: int
    package_bytes: int
    left_out: Mapping[str, str]
    config_digest: str
    baseline: str
    findings: Sequence[PlanFinding]
    gcloud: Sequence[str]


@click.command(
    short_help="What a deployment would do.",
    epilog=examples(
        "deploygate plan production", "deploygate plan production --format gcloud > deploy.sh"
    ),
)
@optional_environment
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "gcloud", "json"]),
    default="text",
    show_default=True,
    help="gcloud: only the equivalent commands, ready for a shell.",
)
@json_option
@pass_operator
def plan(operator: Operator, environment: str, form: str, *, is_json: bool) -> int:
    """What `pytest --deploy-to=ENV` would do now: source, findings, gcloud's words, digest. Changes nothing.

    The digest covers source, settings, policy and what would be replaced; where the environment says
    approval = "required", a deployment needs --deploy-approval=DIGEST.
    """
    chosen = operator.environment(environment)
    found = _plan(operator, chosen)
    out = operator.output(is_json=is_json or form == "json")
    out.document(found)
    if form == "gcloud":
        for command in found.gcloud:
            out.line(command)
    else:
        _print_plan(out, found)
    return (
        ExitStatus.NOT_PROMOTED
        if any(f.is_blocking for f in found.findings)
        else ExitStatus.PROMOTED
    )


def _plan(operator: Operator, environment: Environment) -> Plan:
    target = wiring.open_target(operator.settings, environment, operator.clock)
    with contextlib.closing(target):
        snapshot, package = target.snapshot(), target.package()
        return Plan(
            environment=environment.name,
            plan_digest=plan_digest(
                package=package.digest,
                config=environment.config_digest,
                policy=operator.settings.judging(environment).policy,
                baseline=snapshot.baseline,
            ),
            package_digest=package.digest,
            package_files=len(package.files),
            package_bytes=package.size_bytes,
            left_out=dict(package.left_out),
            config_digest=environment.config_digest,
            baseline=snapshot.baseline or "",
            findings=[
                PlanFinding(is_blocking=f.is_blocking, sentence=f.sentence, hint=f.hint)
                for f in target.preflight()
            ],
            gcloud=target.gcloud_commands(snapshot),
        )


def _print_plan(out: Output, found: Plan) -> None:
    source = f"{found.package_files} files, {found.package_bytes} bytes"
    out.facts(
        (
            ("environment", found.environment),
            ("plan digest", found.plan_digest),
            ("source", f"{source}, digest {found.package_digest}"),
            ("settings", found.config_digest),
            ("replaces", found.baseline or "nothing: it would be the first release"),
        )
    )
    out.table(("left out", "why"), list(found.left_out.items()), title="\nnot packed")
    rows = [("blocks" if f.is_blocking else "note", f.sentence, f.hint) for f in found.findings]
    out.table(("finding", "what", "do"), rows, title="\npreflight")
    out.line()
    for command in found.gcloud:
        out.line(command)
