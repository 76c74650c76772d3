"""Connections of the checks' HTTP client, which tell of answers that really came over one.

An answer that a recorded cassette or a mock gives is none: those stand in front of the connection.
"""

import os
import re
from collections.abc import Callable

from requests.adapters import HTTPAdapter
from typing_extensions import override
from urllib3 import HTTPConnectionPool, HTTPResponse, HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection

from pytest_deploygate.core.trace_context import read_traceparent

_POOLED = 32
_PART = re.compile(r" \((setup|call|teardown)\)\Z")


def traceparent_of_check(traceparent: str) -> str:
    """The trace context of the check that runs, as a span of the phase's; the phase's where none runs."""
    phase = read_traceparent(traceparent)
    nodeid = _PART.sub("", os.environ.get("PYTEST_CURRENT_TEST", ""))  # which pytest sets
    return phase.child(nodeid).traceparent if phase is not None and nodeid else traceparent


def adapter_of(heard: Callable[[int], None] | None) -> HTTPAdapter:
    """An adapter that repeats nothing; ``heard`` is called with the status of each answer."""
    adapter = HTTPAdapter(max_retries=0, pool_maxsize=_POOLED)
    if heard is None:
        return adapter
    told = heard

    class Telling(HTTPConnection):
        @override
        def getresponse(self) -> HTTPResponse:  # type: ignore[override]  # as urllib3 has it
            # asked before: an answer that ends its connection leaves no socket behind
            is_real = self.sock is not None and bool(self.sock.getpeername())
            response = super().getresponse()
            if is_real:
                told(response.status)
            return response

    class Secure(Telling, HTTPSConnection):
        pass

    class PlainPool(HTTPConnectionPool):
        ConnectionCls = Telling

    class SecurePool(HTTPSConnectionPool):
        ConnectionCls = Secure

    adapter.poolmanager.pool_classes_by_scheme = {"http": PlainPool, "https": SecurePool}
    return adapter
