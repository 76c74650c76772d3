"""``emulator ...`` (alias ``local``): Cloud Functions and Run on this machine, and faults to try rollbacks.

It needs no project: without one, its home is ``.deploygate/local`` of the current directory.
"""

import contextlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import click

from pytest_deploygate import wiring
from pytest_deploygate.cli.arguments import (
    NumberRange,
    WholeNumberRange,
    complete_revision,
    examples,
    json_option,
    pass_context,
)
from pytest_deploygate.cli.cli_context import CliContext
from pytest_deploygate.cli.emulator_client import (
    LocalService,
    LocalState,
    call_emulator,
    client_variables,
    read_state,
)
from pytest_deploygate.cli.output import Output
from pytest_deploygate.config.environment import LOCAL, Environment
from pytest_deploygate.core.errors import (
    ConfigError,
    ExitStatus,
    TargetUnavailable,
)
from pytest_deploygate.emulator import lifecycle
from pytest_deploygate.emulator.load_limits import MOST_PER_S, MOST_SECONDS
from pytest_deploygate.system.private_folder import STATE_FOLDER


@click.group(short_help="The emulator of Cloud Functions and Cloud Run.")
def emulator() -> None:
    """The emulator (local cloud) builds and runs functions on this machine, and goes on after pytest has ended.

    `pytest --deploy-to=local` starts it by itself. Other clients can use it as well, also without any project.
    """


def _home(context: CliContext) -> Path:
    """Where the emulator keeps its state: that of the project, else below the current directory."""
    if context.has_project:
        return context.settings.emulator_home
    return Path.cwd() / STATE_FOLDER / "local"


def _environment(context: CliContext) -> Environment:
    """The environment whose port and secrets file count: the first local one, else the default one rehearsed."""
    for environment in context.settings.environments.values():
        if environment.target == LOCAL:
            return environment
    return context.environment("")._replace(target=LOCAL)


@emulator.command(
    short_help="Start it, if it is not running.", epilog=examples("deploygate emulator up")
)
@json_option
@pass_context
def up(context: CliContext, *, is_json: bool) -> None:
    """Start it, if it is not running; what was deployed serves again. Prints what other clients need."""
    if context.has_project:
        cloud = wiring.start_emulator(context.settings, _environment(context))
    else:
        cloud = lifecycle.ensure_running(_home(context))
    out = context.output(is_json=is_json)
    _show(out, read_state(cloud))
    if not is_json:
        out.line("")
        out.line("for other clients:")
        for variable in client_variables(cloud.endpoint):
            out.line(f"export {variable}")


@emulator.command(
    short_help="Stop it; what was deployed is kept.", epilog=examples("deploygate emulator down")
)
@json_option
@pass_context
def down(context: CliContext, *, is_json: bool) -> None:
    """Stop it with everything it runs; functions, traffic and sheets are kept."""
    was_up = lifecycle.stop(_home(context))
    out = context.output(is_json=is_json)
    out.document(LocalState(is_up=False))
    out.line("stopped" if was_up else "it was not running")


@emulator.command(
    name="status", epilog=examples("deploygate emulator status || deploygate emulator up")
)
@json_option
@pass_context
def local_status(context: CliContext, *, is_json: bool) -> int:
    """Whether it runs, and what serves. Exit status 10 while it is down."""
    cloud = lifecycle.find(_home(context))
    found = read_state(cloud) if cloud is not None else LocalState(is_up=False)
    _show(context.output(is_json=is_json), found)
    return ExitStatus.OK if found.is_up else ExitStatus.COULD_NOT_ACT


@emulator.command(
    short_help="The public URL of a function.",
    epilog=examples("curl -s $(deploygate emulator url)"),
)
@click.argument("service", required=False, default="")
@json_option
@pass_context
def url(context: CliContext, service: str, *, is_json: bool) -> None:
    """The public URL of the function (or of SERVICE), for scripts."""
    found = _service(context, service)
    out = context.output(is_json=is_json)
    out.document(found)
    out.line(found.url)


