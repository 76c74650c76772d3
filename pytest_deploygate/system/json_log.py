"""The one log format (ADR 20): one JSON object per line, for sessions, the watchdog and the emulator."""

import json
import logging
import re
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

_USUAL: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
_STEERS: Final = re.compile("[\x7f-\x9f\u2028\u2029]")
"""Characters that JSON does not escape, but that affect a terminal or end a line."""


class JsonLines(logging.Formatter):
    """Formats ``at``, ``level``, ``event``, ``correlation_id``, ``logger``, ``pid``, then the fields of the event.

    ``clean`` masks secrets in every text.
    """

    def __init__(self, clean: Callable[[str], str] = str) -> None:
        super().__init__()
        self._clean = clean

    def format(self, record: logging.LogRecord) -> str:
        """Format one record as a line, without the line feed."""
        facts = {k: v for k, v in vars(record).items() if k not in _USUAL}
        line: dict[str, object] = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "event": record.getMessage(),
            "correlation_id": facts.pop("correlation_id", ""),
            "logger": record.name,
            "pid": record.process,
        }
        line |= {k: v for k, v in facts.items() if k not in line}
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        text = json.dumps(
            {key: self._clean_value(value) for key, value in line.items()}, ensure_ascii=False
        )
        return _STEERS.sub(lambda found: f"\\u{ord(found[0]):04x}", text)

    def _clean_value(self, value: object) -> object:
        if value is None or isinstance(value, (bool, int, float)):
            return value
        return self._clean(str(value))


def log_to_stderr(clean: Callable[[str], str]) -> None:
    """Log from INFO on to standard error; only for processes that run no other code."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines(clean))
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
