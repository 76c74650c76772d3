"""What people read while a session runs and at its end: live lines, and the summary."""

import contextlib
import os
import shutil
import sys
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Final

from pytest_deploygate.core.enforcement import Enforcement
from pytest_deploygate.core.errors import DeployGateError, ExitStatus
from pytest_deploygate.core.evidence import CheckState
from pytest_deploygate.core.identifiers import Phase
from pytest_deploygate.core.policy import Gate
from pytest_deploygate.core.printable import one_line, printable
from pytest_deploygate.core.redaction import Redactor
from pytest_deploygate.core.verdict import Outcome, PhaseVerdict, ReasonCode
from pytest_deploygate.judge.reporting.session_result import SessionResult
from pytest_deploygate.judge.reporting.spinner import Spinner

_VERBOSITY_OF: Final = {
    **dict.fromkeys(("packaging", "uploading", "building", "opening", "confirmed", "serving"), 1),
    **dict.fromkeys(
        ("backing up", "pinning", "starting", "started", "shifting", "statistics", "checks"), 1
    ),
    "allowed": -1,
}
"""Steps that are printed with ``-v`` only, or with ``-q``, too; on a terminal each is shown while it is waited for."""


class Terminal:
    """Writes to standard output; a closed or broken terminal never stops a rollout.

    ``color`` is what pytest's option of that name says: ``yes``, ``no``, ``auto``.
    """

    def __init__(self, *, color: str, verbosity: int, clean: Redactor) -> None:
        self.verbosity = verbosity
        self._redact = clean
        self._is_colored = _is_colored(color)
        self.has_summary = False
        self._is_ci = bool(os.environ.get("CI"))
        is_live = not self._is_ci and verbosity >= 0 and sys.stdout is not None and is_fancy()
        self._spinner = Spinner() if is_live else None

    def _clean(self, text: str) -> str:
        return printable(self._redact(text))

    def line(
        self,
        text: str,
        *,
        green: bool = False,
        red: bool = False,
        yellow: bool = False,
        bold: bool = False,
    ) -> None:
        """One line of its own."""
        codes = [code for is_on, code in ((bold, 1), (red, 31), (green, 32), (yellow, 33)) if is_on]
        self.rest()
        shown = self._clean(text)
        if codes and self._is_colored:
            shown = f"\x1b[{';'.join(map(str, codes))}m{shown}\x1b[0m"
        with contextlib.suppress(OSError, ValueError):
            print(shown, flush=True)  # noqa: T201

    def command(self, text: str) -> None:
        """A line that the CI service reads as a command; whoever makes it has escaped what was written elsewhere."""
        self.rest()
        with contextlib.suppress(OSError, ValueError):
            print(text, flush=True)  # noqa: T201

    def section(self, title: str) -> None:
        """A line across, with a title."""
        width = shutil.get_terminal_size().columns - 1
        self.line(f" {title} ".center(width, "="))

    def step(self, step: str, detail: str) -> None:
        """One step of a rollout, as it happens: a line, or on a terminal what is shown while it is waited for."""
        least = _VERBOSITY_OF.get(step, 0)
        if self.verbosity >= least:
            self.line(f"deploygate: {step}: {detail}{self._stamp()}")
        if self._spinner is not None:
            self._spinner.start(one_line(self._redact(step)), one_line(self._redact(detail)))

    def rest(self) -> None:
        """Nothing is waited for any more, or somebody else writes to the terminal now."""
        if self._spinner is not None:
            self._spinner.stop()

    def _stamp(self) -> str:
        """The time of day, where a log is read later."""
        return f" [{datetime.now(UTC):%H:%M:%S}Z]" if self._is_ci else ""

    def phase(self, verdict: PhaseVerdict) -> None:
        """The gates of a phase, one line each, and what they come to."""
        if self.verbosity < 0 and not all(r.outcome is Outcome.PASSED for r in verdict.gates):
            self.line("")  # the letters of the checks leave a line open
        for result in verdict.gates:
            score = f"{result.score} passed, needs {float(result.gate.threshold):g}"
            optional = "" if result.gate.required else " (not required)"
            if result.gate.enforce is Enforcement.WARN:
                optional = " (warns only)"
            good = result.outcome is Outcome.PASSED
            if good and self.verbosity < 0:
                continue
            self.line(
                f"deploygate: gate {result.gate.name}: {result.outcome.value}: {score}{optional}{self._stamp()}",
                green=good,
                red=not good,
            )
        for warning in verdict.warnings:
            self.line(f"deploygate: warning: {warning.sentence}", yellow=True)
        is_plain = verdict.reason.code is ReasonCode.HELD
        if verdict.holds and is_plain and self.verbosity < 1:
            return
        self.line(
            f"deploygate: {verdict.evidence.phase.value}: "
            f"{'holds' if verdict.holds else 'does not hold'}: {verdict.reason.sentence}",
            green=verdict.holds,
            red=not verdict.holds,
        )

    def summary(
        self, verdicts: Mapping[Phase, PhaseVerdict], ending: SessionResult, seconds: float
    ) -> None:
        """The table of the gates, the verdict with its reasons, and what to do next."""
        if self.has_summary:
            return
        self.has_summary = True
        self.rest()
        results = [result for verdict in verdicts.values() for result in verdict.gates]
        if self.verbosity > 0 or any(r.outcome is not Outcome.PASSED for r in results):
            self.section("deploygate")
            for text in _table(verdicts):
                self.line(text)
        for verdict in verdicts.values():
            for failure in verdict.evidence.expected_failures:
                self.line(str(failure), yellow=True)
        good = ending.status in (None, ExitStatus.OK)
        self.line(
            f"{ending.verdict}: {ending.reason.sentence}", bold=True, green=good, red=not good
        )
        told = ending.reason.sentence
        for reason in ending.others:
            if told not in reason.sentence:
                self.line(f"  also: {reason.sentence}")
        for text in _first_failures(verdicts, told):
            self.line(text)
        hints = ending.hints if self.verbosity >= 0 else ()
        for text in (*ending.lines, *hints):
            self.line(text)
        self.line(f"state {ending.state}, {seconds:.1f} s")

    def error(self, error: DeployGateError) -> None:
        """An error of usage, as pytest shows its own."""
        with contextlib.suppress(OSError, ValueError):
            print(f"ERROR: {self._clean(str(error))}", file=sys.stderr, flush=True)  # noqa: T201