class LocalLog(NamedTuple):
    """What ``emulator logs`` shows, oldest line first; ``revision`` is empty for the emulator's own log."""

    revision: str
    lines: Sequence[str]


@emulator.command(
    short_help="What the emulator, or a revision, wrote.",
    epilog=examples("deploygate emulator logs --tail 20", "deploygate emulator logs REVISION -f"),
)
@click.argument("revision", required=False, shell_complete=complete_revision)
@click.option("--tail", type=WholeNumberRange(1), default=100, show_default=True, help="Lines.")
@click.option(
    "--follow", "-f", is_flag=True, help="Go on with what is written from now on, until Ctrl-C."
)
@json_option
@pass_context
def logs(
    context: CliContext, revision: str | None, tail: int, *, follow: bool, is_json: bool
) -> None:
    """The end of the emulator's own log, or of what REVISION wrote."""
    if follow and is_json:
        raise click.UsageError("--follow and --json exclude each other")
    if follow:
        shown = context.output(is_json=False)
        with contextlib.suppress(KeyboardInterrupt):
            for line in lifecycle.follow_log(_home(context), revision, tail, context.clock):
                shown.line(line)
                shown.flush()
        return
    text = lifecycle.logs(_home(context), revision, tail)
    out = context.output(is_json=is_json)
    out.document(LocalLog(revision=revision or "", lines=text.splitlines()))
    if text:
        out.line(text)


@emulator.command(
    short_help="Inject a fault into a revision.",
    epilog=examples(
        "deploygate emulator inject-fault process-invoice-00002-abc --error-ratio 0.5",
        "deploygate emulator inject-fault process-invoice-00002-abc --latency 130",
        "deploygate emulator inject-fault process-invoice-00002-abc --clear",
    ),
)
@click.argument("revision", shell_complete=complete_revision)
@click.option(
    "--error-ratio", type=NumberRange(0, 1), default=0, help="Share of requests that fail."
)
@click.option(
    "--status", type=WholeNumberRange(400, 599), default=500, show_default=True, help="With what."
)
@click.option(
    "--latency", type=NumberRange(0), default=0, metavar="SECONDS", help="Before each answer."
)
@click.option("--body", metavar="TEXT", help="Answer this instead of what the function says.")
@click.option(
    "--memory", type=NumberRange(0), default=0, metavar="MB", help="Added to what it uses."
)
@click.option("--kill", is_flag=True, help="Kill its process now.")
@click.option("--clear", is_flag=True, help="Let it behave again.")
@json_option
@pass_context
def inject_fault(  # the options of one command
    context: CliContext,
    revision: str,
    error_ratio: float,
    status: int,
    latency: float,
    body: str | None,
    memory: float,
    *,
    kill: bool,
    clear: bool,
    is_json: bool,
) -> None:
    """Inject a fault into REVISION until --clear: errors, latency, a wrong answer, memory or a crash."""
    wanted = {
        "error_ratio": error_ratio,
        "status": status,
        "latency_s": latency,
        "body": body,
        "memory_mb": memory,
        "kill": kill,
    }
    does_something = error_ratio or latency or body is not None or memory or kill
    if bool(does_something) == clear:
        raise click.UsageError("say what it shall do (--error-ratio 1, --kill, ...), or --clear")
    path = f"revisions/{revision}/inject_fault"
    answer = _ask(context, "DELETE", path) if clear else _ask(context, "POST", path, wanted)
    out = context.output(is_json=False)
    if is_json:
        out.line(json.dumps(answer, indent=2))
    else:
        out.line(
            f"{revision}: no fault"
            if clear
            else f"{revision}: fault injected: {json.dumps(answer)}"
        )


