"""Arguments and options that commands share, what the shell completes them with, and the question before an act."""

import contextlib
import sys
from pathlib import Path

import click
from click.shell_completion import CompletionItem

from pytest_deploygate.cli.cli_context import CliContext
from pytest_deploygate.cli.output import Output
from pytest_deploygate.core.documentation import page_url
from pytest_deploygate.core.errors import DeployGateError
from pytest_deploygate.core.identifiers import EnvironmentName
from pytest_deploygate.core.printable import one_line


def confirm(out: Output, question: str, *, is_sure: bool) -> None:
    """Return if the operator says yes, or has said so by ``--yes``.

    Raises:
        click.Abort: the answer is no.
        click.UsageError: there is nobody to ask.
    """
    if is_sure:
        return
    if out.is_json or not sys.stdin.isatty():
        raise click.UsageError(f"{question} Nobody can be asked here: add --yes")
    click.confirm(question, abort=True, err=True)


class NumberRange(click.FloatRange):
    """A number of a range, which a message names as people write it."""

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """The number of ``value``."""
        try:
            return float(super().convert(value, param, ctx))  # type: ignore[arg-type]  # click takes any text
        except click.BadParameter:
            self.fail(f"{value!r} is not a number{_bounds(self)}", param, ctx)


class WholeNumberRange(click.IntRange):
    """A whole number of a range, which a message names as people write it."""

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> int:
        """The number of ``value``."""
        try:
            return int(super().convert(value, param, ctx))  # type: ignore[arg-type]  # click takes any text
        except click.BadParameter:
            self.fail(f"{value!r} is not a whole number{_bounds(self)}", param, ctx)


def _bounds(wanted: click.IntRange | click.FloatRange) -> str:
    least = f" above {wanted.min:g}" if wanted.min_open else f" from {wanted.min:g}"
    most = f" to {wanted.max:g}" if wanted.max is not None else " on"
    return least + ("" if wanted.min_open and wanted.max is None else most)


def examples(*lines: str) -> str:
    """The end of a help text: commands to copy."""
    return "\b\nExamples:\n" + "\n".join(f"  {line}" for line in lines)


def complete_environment(
    context: click.Context, parameter: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Names of environments, for the shell."""
    del parameter
    with contextlib.suppress(DeployGateError):
        names = context_of(context).settings.environment_names
        return [CompletionItem(name) for name in names if name.startswith(incomplete)]
    return []


def complete_rollout(
    context: click.Context, parameter: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Ids of the latest rollouts, for the shell."""
    del parameter
    with contextlib.suppress(DeployGateError), context_of(context).store() as store:
        return [
            CompletionItem(r.rollout_id, help=f"{r.purpose} {r.state.value}")
            for r in store.history(None, 50)
            if r.rollout_id.startswith(incomplete)
        ]
    return []


def complete_revision(
    context: click.Context, parameter: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Revisions that the latest rollouts left serving, the newest first, for the shell."""
    del parameter
    name = EnvironmentName(context.params.get("environment") or "") or None
    with contextlib.suppress(DeployGateError), context_of(context).store() as store:
        found = {r.serving: r for r in reversed(store.history(name, 50)) if r.serving}
        return [
            CompletionItem(revision, help=f"{record.state.value} {record.purpose}")
            for revision, record in reversed(found.items())
            if revision.startswith(incomplete)
        ]
    return []


def complete_backup(
    context: click.Context, parameter: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Backups of the environment that was typed, for the shell."""
    del parameter
    project, name = context_of(context), context.params.get("environment") or ""
    with contextlib.suppress(DeployGateError), project.store() as store:
        kept = store.backups(project.environment(name).name)
        return [
            CompletionItem(b.identifier) for _, b in kept if b.identifier.startswith(incomplete)
        ]
    return []


def context_of(context: click.Context) -> CliContext:
    """The operator of this call; made anew where the shell asks for completions."""
    found = context.find_object(CliContext)
    if found is not None:
        return found
    project = context.find_root().params.get("project")
    return CliContext(Path(project) if project else None)


pass_context = click.make_pass_decorator(CliContext)
json_option = click.option(
    "--json",
    "is_json",
    is_flag=True,
    help=f"Print JSON; its keys: {page_url('reference/json-output')}",
)
optional_environment = click.argument(
    "environment", required=False, default="", metavar="[ENV]", shell_complete=complete_environment
)
required_environment = click.argument(
    "environment", metavar="ENV", shell_complete=complete_environment
)


def _not_blank(context: click.Context, parameter: click.Parameter, value: str) -> str:
    if not value.strip() or value.startswith("--"):
        raise click.BadParameter("say why, in words", ctx=context, param=parameter)
    return one_line(value)


reason_option = click.option(
    "--reason",
    required=True,
    metavar="TEXT",
    callback=_not_blank,
    help="Why; kept in the history.",
)
yes_option = click.option("--yes", is_flag=True, help="Do not ask.")
