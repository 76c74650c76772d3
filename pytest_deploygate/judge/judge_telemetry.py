"""What the judge leaves behind: its log, the terminal event of its rollout, the metrics. Never decides anything."""

import contextlib
import logging
import os

from pytest_deploygate.config.settings import Settings
from pytest_deploygate.core.record import RolloutRecord
from pytest_deploygate.core.redaction import Redactor
from pytest_deploygate.telemetry import event_log
from pytest_deploygate.wiring import start_notifications, write_metrics

logger = logging.getLogger(__name__)


class JudgeTelemetry:
    """Writes the log from its start until it is closed."""

    def __init__(self, settings: Settings, redactor: Redactor) -> None:
        self._settings = settings
        self._stack = contextlib.ExitStack()
        path = settings.state_dir / event_log.LOG
        self._log = self._stack.enter_context(event_log.log_to(path, redactor))

    def finished(self, record: RolloutRecord) -> tuple[str, ...]:
        """Record the end of a rollout: event and metrics; what could not be written."""
        try:
            event_log.log_ending(record)
            problems = write_metrics(self._settings, variables=os.environ)
            problems += start_notifications(self._settings)
        except Exception as error:  # a record never decides
            logger.exception("telemetry.failed", extra={"correlation_id": record.rollout_id})
            problems = (f"{type(error).__name__}: {error}",)
        return (*problems, *filter(None, [self._log.problem]))

    def close(self) -> None:
        """Give the log back."""
        self._stack.close()
