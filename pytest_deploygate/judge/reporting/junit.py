"""Properties of the JUnit XML file, and the file itself ahead of time.

With :mod:`.terminal` the only modules that touch private parts of pytest: the writer of the JUnit file offers no
public way to add properties of a suite under pytest-xdist, or to write the file ahead of time.
"""

import contextlib
from collections.abc import Mapping
from pathlib import Path

import pytest
from _pytest.junitxml import LogXML, xml_key

from pytest_deploygate.core.errors import ConfigError, ExitStatus
from pytest_deploygate.core.evidence import CheckState
from pytest_deploygate.core.identifiers import Phase
from pytest_deploygate.core.redaction import Redactor
from pytest_deploygate.core.verdict import PhaseVerdict, Reason, ReasonCode
from pytest_deploygate.judge.reporting.session_result import SessionResult
from pytest_deploygate.state_keys import GATE_PROPERTY, REDACTOR, STATE_PROPERTY

SCHEMA = "1"
"""Version of the ``deploygate.*`` properties."""


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
    ending = SessionResult(
        verdict="REFUSE", state="REFUSED", reason=reason, status=ExitStatus.USAGE
    )
    JUnit(config).write_now(properties(config.getoption("--deploy-to"), {}, ending))


def properties(
    environment: str,
    verdicts: Mapping[Phase, PhaseVerdict],
    ending: SessionResult,
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
