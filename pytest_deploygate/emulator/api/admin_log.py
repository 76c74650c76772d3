"""Remembers the newest admin calls with their answers, so that tests can hold the wire to Google's documents."""

import json
from collections import deque
from datetime import UTC, datetime

from pytest_deploygate.emulator.api.protobuf_json import Json

_CALLS = 2000
_MAX_BODY_CHARS = 64 * 1024


class AdminLog:
    """A bounded list; each call has a sequence number that never repeats within one life of the process."""

    def __init__(self) -> None:
        self._calls: deque[Json] = deque(maxlen=_CALLS)
        self._next = 1

    def begin(self, method: str, path: str, query: str, body: bytes) -> Json:
        """Note a call that came in; the answer is added by :meth:`end`."""
        call: Json = {
            "seq": self._next,
            "at": datetime.now(UTC).isoformat(),
            "method": method,
            "path": path,
            "query": query,
            "request": _readable(body),
            "http": None,
            "response": None,
        }
        self._next += 1
        self._calls.append(call)
        return call

    def end(self, call: Json, http: int, body: bytes) -> None:
        """Note the answer; it stays None when the connection was cut."""
        call["http"] = http
        call["response"] = _readable(body)

    def after(self, seq: int) -> list[Json]:
        """Calls with a number above ``seq``, oldest first."""
        return [call for call in self._calls if int(str(call["seq"])) > seq]


def _readable(body: bytes) -> object:
    if not body or len(body) > _MAX_BODY_CHARS:
        return None if not body else f"<{len(body)} bytes>"
    try:
        found: object = json.loads(body)
    except (ValueError, RecursionError):
        return f"<{len(body)} bytes>"
    return found