@emulator.command(
    short_help="Make the platform itself fail.",
    epilog=examples(
        "deploygate emulator faults",
        """deploygate emulator faults --add '{"method": "PATCH", "status": 503, "times": 2}'""",
        "deploygate emulator faults --clear",
    ),
)
@click.option("--add", metavar="JSON", help="Put a rule (or a list of them) in force.")
@click.option("--clear", is_flag=True, help="Drop all rules.")
@click.option("--json", is_flag=True, expose_value=False, help="It is JSON in any case.")
@pass_context
def faults(context: CliContext, add: str | None, *, clear: bool) -> None:
    """Make the admin API of the emulator fail, hang or lie by rules; prints the rules in force as JSON."""
    if add is not None:
        try:
            rules = json.loads(add)
        except ValueError as error:
            raise ConfigError(f"--add is not JSON: {error}") from error
        answer = _ask(context, "POST", "faults", rules)
    else:
        answer = _ask(context, "DELETE" if clear else "GET", "faults")
    context.output(is_json=False).line(json.dumps(answer, indent=2))


class LocalLoad(NamedTuple):
    """What ``emulator load`` got: answers by revision (where it says so) and class of status."""

    url: str
    seconds: int
    requests: int
    answers: Sequence[tuple[str, str, int]]


@emulator.command(
    short_help="Send requests to a function at a steady rate.",
    epilog=examples(
        "deploygate emulator load --rps 20 --seconds 120",
        "deploygate emulator load --rps 5 --post invoice.json",
    ),
)
@click.argument("service", required=False, default="")
@click.option(
    "--rps",
    type=NumberRange(0, MOST_PER_S, min_open=True),
    default=5,
    show_default=True,
    help="Requests a second.",
)
@click.option(
    "--seconds",
    type=WholeNumberRange(1, MOST_SECONDS),
    default=60,
    show_default=True,
    help="For how long.",
)
@click.option(
    "--post",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    multiple=True,
    help="Post this file as JSON (more than one: one of them at random).",
)
@json_option
@pass_context
def load(
    context: CliContext,
    service: str,
    rps: float,
    seconds: int,
    post: tuple[Path, ...],
    *,
    is_json: bool,
) -> None:
    """Send requests to the function (or to SERVICE), so that a canary can be tried on this machine.

    Without --post it is asked with GET and a random parameter n from 0 to 99.
    """
    from pytest_deploygate.emulator.load_generator import LoadGenerator

    found = _service(context, service)
    generator = LoadGenerator(found.url, per_s=rps, bodies=[path.read_bytes() for path in post])
    try:
        generator.run(seconds)
    except KeyboardInterrupt:
        generator.stop()
    answers = sorted((*key, count) for key, count in generator.tally.answers.items())
    out = context.output(is_json=is_json)
    total = generator.tally.total
    out.document(LocalLoad(url=found.url, seconds=seconds, requests=total, answers=answers))
    rows = [(revision or "not told", status, str(count)) for revision, status, count in answers]
    out.table(("revision", "answer", "requests"), rows)


def _service(context: CliContext, service: str) -> LocalService:
    services = read_state(_require_running(context)).services
    found = [s for s in services if not service or s.service == service]
    if len(found) != 1:
        names = ", ".join(s.service for s in services) or "none"
        raise ConfigError(f"which service? there are: {names}", hint="deploygate emulator status")
    return found[0]


# -- talking to it ---------------------------------------------------------------------------------


def _require_running(context: CliContext) -> lifecycle.RunningEmulator:
    cloud = lifecycle.find(_home(context))
    if cloud is None:
        raise TargetUnavailable("the emulator is down", hint="deploygate emulator up")
    return cloud


def _ask(context: CliContext, method: str, path: str, body: object = None) -> object:
    return call_emulator(_require_running(context).endpoint, method, path, body)


def _show(out: Output, found: LocalState) -> None:
    out.document(found)
    out.facts(
        (
            ("emulator", "up" if found.is_up else "down: deploygate emulator up"),
            ("endpoint", found.endpoint),
            ("process", str(found.pid) if found.pid else ""),
            ("home", found.home),
        )
    )
    rows = [(s.service, s.url, ", ".join(s.serving)) for s in found.services]
    out.table(("service", "url", "serving %"), rows)
