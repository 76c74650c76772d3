"""``plan``: what a deployment would do now, and what would refuse it. Changes nothing."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import click

from pytest_deploygate import wiring
from pytest_deploygate.cli.arguments import (
    examples,
    json_option,
    optional_environment,
    pass_operator,
)
from pytest_deploygate.cli.operator import Operator
from pytest_deploygate.cli.output import Output
from pytest_deploygate.core.approval import plan_digest
from pytest_deploygate.core.errors import ExitStatus, PolicyRefused, TargetRefused
from pytest_deploygate.core.release import Package, Snapshot
from pytest_deploygate.core.rollout import State
from pytest_deploygate.engine.means import Ports
from pytest_deploygate.engine.recovery import held_by
from pytest_deploygate.environments import Environment


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanFinding:
    """Something to know before; a blocking one would end the deployment before anything is touched."""

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
    is_unchanged: bool
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
    """What `pytest --deploy-to=ENV` would do now: source, what would refuse it, gcloud's words, digest.

    Changes nothing, and runs no gate: for the readiness gates too, `pytest --deploy-to=ENV --deploy-plan`. The digest
    covers source, settings, policy and what would be replaced; where the environment says approval = "required", a
    deployment needs --deploy-approval=DIGEST.

    Exit status: 0 it may begin; 1 something would refuse it; 10 could not look.
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
    policy = operator.settings.judging(environment).policy
    with wiring.open_ports(operator.settings, environment) as ports:
        snapshot, package = ports.target.snapshot(), ports.target.package()
        config = environment.config_digest
        digest = plan_digest(
            package=package.digest, config=config, policy=policy, baseline=snapshot.baseline
        )
        is_unchanged = snapshot.is_release(package.digest, config)
        findings = [*_of_platform(ports), *_of_record(ports)]
        if not is_unchanged:
            findings += _of_rules(ports, environment, snapshot, package)
        if not is_unchanged and environment.approval == "required":
            findings.append(
                PlanFinding(
                    is_blocking=False,
                    sentence="it needs the approval of this plan",
                    hint=f"--deploy-approval={digest}",
                )
            )
        return Plan(
            environment=environment.name,
            plan_digest=digest,
            package_digest=package.digest,
            package_files=len(package.files),
            package_bytes=package.size_bytes,
            left_out=dict(package.left_out),
            config_digest=config,
            baseline=snapshot.baseline or "",
            is_unchanged=is_unchanged,
            findings=findings,
            gcloud=ports.target.gcloud_commands(snapshot),
        )


def _of_platform(ports: Ports) -> Iterator[PlanFinding]:
    for found in ports.target.preflight():
        yield PlanFinding(is_blocking=found.is_blocking, sentence=found.sentence, hint=found.hint)


def _of_record(ports: Ports) -> Iterator[PlanFinding]:
    """Who holds the lease, and what is open."""
    name = ports.environment
    held = ports.store.lease(name)
    if held is not None:
        error = held_by(held)
        yield PlanFinding(is_blocking=False, sentence=error.message, hint=error.hint)
    for record in ports.store.open_rollouts(name):
        is_stranded = record.state is State.STRANDED
        yield PlanFinding(
            is_blocking=is_stranded,
            sentence=f"rollout {record.rollout_id} is {record.state.value}",
            hint="docs/runbook.md, 'A stranded rollout'"
            if is_stranded
            else "if its process is dead, a deployment settles it first; or: "
            f"deploygate recover {name}",
        )


def _of_rules(
    ports: Ports, environment: Environment, snapshot: Snapshot, package: Package
) -> Iterator[PlanFinding]:
    """What the guards of a deployment would say."""
    from pytest_deploygate.session import guards

    rules: list[Callable[[], None]] = [
        lambda: guards.refuse_known_bad(ports, package.digest, environment.config_digest),
        lambda: guards.refuse_frozen(environment, ports.clock.now()),
    ]
    if snapshot.exists:
        rules.insert(0, lambda: guards.refuse_unjudged_baseline(ports, snapshot))
    for rule in rules:
        try:
            rule()
        except (PolicyRefused, TargetRefused) as error:
            yield PlanFinding(is_blocking=True, sentence=error.message, hint=error.hint)


def _print_plan(out: Output, found: Plan) -> None:
    source = f"{found.package_files} files, {found.package_bytes} bytes"
    same = "nothing to deploy: this source with these settings serves already"
    blocked = "it would be refused, see below"
    may = "may begin" if not any(f.is_blocking for f in found.findings) else blocked
    out.facts(
        (
            ("environment", found.environment),
            ("deployment", same if found.is_unchanged else may),
            ("plan digest", found.plan_digest),
            ("source", f"{source}, digest {found.package_digest}"),
            ("settings", found.config_digest),
            ("replaces", found.baseline or "nothing: it would be the first release"),
        )
    )
    out.table(("left out", "why"), list(found.left_out.items()), title="not packed")
    rows = [("blocks" if f.is_blocking else "note", f.sentence, f.hint) for f in found.findings]
    out.table(("finding", "what", "do"), rows, title="findings")
    out.line()
    for command in found.gcloud:
        out.line(command)