def _is_colored(color: str) -> bool:
    if color in ("yes", "no"):
        return color == "yes"
    if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        return False
    return bool(os.environ.get("FORCE_COLOR")) or (sys.stdout is not None and sys.stdout.isatty())


def _remark(gate: Gate) -> str:
    if gate.enforce is Enforcement.WARN:
        return " (warns only)"
    return "" if gate.required else " (optional)"


def is_fancy() -> bool:
    """Whether standard output is a terminal that obeys control sequences."""
    return sys.stdout.isatty() and os.environ.get("TERM", "dumb") != "dumb"


def _first_failures(verdicts: Mapping[Phase, PhaseVerdict], told: str) -> Iterable[str]:
    """Of each gate that did not pass, how its first check failed, and how many more did; nothing that ``told`` says."""
    for verdict in verdicts.values():
        why = verdict.evidence.failures
        for result in verdict.gates:
            if result.outcome is Outcome.PASSED:
                continue
            checks = verdict.evidence.checks.get(result.gate.name, ())
            bad = [
                check for check, state in checks if check in why and state is not CheckState.PASSED
            ]
            if bad and why[bad[0]] not in told:
                more = f" (and {len(bad) - 1} more)" if len(bad) > 1 else ""
                yield f"  first: {bad[0].partition('::')[2]}: {why[bad[0]]}{more}"


def _table(verdicts: Mapping[Phase, PhaseVerdict]) -> Iterable[str]:
    rows = [("phase", "gate", "outcome", "passed", "needs", "weight", "checks")]
    for phase, verdict in verdicts.items():
        for result in verdict.gates:
            gate = result.gate
            counts = ", ".join(f"{count} {state.value}" for state, count in result.counts)
            rows.append(
                (
                    phase.value,
                    gate.name + _remark(gate),
                    result.outcome.value,
                    str(result.score),
                    f"{float(gate.threshold):g}",
                    f"{float(gate.weight):g}",
                    counts or "none",
                )
            )
    if len(rows) == 1:
        return
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    for row in rows:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
