"""``report``: a page that people look at, on one rollout or on the history of an environment."""

from pathlib import Path
from typing import NamedTuple

import click

from pytest_deploygate.cli.arguments import (
    complete_environment,
    complete_rollout,
    examples,
    json_option,
    pass_context,
)
from pytest_deploygate.cli.cli_context import CliContext
from pytest_deploygate.cli.show import find_rollout
from pytest_deploygate.core.errors import ConfigError


class WrittenReport(NamedTuple):
    """What ``report`` shows."""

    file: str
    rollout_id: str
    environment: str


@click.command(
    short_help="A page on one rollout, or on a history.",
    epilog=examples(
        "deploygate report -o report.html",
        "deploygate report 20261123-074500-1a2b3c -o report.html",
        "deploygate report --env production -o history.html",
    ),
)
@click.argument("rollout", metavar="[ROLLOUT]", default="last", shell_complete=complete_rollout)
@click.option(
    "--output",
    "-o",
    type=click.Path(dir_okay=False, path_type=Path),
    default=Path("report.html"),
    show_default=True,
    metavar="FILE",
    help="Where to write it.",
)
@click.option(
    "--env",
    "environment",
    metavar="ENV",
    default="",
    shell_complete=complete_environment,
    help="The history of ENV instead: success rate, duration, rollbacks over time.",
)
@json_option
@pass_context
def report(
    context: CliContext, rollout: str, output: Path, environment: str, *, is_json: bool
) -> None:
    """Write one self-contained HTML page: no script, nothing from elsewhere, safe to attach and to mail.

    ROLLOUT is an id as `history` lists it, a part that only one id has, or `last`.
    """
    from pytest_deploygate.report.recorded_pages import history_html, rollout_html

    out = context.output(is_json=is_json)
    if environment:
        name = context.names(environment)[0]
        with context.store() as store:
            text = history_html(store, name, context.redactor)
        made = WrittenReport(file=str(output), rollout_id="", environment=name)
    else:
        with context.store() as store:
            record = find_rollout(store, rollout)
            text = rollout_html(store, record, context.settings.policy, context.redactor)
        made = WrittenReport(str(output), record.rollout_id, record.environment)
    try:
        output.write_text(text, encoding="utf-8")
    except OSError as error:
        raise ConfigError(
            f"{output}: cannot be written: {error.strerror}", hint="name another file with -o FILE"
        ) from error
    out.document(made)
    out.line(f"wrote {output}")
