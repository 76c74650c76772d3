"""What a session leaves behind: its log, the terminal event of its rollout, the metrics. Never decides anything."""

import contextlib
import logging
import os
from collections.abc import Callable

import pytest

from pytest_deploygate.config.settings import Settings
from pytest_deploygate.core.record import RolloutRecord
from pytest_deploygate.core.redaction import Redactor
from pytest_deploygate.telemetry import event_log
from pytest_deploygate.wiring import write_metrics

logger = logging.getLogger(__name__)


class SessionTelemetry:
    """Writes the log from its start until pytest ends; ``say`` tells people what could not be written."""

    def __init__(self, settings: Settings, redactor: Redactor, say: Callable[[str], None]) -> None:
        self._settings = settings
        self._say = say
        self._stack = contextlib.ExitStack()
        path = settings.state_dir / event_log.LOG
        self._log = self._stack.enter_context(event_log.logged_to(path, redactor))

    @pytest.hookimpl(tryfirst=True)  # before an implementation that may raise
    def pytest_deploygate_finished(self, rollout: RolloutRecord) -> None:
        """The terminal event and the metrics of a rollout that ended."""
        try:
            event_log.log_ending(rollout)
            problems = write_metrics(self._settings, variables=os.environ)
        except Exception as error:  # a record never decides
            logger.exception("telemetry.failed", extra={"correlation_id": rollout.rollout_id})
            problems = (f"{type(error).__name__}: {error}",)
        for problem in (*problems, *filter(None, [self._log.problem])):
            self._say(f"deploygate: note: not everything was recorded: {problem}")

    def pytest_unconfigure(self) -> None:
        """Give the log back."""
        self._stack.close()
