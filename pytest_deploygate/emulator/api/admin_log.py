"""Remembers the newest admin calls with their answers, so that tests can hold the wire to Google's documents."""

import contextlib
import json
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import NoReturn

_CALLS = 2000
_MAX_BODY_BYTES = 128 * 1024
_MAX_BYTES = 32 * 1024 * 1024
"""Of the bodies that are remembered together."""


@dataclass(slots=True, kw_only=True)
class AdminCall:
    """One call; bodies are kept as the texts that they are."""

    seq: int
    at: datetime
    method: str
    path: str
    query: str
    request: str
    http: int | None = None
    response: str = "null"

    def to_json(self) -> str:
        """One JSON object."""
        head = {
            "seq": self.seq,
            "at": self.at.isoformat(),
            "method": self.method,
            "path": self.path,
            "query": self.query,
            "http": self.http,
        }
        bodies = f'"request": {_shown_body(self.request)}, "response": {_shown_body(self.response)}'
        return f"{json.dumps(head)[:-1]}, {bodies}}}"


class AdminLog:
    """A bounded list; each call has a sequence number that never repeats within one life of the process."""

    def __init__(self) -> None:
        self._calls: deque[AdminCall] = deque()
        self._next = 1
        self._bytes = 0

    def begin(self, method: str, path: str, query: str, body: bytes) -> AdminCall:
        """Note a call that came in; the answer is added by :meth:`end`."""
        call = AdminCall(
            seq=self._next,
            at=datetime.now(UTC),
            method=method,
            path=path,
            query=query,
            request=_readable([body]),
        )
        self._next += 1
        self._calls.append(call)
        self._bytes += len(call.request)
        self._forget_old()
        return call

    def end(self, call: AdminCall, http: int, pieces: Sequence[bytes]) -> None:
        """Note the answer, whose body comes in pieces; it stays null when the connection was cut."""
        call.http, call.response = http, _readable(pieces)
        if self._calls and call.seq >= self._calls[0].seq:
            self._bytes += len(call.response)
        self._forget_old()

    def _forget_old(self) -> None:
        while len(self._calls) > _CALLS or self._bytes > _MAX_BYTES:
            old = self._calls.popleft()
            answered = len(old.response) if old.http is not None else 0
            self._bytes -= len(old.request) + answered

    def calls_after(self, seq: int) -> list[AdminCall]:
        """Calls with a number above ``seq``, oldest first."""
        return [call for call in self._calls if call.seq > seq]


def _readable(pieces: Sequence[bytes]) -> str:
    """A body as text, whether it is JSON or not: to find out here would hold up the call, and all others."""
    size = sum(map(len, pieces))
    if not size:
        return "null"
    if size <= _MAX_BODY_BYTES:
        with contextlib.suppress(ValueError):
            return b"".join(pieces).decode()
    return _length(size)


def _shown_body(text: str) -> str:
    """A body as JSON: what it says, or how long it is."""
    try:
        json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        return _length(len(text.encode()))
    return text


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(name)


def _length(size: int) -> str:
    return json.dumps(f"<{size} bytes>")
