"""The one form of our logs: a JSON object a line, the same from a session, the watchdog and the emulator."""

import json
import logging
import re
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

_USUAL: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
_STEERS: Final = re.compile("[\x7f-\x9f\u2028\u2029]")
"""What JSON leaves as it is, and a terminal or a reader of lines does not."""


class JsonLines(logging.Formatter):
    """``at``, ``level``, ``event``, ``correlation_id``, ``logger``, ``pid``, then the event's facts.

    Every text passes ``clean``, which takes secrets out.
    """

    def __init__(self, clean: Callable[[str], str] = str) -> None:
        super().__init__()
        self._clean = clean

    def format(self, record: logging.LogRecord) -> str:
        """The line, without its end."""
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
    """Write what this process logs, from INFO on, to standard error: for a process that is ours alone."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines(clean))
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
