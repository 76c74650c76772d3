"""The log of JSON lines, and the one final event of each rollout.

Importing it configures nothing, and nothing here may change the result of a rollout: a line that cannot be written is
noted and dropped.
"""

import contextlib
import logging
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from pytest_deploygate.core.record import RecordedStep, RolloutRecord
from pytest_deploygate.core.state_machine import State
from pytest_deploygate.system.json_log import JsonLines
from pytest_deploygate.system.private_folder import make_private_folder
from pytest_deploygate.telemetry.metrics import validation_score

logger = logging.getLogger(__name__)

LOG: Final = "log.jsonl"
"""Name of the log in the state directory."""
DEPLOYMENT_COMPLETED: Final = "deployment.completed"
DEPLOYMENT_REFUSED: Final = "deployment.refused"
DEPLOYMENT_FAILED: Final = "deployment.failed"
ROLLBACK_COMPLETED: Final = "rollback.completed"
ROLLBACK_FAILED: Final = "rollback.failed"
REVISION_ADOPTED: Final = "revision.adopted"
ROLLBACK_DRILLED: Final = "rollback.drilled"
STEP_DECIDED: Final = "step.decided"

_PACKAGE: Final = "pytest_deploygate"


class LogFile(logging.Handler):
    """Appends whole lines to a file that only its owner can read; several processes may write at once.

    ``problem`` says why lines were lost; empty if none were.
    """

    def __init__(self, path: Path, clean: Callable[[str], str] = str) -> None:
        super().__init__(logging.INFO)
        self.setFormatter(JsonLines(clean))
        self.problem = ""
        self._path = path
        self._descriptor: int | None = None

    def emit(self, record: logging.LogRecord) -> None:
        """Write one line; note an error in ``problem``."""
        try:
            line = self.format(record) + "\n"
            if self._descriptor is None:
                make_private_folder(self._path.parent)
                flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT
                self._descriptor = os.open(self._path, flags, 0o600)
            os.write(self._descriptor, line.encode())
        except (OSError, ValueError, TypeError) as error:
            self.problem = f"{self._path} cannot be written: {error}"

    def close(self) -> None:
        """Close the file."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
        super().close()


@contextlib.contextmanager
def log_to(path: Path, clean: Callable[[str], str] = str) -> Iterator[LogFile]:
    """Write the package's log records, from INFO on, to ``path`` while the block runs."""
    root = logging.getLogger(_PACKAGE)
    handler, level = LogFile(path, clean), root.level
    root.addHandler(handler)
    if not root.isEnabledFor(logging.INFO):
        root.setLevel(logging.INFO)
    try:
        yield handler
    finally:
        root.removeHandler(handler)
        root.setLevel(level)
        handler.close()


def log_step(record: RolloutRecord, step: RecordedStep) -> None:
    """Log the decision of a step with its numbers; also a decision to wait without a process."""
    facts: dict[str, object] = {
        "correlation_id": record.rollout_id,
        "environment": record.environment,
        "percent": step.percent,
        "decision": step.decision,
        "reason": step.reason,
        "seconds": step.seconds,
        "candidate_requests": step.candidate_requests,
        "baseline_requests": step.baseline_requests,
        "is_undecided": step.is_undecided,
        **{f"objective.{name}": text for name, text in step.objectives.items()},
        **{f"gate.{name}": text for name, text in step.gates.items()},
    }
    logger.log(
        logging.WARNING if step.decision == "abort" else logging.INFO, STEP_DECIDED, extra=facts
    )


def log_ending(record: RolloutRecord) -> None:
    """Log the one final event of a rollout, with the fields of the original deployment task."""
    facts: dict[str, object] = {
        "correlation_id": record.rollout_id,
        "environment": record.environment,
        "purpose": record.purpose,
        "state": record.state.value,
        "serving": record.serving or "",
        "reason_code": record.reason_code,
    }
    if record.steps:
        facts["steps"] = ", ".join(f"{step.percent} {step.decision}" for step in record.steps)
    facts |= {f"warning.{rule}": text for rule, text in record.warnings.items()}
    if (seconds := record.duration_s) is not None:
        facts["deployment_duration_seconds"] = seconds
    if record.purpose == "adopt":
        logger.info(REVISION_ADOPTED, extra={**facts, "reason": record.reason})
        return
    if record.purpose == "drill" and record.state is State.ROLLED_BACK:
        facts["drill_duration_seconds"] = record.drill_s
        logger.info(ROLLBACK_DRILLED, extra={**facts, "reason": record.reason})
        return
    if record.state is State.PROMOTED:
        facts["post_deployment_validation_score"] = validation_score(record)
        facts["backup_identifier"] = record.backup
        logger.info(DEPLOYMENT_COMPLETED, extra=facts)
        return
    is_deploy = record.purpose == "deploy"
    if is_deploy:
        facts["deployment_error"] = record.reason
    if record.state is State.REFUSED:
        logger.warning(DEPLOYMENT_REFUSED, extra=facts)
        return
    is_restored = record.state is State.ROLLED_BACK
    facts["rollback_successful"] = is_restored
    cause = record.rollback_cause
    facts["rollback_reason"] = cause.sentence if cause is not None else record.reason
    if record.rollback_s is not None:
        facts["rollback_duration_seconds"] = record.rollback_s
    if not is_restored:
        logger.error(DEPLOYMENT_FAILED if is_deploy else ROLLBACK_FAILED, extra=facts)
    elif is_deploy:
        logger.error(DEPLOYMENT_FAILED, extra=facts)
    else:
        logger.warning(ROLLBACK_COMPLETED, extra=facts)
