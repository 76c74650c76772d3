"""What people read while a session runs and at its end: live lines, and the summary."""

import contextlib
from collections.abc import Iterable, Mapping

import pytest

from pytest_deploygate.core.errors import ExitStatus
from pytest_deploygate.core.identifiers import Phase
from pytest_deploygate.core.redaction import Redactor
from pytest_deploygate.core.verdict import Outcome, PhaseVerdict
from pytest_deploygate.judge.reporting.session_result import SessionResult
from pytest_deploygate.state_keys import REDACTOR


class Terminal:
    """Writes to pytest's terminal; a closed or broken terminal never stops a rollout."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._clean = config.stash.get(REDACTOR, Redactor())
        self.has_summary = False

    def _reporter(self) -> pytest.TerminalReporter | None:
        found = self._config.pluginmanager.get_plugin("terminalreporter")
        return found if isinstance(found, pytest.TerminalReporter) else None

    def line(self, text: str, **markup: bool) -> None:
        """One line of its own."""
        reporter = self._reporter()
        if reporter is None:
            return
        with contextlib.suppress(OSError, ValueError):
            # under xdist the letters of finished checks leave a line open that only the writer knows of
            if reporter._tw.width_of_current_line:  # noqa: SLF001 - the public ensure_newline does not see it
                reporter.write("\n")
            reporter.write_line(self._clean(text), **markup)
            reporter.flush()

    def step(self, step: str, detail: str) -> None:
        """One step of a rollout, as it happens."""
        self.line(f"deploygate: {step}: {detail}")

    def phase(self, verdict: PhaseVerdict) -> None:
        """The gates of a phase, one line each, and what they come to."""
        for result in verdict.gates:
            score = f"{result.score} passed, needs {float(result.gate.threshold):g}"
            optional = "" if result.gate.required else " (not required)"
            good = result.outcome is Outcome.PASSED
            self.line(
                f"deploygate: gate {result.gate.name}: {result.outcome.value}: {score}{optional}",
                green=good,
                red=not good,
            )
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
        reporter = self._reporter()
        if reporter is None or self.has_summary:
            return
        self.has_summary = True
        with contextlib.suppress(OSError, ValueError):
            reporter.section("deploygate")
            for text in _table(verdicts):
                reporter.write_line(text)
            good = ending.status in (None, ExitStatus.OK)
            reporter.write_line(
                self._clean(f"{ending.verdict}: {ending.reason.sentence}"),
                bold=True,
                green=good,
                red=not good,
            )
            for reason in ending.others:
                reporter.write_line(self._clean(f"  also: {reason.sentence}"))
            for text in ending.lines:
                reporter.write_line(self._clean(text))
            reporter.write_line(f"state {ending.state}, {seconds:.1f} s")


def _table(verdicts: Mapping[Phase, PhaseVerdict]) -> Iterable[str]:
    rows = [("phase", "gate", "outcome", "passed", "needs", "weight", "checks")]
    for phase, verdict in verdicts.items():
        for result in verdict.gates:
            gate = result.gate
            counts = ", ".join(f"{count} {state.value}" for state, count in result.counts)
            rows.append(
                (
                    phase.value,
                    gate.name + ("" if gate.required else " (optional)"),
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
