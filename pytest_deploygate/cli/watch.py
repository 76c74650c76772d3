"""``watch``: the live gates again and again, in the foreground; what goes wrong in a round ends that round only."""

import logging
import signal
import subprocess
import threading
import time
from datetime import datetime
from types import FrameType
from typing import NamedTuple

import click

from pytest_deploygate.cli.arguments import (
    NumberRange,
    WholeNumberRange,
    examples,
    json_option,
    optional_environment,
    pass_context,
)
from pytest_deploygate.cli.cli_context import CliContext
from pytest_deploygate.cli.live_gates import Checked, run_checks
from pytest_deploygate.cli.output import Output, moment
from pytest_deploygate.config.environment import Environment
from pytest_deploygate.core.errors import DeployGateError, ExitStatus
from pytest_deploygate.engine.detached import is_detached

logger = logging.getLogger(__name__)


class Round(NamedTuple):
    """One round: a line of text, or one JSON object a line. ``state`` is ROLLED_BACK where it acted."""

    number: int
    at: datetime
    environment: str
    verdict: str
    state: str
    exit_status: int
    seconds: float
    reason: str
    rollout_id: str


class Stop:
    """Set by SIGINT or SIGTERM; ends the pause at once, and has a session under way end early."""

    def __init__(self) -> None:
        self._event = threading.Event()
        self._process: subprocess.Popen[bytes] | None = None

    def install(self) -> None:
        """Take over both signals."""
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._handle)

    @property
    def is_set(self) -> bool:
        """Whether a signal came."""
        return self._event.is_set()

    def pause(self, seconds: float) -> None:
        """Wait, but not longer than until a signal comes."""
        self._event.wait(max(seconds, 0))

    def watch_process(self, process: "subprocess.Popen[bytes]") -> None:
        """This session is under way; it goes back by itself if it has begun to, then ends."""
        self._process = process
        if self.is_set:
            process.terminate()

    def _handle(self, number: int, frame: FrameType | None) -> None:
        del number, frame
        self._event.set()
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()


@click.command(
    short_help="Judge again and again; roll back.",
    epilog=examples(
        "deploygate watch production --interval 300",
        "deploygate watch production --once || mail -s 'production' ops@example.com < /dev/null",
        "*/5 * * * * cd /srv/invoices && .venv/bin/deploygate watch production --once  (cron)",
    ),
)
@optional_environment
@click.option(
    "--interval",
    type=NumberRange(1),
    default=300,
    show_default=True,
    metavar="SECONDS",
    help="From the start of one round to the start of the next.",
)
@click.option("--rounds", type=WholeNumberRange(1), help="End after so many rounds.")
@click.option("--once", is_flag=True, help="One round; the exit status is that of pytest.")
@click.option("--report-only", is_flag=True, help="Judge, but never roll back.")
@json_option
@pass_context
def watch(
    context: CliContext,
    environment: str,
    interval: float,
    rounds: int | None,
    *,
    once: bool,
    report_only: bool,
    is_json: bool,
) -> int:
    """Judge what serves in ENV every --interval seconds; roll back when it is no longer good.

    Each round is `pytest -m rollback-checks --deploy-env=ENV` in a process of its own, or, while a rollout waits at a
    step, `pytest --deploy-resume=ENV`; what ENV allows on failure
    (on-failure = "roll-back" or "report") is done. One line a round: time, verdict, state, reason. A network that
    fails, a lease that somebody holds, a session that dies: each ends its round and not the watch.

    SIGINT and SIGTERM end it: a rollback under way is finished first. Units for systemd:
    https://pytest-deploygate.readthedocs.io/how-to/watch.html#as-a-service

    Exit status: 0 when ended by a signal; with --once or --rounds that of the last round.
    """
    chosen = context.environment(environment)
    out = context.output(is_json=is_json)
    stop = Stop()
    stop.install()
    last = ExitStatus.OK.value
    number, limit = 0, 1 if once else rounds
    with context.log_to_file():
        while not stop.is_set:
            number += 1
            began = time.monotonic()
            last = _round(context, chosen, out, number, stop, may_act=not report_only)
            if number == limit:
                return last
            stop.pause(interval - (time.monotonic() - began))
    return last if limit is not None else ExitStatus.OK


def _round(
    context: CliContext,
    environment: Environment,
    out: Output,
    number: int,
    stop: Stop,
    *,
    may_act: bool,
) -> int:
    at = context.clock.now()
    try:
        resumes = may_act and environment.engine.detach and _has_detached(context, environment)
        checked = run_checks(
            context, environment, may_act=may_act, resumes=resumes, started=stop.watch_process
        )
    except (DeployGateError, OSError) as error:
        checked = Checked(
            verdict="UNKNOWN",
            state="",
            reason=f"the round could not be run: {error}",
            exit_status=ExitStatus.COULD_NOT_ACT,
            seconds=0,
        )
    if stop.is_set and checked.verdict == "UNKNOWN":
        return checked.exit_status  # ended by the signal: it says nothing about what serves
    found = Round(
        number=number,
        at=at,
        environment=environment.name,
        verdict=checked.verdict,
        state=checked.state,
        exit_status=checked.exit_status,
        seconds=checked.seconds,
        reason=checked.reason,
        rollout_id=checked.rollout_id,
    )
    _print_round(out, found)
    return checked.exit_status


def _has_detached(context: CliContext, environment: Environment) -> bool:
    """Whether a rollout waits at a step, which is then carried on instead of judging what serves."""
    now = context.clock.now()
    with context.store() as store:
        return any(is_detached(record, now) for record in store.open_rollouts(environment.name))


def _print_round(out: Output, found: Round) -> None:
    reason = " ".join(found.reason.split())
    level = logging.INFO if found.exit_status == 0 else logging.WARNING
    facts = {
        "correlation_id": found.rollout_id,
        "environment": found.environment,
        "verdict": found.verdict,
        "state": found.state,
        "reason": reason,
        "exit_status": found.exit_status,
        "seconds": found.seconds,
    }
    logger.log(level, "watch.round", extra=facts)
    if out.is_json:
        out.json_line(found)
        return
    style = "green" if found.exit_status == 0 else "bold red"
    what = f"{found.verdict} {found.state}".strip()
    out.line(
        f"{moment(found.at)} {found.environment} {what} (exit {found.exit_status}, "
        f"{found.seconds:.1f} s): {reason}",
        style,
    )
    out.flush()
