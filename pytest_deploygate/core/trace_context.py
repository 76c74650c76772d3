"""Trace context of a rollout: who the spans belong to, as W3C's ``traceparent`` writes it.

Ids of spans are derived from the root's and a name. So a process that runs checks can name the span of a check in a
request, and the judge can make that span afterwards, without a message between them.
"""

import re
from hashlib import sha256
from typing import Final, NamedTuple

HEADER: Final = "traceparent"
"""Header of a request, and in capitals the environment variable of a process (W3C, "Trace Context", level 1)."""
_TRACEPARENT: Final = re.compile(
    r"(?!ff)[0-9a-f]{2}-(?!0{32})(?P<trace>[0-9a-f]{32})-(?!0{16})(?P<span>[0-9a-f]{16})"
    r"-(?P<flags>[0-9a-f]{2})(-.*)?"
)
_SAMPLED: Final = 1


class TraceContext(NamedTuple):
    """One span of a trace. ``is_unsampled`` says that the caller records nothing of the trace."""

    trace_id: str
    span_id: str
    is_unsampled: bool = False

    @property
    def traceparent(self) -> str:
        """Text of the header and of the environment variable."""
        return f"00-{self.trace_id}-{self.span_id}-{int(not self.is_unsampled):02x}"

    def child(self, name: str) -> "TraceContext":
        """The span ``name`` of this one, the same each time."""
        digest = sha256(f"{self.trace_id}/{self.span_id}/{name}".encode(errors="surrogateescape"))
        return self._replace(span_id=digest.hexdigest()[:16])


def read_traceparent(text: str) -> TraceContext | None:
    """The context of a ``traceparent``, also of a later version; None if it is none."""
    match = _TRACEPARENT.fullmatch(text.strip())
    if match is None or (text.strip().startswith("00") and match[4] is not None):
        return None
    is_unsampled = not int(match["flags"], 16) & _SAMPLED
    return TraceContext(match["trace"], match["span"], is_unsampled)
