"""``plan``: what a deployment would do now, and what would refuse it. Changes nothing."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import click

from pytest_deploygate import wiring
from pytest_deploygate.cli.arguments import (
    examples,
    json_option,
    optional_environment,
    pass_context,
)
from pytest_deploygate.cli.cli_context import CliContext
from pytest_deploygate.cli.output import Output
from pytest_deploygate.config.display import WrittenSetting
from pytest_deploygate.config.environment import Environment
from pytest_deploygate.config.setting_changes import SettingChange
from pytest_deploygate.core.errors import ExitStatus
from pytest_deploygate.core.mode import Mode
from pytest_deploygate.core.preflight import PreflightFinding


class Plan(NamedTuple):
    """What ``plan`` shows. ``plan_digest`` is what an approval names; ``left_out`` has the reason for each path.

    ``changes`` are the settings that differ from those of what serves; None where these were not recorded.
    """

    environment: str
    plan_digest: str
    package_digest: str
    package_files: int
    package_bytes: int
    left_out: Mapping[str, str]
    allowed_secrets: Mapping[str, str]
    config_digest: str
    baseline: str
    is_unchanged: bool
    findings: Sequence[PreflightFinding]
    settings: Sequence[WrittenSetting]
    gcloud: Sequence[str]
    changes: Sequence[SettingChange] | None
    summary: str


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
@pass_context
def plan(context: CliContext, environment: str, form: str, *, is_json: bool) -> int:
    """What `pytest --deploy-to=ENV` would do now: source, settings, what would refuse it, gcloud's words, digest.

    Changes nothing, and runs no gate: for the readiness gates too, `pytest --deploy-to=ENV --deploy-plan`, which shows
    the same findings. The digest covers source, settings, policy, steps and what would be replaced; where the
    environment says approval = "required", a deployment needs --deploy-approval=DIGEST.

    Exit status: 0 it may begin; 1 something would refuse it; 10 could not look.
    """
    chosen = context.environment(environment)
    found = _plan(context, chosen)
    out = context.output(is_json=is_json or form == "json")
    out.document(found)
    if form == "gcloud":
        for command in found.gcloud:
            out.line(command)
    else:
        _print_plan(out, found)
    return ExitStatus.FAILED if any(f.is_blocking for f in found.findings) else ExitStatus.OK


def _plan(context: CliContext, environment: Environment) -> Plan:
    from pytest_deploygate.judge.deploy_plan import build_plan
    from pytest_deploygate.judge.early_checks import check_early

    settings = context.settings.narrow_to(environment)
    check_early(settings, environment, Mode.PLAN)
    with wiring.open_ports(context.settings, environment) as ports:
        seen = build_plan(ports, environment, settings.policy)
    return Plan(
        environment=environment.name,
        plan_digest=seen.digest,
        package_digest=seen.package.digest,
        package_files=len(seen.package.files),
        package_bytes=seen.package.size_bytes,
        left_out=dict(seen.package.left_out),
        allowed_secrets=dict(seen.package.allowed_secrets),
        config_digest=environment.config_digest,
        baseline=seen.snapshot.baseline or "",
        is_unchanged=seen.is_unchanged,
        findings=seen.findings,
        settings=seen.settings,
        gcloud=seen.gcloud,
        changes=seen.changes.changes if seen.changes is not None else None,
        summary=seen.count,
    )


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
            ("settings", f"digest {found.config_digest}"),
            ("replaces", found.baseline or "nothing: it would be the first release"),
        )
    )
    out.table(("left out", "why"), list(found.left_out.items()), title="not packed")
    allowed = list(found.allowed_secrets.items())
    out.table(("looks like a secret", "why it is allowed"), allowed, title="allowed")
    rows = [("blocks" if f.is_blocking else "note", f.sentence, f.hint) for f in found.findings]
    settings = [(s.key, s.value, "default" if s.is_default else "") for s in found.settings]
    out.table(("setting", "value", "from"), settings, title="settings")
    changes = [(change.key, change.old, change.new) for change in found.changes or ()]
    out.table(("setting", "old", "new"), changes, title="changes")
    out.line(found.summary)
    out.table(("finding", "what", "do"), rows, title="findings")
    out.line()
    for command in found.gcloud:
        out.line(command)
