"""What the judge leaves behind: its log, terminal event, metrics and trace of its rollout. Never decides anything."""

import contextlib
import logging
import os
from dataclasses import replace

from pytest_deploygate.checks.deployment import Deployment
from pytest_deploygate.config.settings import Settings
from pytest_deploygate.core.record import RolloutRecord
from pytest_deploygate.core.redaction import Redactor
from pytest_deploygate.core.verdict import PhaseVerdict
from pytest_deploygate.judge.evidence_ledger import EvidenceLedger
from pytest_deploygate.telemetry import event_log
from pytest_deploygate.wiring import begin_trace, start_notifications, write_metrics

logger = logging.getLogger(__name__)


class JudgeTelemetry:
    """Writes the log, and keeps what a trace needs, from its start until it is closed."""

    def __init__(self, settings: Settings, redactor: Redactor, ledger: EvidenceLedger) -> None:
        self._settings = settings
        self._ledger = ledger
        self._stack = contextlib.ExitStack()
        path = settings.state_dir / event_log.LOG
        self._log = self._stack.enter_context(event_log.log_to(path, redactor))
        self.trace = begin_trace(settings, redactor)
        """None where nothing is traced."""
        if self.trace is not None:
            self._stack.enter_context(self.trace)

    def begin_phase(self, deployment: Deployment) -> Deployment:
        """A phase runs from now on; ``deployment`` as its checks are given it."""
        if self.trace is None:
            return deployment
        context = self.trace.begin_phase(deployment.phase.value)
        return replace(deployment, traceparent=context.traceparent)

    def end_phase(self, verdict: PhaseVerdict | None) -> None:
        """The phase has run; ``verdict`` is None if it was cut short."""
        if self.trace is not None:
            holds, reason = None, ""
            if verdict is not None:
                holds, reason = verdict.holds, verdict.reason.sentence
            self.trace.end_phase(holds=holds, reason=reason, checks=self._ledger.take_runs())

    def notify_channels(self) -> None:
        """Have channels told of what has become due while the rollout goes on."""
        start_notifications(self._settings)

    def record_end(self, record: RolloutRecord) -> tuple[str, ...]:
        """Record the end of a rollout: event, metrics and trace; what could not be written."""
        try:
            event_log.log_ending(record)
            problems = [
                *write_metrics(self._settings, variables=os.environ),
                self.trace.send(record) if self.trace is not None else "",
                *start_notifications(self._settings),
            ]
        except Exception as error:  # a record never decides
            logger.exception("telemetry.failed", extra={"correlation_id": record.rollout_id})
            problems = [f"{type(error).__name__}: {error}"]
        return tuple(filter(None, dict.fromkeys([*problems, self._log.problem])))

    def close(self) -> None:
        """Give the log back."""
        self._stack.close()
