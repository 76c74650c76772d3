"""Keeps what a trace needs while a rollout goes on, and has it sent when that has ended. Never decides anything."""

import logging
import secrets
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import closing
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from pytest_deploygate.core.record import RolloutRecord
from pytest_deploygate.core.redaction import Redactor
from pytest_deploygate.core.trace_context import HEADER, TraceContext, read_traceparent
from pytest_deploygate.ports import Store
from pytest_deploygate.telemetry import otlp
from pytest_deploygate.telemetry.spans import (
    CheckRun,
    PhaseRun,
    PlatformCall,
    spans_of_rollout,
)
from pytest_deploygate.telemetry.trace_document import trace_document

TRACE_NOTE: Final = "trace"
"""Note of a record: the context of the rollout's own span, for whoever brings the rollout to its end."""
PARENT_NOTE: Final = "trace_parent"
"""Note of a record: the id of the span of the CI job; there is none where the job is not traced."""
_CALLS: Final = "pytest_deploygate.targets.api_caller"
"""Logger of all calls to the platform."""
_CALL: Final = "target.call"
_MOST_CALLS: Final = 20_000
"""More are not kept: hours of asking for statistics."""


def begin_trace(
    variables: Mapping[str, str],
    *,
    open_store: Callable[[], Store],
    log: Path,
    redactor: Redactor,
) -> "TraceRecording | None":
    """A trace, below the one of the CI job if ``variables`` name that; None where nothing is to be sent."""
    if not otlp.has_collector(variables, otlp.TRACES):
        return None
    job = read_traceparent(variables.get(HEADER.upper(), ""))
    if job is not None and job.is_unsampled:
        return None
    return TraceRecording(job, open_store, log, redactor)


class TraceRecording(logging.Handler):
    """The trace of a rollout; as a context manager, it hears of calls to the platform."""

    def __init__(
        self,
        job: TraceContext | None,
        open_store: Callable[[], Store],
        log: Path,
        redactor: Redactor,
    ) -> None:
        super().__init__(logging.DEBUG)
        trace_id = job.trace_id if job is not None else secrets.token_hex(16)
        self.root = TraceContext(trace_id, secrets.token_hex(8))
        """The rollout's own span."""
        self._parent_id = job.span_id if job is not None else ""
        self._open_store = open_store
        self._log = log
        self._redactor = redactor
        self._phases: list[PhaseRun] = []
        self._calls: list[PlatformCall] = []
        self._level = logging.NOTSET

    @property
    def notes(self) -> Mapping[str, str]:
        """What the record keeps, so that another process can make the same trace."""
        notes = {TRACE_NOTE: self.root.traceparent}
        return notes | ({PARENT_NOTE: self._parent_id} if self._parent_id else {})

    def __enter__(self) -> Self:
        """Begin to hear of calls."""
        logger = logging.getLogger(_CALLS)
        self._level = logger.level
        logger.addHandler(self)
        logger.setLevel(logging.DEBUG)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Hear no more of them."""
        logger = logging.getLogger(_CALLS)
        logger.removeHandler(self)
        logger.setLevel(self._level)

    def emit(self, record: logging.LogRecord) -> None:
        """Keep one call."""
        if record.getMessage() == _CALL and len(self._calls) < _MOST_CALLS:
            facts = vars(record)
            ended_ns = int(record.created * 1e9)
            began_ns = ended_ns - int(facts["duration_seconds"] * 1e9)
            call = PlatformCall(facts["doing"], facts["outcome"], began_ns, ended_ns)
            self._calls.append(call)

    def begin_phase(self, phase: str) -> TraceContext:
        """A phase runs from now on; its span, below which the spans of its checks are."""
        context = self.root.child(f"phase {len(self._phases)} {phase}")
        self._phases.append(PhaseRun(phase, context, time.time_ns(), 0, holds=None))
        return context

    def end_phase(self, *, holds: bool | None, reason: str, checks: Iterable[CheckRun]) -> None:
        """The phase has run up to now."""
        run = self._phases[-1]
        self._phases[-1] = run._replace(
            ended_ns=time.time_ns(), holds=holds, reason=reason, checks=tuple(checks)
        )

    def send(self, record: RolloutRecord) -> str:
        """Have a rollout that has ended sent, by a process that nobody waits for; what went wrong.

        A trace that another process began for it goes on.
        """
        root = read_traceparent(record.notes.get(TRACE_NOTE, ""))
        parent_id = record.notes.get(PARENT_NOTE, "")
        if root is None:
            root, parent_id = self.root, self._parent_id
        try:
            with closing(self._open_store()) as store:
                journal = store.journal(record.rollout_id)
            spans = spans_of_rollout(
                record,
                journal,
                root,
                parent_id,
                phases=self._phases,
                calls=self._calls,
                now_ns=time.time_ns(),
            )
            document = trace_document(spans, root, self._phases, self._calls, self._redactor.values)
            otlp.send_trace(document, log=self._log)
        except Exception as error:  # noqa: BLE001 # a trace never decides
            return f"OpenTelemetry: {error}"
        return ""

    def send_all(self, records: Iterable[RolloutRecord]) -> None:
        """Have rollouts sent whose own processes have died."""
        for record in records:
            self.send(record)
