"""What people read while a session runs and at its end: live lines, and the summary."""

import contextlib
import os
import shutil
import sys
from collections.abc import Iterable, Mapping

from pytest_deploygate.core.enforcement import Enforcement
from pytest_deploygate.core.errors import DeployGateError, ExitStatus
from pytest_deploygate.core.identifiers import Phase
from pytest_deploygate.core.policy import Gate
from pytest_deploygate.core.printable import printable
from pytest_deploygate.core.redaction import Redactor
from pytest_deploygate.core.verdict import Outcome, PhaseVerdict
from pytest_deploygate.judge.reporting.session_result import SessionResult


class Terminal:
    """Writes to standard output; a closed or broken terminal never stops a rollout.

    ``color`` is what pytest's option of that name says: ``yes``, ``no``, ``auto``.
    """

    def __init__(self, *, color: str, verbosity: int, clean: Redactor) -> None:
        self.verbosity = verbosity
        self._redact = clean
        self._is_colored = _is_colored(color)
        self.has_summary = False

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
        shown = self._clean(text)
        if codes and self._is_colored:
            shown = f"\x1b[{';'.join(map(str, codes))}m{shown}\x1b[0m"
        with contextlib.suppress(OSError, ValueError):
            print(shown, flush=True)  # noqa: T201

    def section(self, title: str) -> None:
        """A line across, with a title."""
        width = shutil.get_terminal_size().columns - 1
        self.line(f" {title} ".center(width, "="))

    def step(self, step: str, detail: str) -> None:
        """One step of a rollout, as it happens."""
        self.line(f"deploygate: {step}: {detail}")

    def phase(self, verdict: PhaseVerdict) -> None:
        """The gates of a phase, one line each, and what they come to."""
        for result in verdict.gates:
            score = f"{result.score} passed, needs {float(result.gate.threshold):g}"
            optional = "" if result.gate.required else " (not required)"
            if result.gate.enforce is Enforcement.WARN:
                optional = " (warns only)"
            good = result.outcome is Outcome.PASSED
            self.line(
                f"deploygate: gate {result.gate.name}: {result.outcome.value}: {score}{optional}",
                green=good,
                red=not good,
            )
        for warning in verdict.warnings:
            self.line(f"deploygate: warning: {warning.sentence}", yellow=True)
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
        for reason in ending.others:
            self.line(f"  also: {reason.sentence}")
        for text in ending.lines:
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
