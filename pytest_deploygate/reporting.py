"""What people and CI read: live lines, the summary on the terminal, properties in the JUnit XML file.

The only module that touches private parts of pytest: the writer of the JUnit file offers no public way to add
properties of a suite under pytest-xdist, or to write the file ahead of time.
"""

import contextlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
from _pytest.junitxml import LogXML, xml_key

from pytest_deploygate.core.errors import ConfigError, ExitStatus
from pytest_deploygate.core.evidence import CheckState
from pytest_deploygate.core.record import RolloutRecord
from pytest_deploygate.core.redaction import Redactor
from pytest_deploygate.core.values import Phase
from pytest_deploygate.core.verdict import Outcome, PhaseVerdict, Reason, ReasonCode
from pytest_deploygate.stash import GATE_PROPERTY, REDACTOR, STATE_PROPERTY

SCHEMA = "1"
"""Version of the ``deploygate.*`` properties."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """How a session ended. ``status`` None leaves pytest's own status; ``verdict`` and ``state`` are words."""

    verdict: str
    state: str
    reason: Reason
    status: ExitStatus | None
    others: tuple[Reason, ...] = ()
    record: RolloutRecord | None = None
    serving: str = ""
    """What serves where no rollout was begun that could say so."""
    lines: tuple[str, ...] = ()
    """Further lines for people: URLs, what to do next."""


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
        self, verdicts: Mapping[Phase, PhaseVerdict], ending: Ending, seconds: float
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
            good = ending.status in (None, ExitStatus.PROMOTED)
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


class JUnit:
    """Suite properties of the JUnit file, and the file itself ahead of time."""

    def __init__(self, config: pytest.Config) -> None:
        self._xml: LogXML | None = config.stash.get(xml_key, None)
        self._clean = config.stash.get(REDACTOR, Redactor())

    def check_writable(self) -> None:
        """Make sure that the file can be written before anything else is touched, and empty it.

        What an earlier run wrote must not speak for this one, should it die.

        Raises:
            ConfigError: it cannot.
        """
        if self._xml is None:
            return
        path = Path(self._xml.logfile)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("w", encoding="utf-8") as file:
                file.write("\n")  # a full disk says so only now
        except OSError as error:
            raise ConfigError(
                f"the JUnit file {path} cannot be written: {error.strerror}",
                hint="name another place with --junitxml=PATH",
            ) from error

    def write_now(self, properties: Mapping[str, str]) -> None:
        """Write the file ahead of time: for a session that may die while it acts, or that never begins."""
        if self._xml is None:
            return
        self.set_properties(properties)
        if not hasattr(self._xml, "suite_start"):
            self._xml.pytest_sessionstart()
        with contextlib.suppress(OSError):
            self._xml.pytest_sessionfinish()

    def name_crashed(self, report: pytest.TestReport, gate: str) -> None:
        """Give the check of a report its gate and state where its worker died and could not."""
        if self._xml is not None:
            reporter = self._xml.node_reporter(report)
            reporter.add_property(GATE_PROPERTY, gate)
            reporter.add_property(STATE_PROPERTY, CheckState.CRASHED.value)

    def set_properties(self, properties: Mapping[str, str]) -> None:
        """Set suite properties; those set before with the same name are replaced."""
        if self._xml is None:
            return
        self._xml.global_properties[:] = [
            (name, self._clean(value))
            for name, value in self._xml.global_properties
            if name not in properties
        ]
        for name, value in properties.items():
            self._xml.add_global_property(name, self._clean(value))


def write_usage_error(config: pytest.Config, error: ConfigError) -> None:
    """Have the JUnit file say why a session that was to act never began."""
    if hasattr(config, "workerinput") or not config.getoption("--deploy-to", None):
        return
    reason = Reason(code=ReasonCode.COULD_NOT_ACT, sentence=error.message)
    ending = Ending(verdict="REFUSE", state="REFUSED", reason=reason, status=ExitStatus.USAGE)
    JUnit(config).write_now(properties(config.getoption("--deploy-to"), {}, ending))


def properties(
    environment: str,
    verdicts: Mapping[Phase, PhaseVerdict],
    ending: Ending,
) -> dict[str, str]:
    """The ``deploygate.*`` properties of a suite; what is not known is an empty text."""
    record = ending.record
    last = list(verdicts.values())[-1] if verdicts else None
    facts = record.facts if record is not None else {}
    named = {
        "schema": SCHEMA,
        "rollout_id": record.rollout_id if record else "",
        "environment": environment,
        "verdict": ending.verdict,
        "state": ending.state,
        "reason_code": ending.reason.code.value,
        "reason": ending.reason.sentence,
        "reasons": "\n".join(r.sentence for r in (ending.reason, *ending.others)),
        "score": f"{float(last.score):.6f}" if last else "",
        "threshold": f"{float(last.threshold):g}" if last else "",
        "baseline_revision": (record.baseline or "") if record else "",
        "candidate_revision": (record.candidate or "") if record else "",
        "serving_revision": (record.serving or "") if record else ending.serving,
        "backup_identifier": record.backup if record else "",
        "rollback_seconds": facts.get("rollback_seconds", ""),
        "checks_digest": facts.get("checks_digest", ""),
    }
    for verdict in verdicts.values():
        for result in verdict.gates:
            named[f"gate.{result.gate.name}"] = f"{result.score} {result.outcome.value}"
    named |= {name: why for name, why in facts.items() if name.startswith("override.")}
    return {f"deploygate.{name}": value for name, value in named.items()}
