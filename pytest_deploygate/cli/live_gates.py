"""Runs the live gates in a pytest of its own, and reads what it found from its JUnit file."""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree as ET

from pytest_deploygate import ROLLBACK_CHECKS, wiring
from pytest_deploygate.cli.cli_context import CliContext
from pytest_deploygate.config.environment import REHEARSAL, Environment
from pytest_deploygate.core.errors import ExitStatus
from pytest_deploygate.core.identifiers import Phase

SPARE_S = 120
"""What a session may need besides its phase and its rollback: start, collection, talking to the platform."""
GRACE_S = 30
"""What a session that was told to stop gets before it is killed, besides the budget of a rollback."""


class Checked(NamedTuple):
    """What the live gates said. ``verdict`` is KEEP, ROLL_BACK or UNKNOWN; ``exit_status`` that of pytest."""

    verdict: str
    state: str
    reason: str
    exit_status: int
    seconds: float
    rollout_id: str = ""
    serving_revision: str = ""

    @property
    def holds(self) -> bool:
        """Whether what serves was judged good."""
        return self.exit_status == 0 and self.verdict == "KEEP"


def run_checks(
    context: CliContext,
    environment: Environment,
    *,
    may_act: bool,
    has_record: bool = True,
    resumes: bool = False,
    started: Callable[["subprocess.Popen[bytes]"], None] = lambda _: None,
) -> Checked:
    """Judge what serves in ``environment``; ``started`` is handed the process, to stop it early.

    With ``resumes``, carry the rollout on that waits at a step instead.

    Whatever becomes of that process, an answer comes back: UNKNOWN with the reason where it gave none. Without a
    record it is given an empty one: judging what serves needs none.
    """
    phases = context.settings.policy.phases
    live = phases[Phase.LIVE].budget_s
    if resumes:  # gates of each step that follows at once
        live += phases[Phase.STEP].budget_s * len(environment.engine.steps)
    lag_s = wiring.statistics_lag_s(environment)  # what the platform tells late is waited for
    limit_s = live + lag_s + environment.engine.rollback_budget_s + SPARE_S
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="deploygate-") as folder:
        report, output = Path(folder) / "report.xml", Path(folder) / "output"
        empty = {} if has_record else {wiring.STATE_VARIABLE: f"sqlite:///{folder}/state.db"}
        with output.open("wb") as file:
            process = subprocess.Popen(
                _command(environment, report, may_act=may_act, resumes=resumes),
                cwd=context.settings.root,
                env={**os.environ, **empty},
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # a Ctrl-C is passed on by us, once, and not by the terminal
            )
            started(process)
            try:
                status = _wait(process, limit_s, environment.engine.rollback_budget_s)
            except KeyboardInterrupt:
                status = None
                _end(process, environment.engine.rollback_budget_s)
        properties = _properties(report)
        text = output.read_text(encoding="utf-8", errors="replace")
    return _outcome_from(status, properties, text, time.monotonic() - began, limit_s)


def _command(environment: Environment, report: Path, *, may_act: bool, resumes: bool) -> list[str]:
    name = environment.name.removesuffix(REHEARSAL)
    what = (
        [f"--deploy-resume={name}"] if resumes else ["-m", ROLLBACK_CHECKS, f"--deploy-env={name}"]
    )
    command = [sys.executable, "-m", "pytest", *what]
    if name != environment.name:
        command.append("--deploy-endpoint=local")
    if not (may_act or resumes):
        command.append("--deploy-report-only")
    return [*command, "-q", "--color=no", f"--junitxml={report}"]


def _wait(process: "subprocess.Popen[bytes]", limit_s: float, rollback_s: float) -> int | None:
    """The exit status, or None if the session had to be ended."""
    try:
        return process.wait(limit_s)
    except subprocess.TimeoutExpired:
        _end(process, rollback_s)
        return None


def _end(process: "subprocess.Popen[bytes]", rollback_s: float) -> None:
    """End a session; it gets the time to finish a rollback that it has begun."""
    process.terminate()
    try:
        process.wait(rollback_s + GRACE_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _properties(report: Path) -> Mapping[str, str]:
    try:
        tree = ET.parse(report)  # noqa: S314 # our own session wrote it a moment ago
    except (OSError, ET.ParseError):
        return {}
    prefix = "deploygate."
    return {
        p.attrib["name"].removeprefix(prefix): p.attrib["value"]
        for p in tree.iterfind("./testsuite/properties/property")
        if p.attrib["name"].startswith(prefix)
    }


def _outcome_from(
    status: int | None, found: Mapping[str, str], text: str, seconds: float, limit_s: float
) -> Checked:
    verdict = found.get("verdict", "")
    state, reason = found.get("state", ""), found.get("reason", "")
    if (
        verdict == "REFUSE"
    ):  # the word of a session that could not even begin; here nothing was judged
        verdict, state = "UNKNOWN", ""
    if status is None:
        why = f"it took longer than {limit_s:g} s" if seconds > limit_s else "it was interrupted"
        verdict, reason = "UNKNOWN", f"the session was ended: {why}"
    elif not verdict:
        said = [line for line in text.splitlines() if line.strip()]
        verdict = "UNKNOWN"
        reason = (
            f"pytest gave no verdict (exit status {status}): {said[-1] if said else 'no output'}"
        )
    return Checked(
        verdict=verdict,
        state=state,
        reason=reason,
        exit_status=ExitStatus.COULD_NOT_ACT if status is None else status,
        seconds=round(seconds, 1),
        rollout_id=found.get("rollout_id", ""),
        serving_revision=found.get("serving_revision", ""),
    )
