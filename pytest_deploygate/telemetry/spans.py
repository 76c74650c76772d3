"""The spans of one rollout, made from what was recorded of it: journal, phases, checks, calls to the platform.

Those of checks and calls are thousands: :mod:`.trace_document` has them made by the process that sends them.

Everything here is data; nothing of OpenTelemetry is loaded. Times are nanoseconds since 1970, by the judge's own clock.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from itertools import zip_longest
from typing import Final, NamedTuple

from pytest_deploygate.core.evidence import CheckState
from pytest_deploygate.core.record import EntryKind, JournalEntry, RecordedStep, RolloutRecord
from pytest_deploygate.core.state_machine import Event, State
from pytest_deploygate.core.trace_context import TraceContext
from pytest_deploygate.core.verdict import ReasonCode

Attributes = Mapping[str, str | int | float | bool]
_STAGES: Final = {
    State.STAGING: "staging",
    State.PROMOTING: "promoting",
    State.STEPPING: "step",
    State.FINALISING: "finalising",
    State.ROLLING_BACK: "rolling back",
}
"""States that take time, with the name of their span. While OPEN, STAGED and SERVING, phases are judged."""
_UNDECIDED: Final = (
    *(CheckState.SKIPPED, CheckState.XFAILED, CheckState.KNOWN_DEFECT, CheckState.DEFECT_GONE),
)
"""States of checks that are no failures, and no passes either."""


class CheckRun(NamedTuple):
    """A check that ran, from its first setup to its last teardown; ``ended_ns`` is 0 if its process died."""

    nodeid: str
    gate: str
    state: CheckState
    began_ns: int
    ended_ns: int
    failure: str = ""


class PhaseRun(NamedTuple):
    """A phase that ran; some run several times. ``holds`` is None if it was cut short."""

    phase: str
    context: TraceContext
    began_ns: int
    ended_ns: int
    holds: bool | None
    reason: str = ""
    checks: tuple[CheckRun, ...] = ()


class PlatformCall(NamedTuple):
    """One attempt at a request to the platform; ``outcome`` is ``ok`` or the type of the error."""

    doing: str
    outcome: str
    began_ns: int
    ended_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SpanData:
    """One span. ``error`` says what failed, None if nothing did; ``events`` are moments with a name."""

    name: str
    span_id: str
    parent_id: str
    began_ns: int
    ended_ns: int
    attributes: Attributes = field(default_factory=dict)
    error: str | None = None
    is_call: bool = False
    events: tuple[tuple[str, int], ...] = ()

    def as_json(self, clean: Callable[[str], str] = str) -> dict[str, object]:
        """As JSON, with ``clean`` applied to every text that somebody wrote."""
        return {
            "name": clean(self.name),
            "span_id": self.span_id,
            "parent_id": self.parent_id,
            "began_ns": self.began_ns,
            "ended_ns": max(self.began_ns, self.ended_ns),
            "attributes": {
                name: clean(value) if isinstance(value, str) else value
                for name, value in self.attributes.items()
            },
            "error": None if self.error is None else clean(self.error),
            "is_call": self.is_call,
            "events": [list(event) for event in self.events],
        }


def spans_of_rollout(
    record: RolloutRecord,
    journal: Iterable[JournalEntry],
    root: TraceContext,
    parent_id: str,
    *,
    phases: Iterable[PhaseRun] = (),
    calls: Iterable[PlatformCall] = (),
    now_ns: int,
) -> tuple[SpanData, ...]:
    """The root first, then phases and steps, not the checks and calls; ``parent_id`` is that of the job, or empty."""
    journal, phases = tuple(journal), tuple(phases)
    began_ns = [*(one.began_ns for one in phases), *(one.began_ns for one in calls)]
    ended_ns = nanoseconds(record.ended_at) if record.ended_at is not None else now_ns
    whole = SpanData(
        name=f"{record.purpose} {record.environment}",
        span_id=root.span_id,
        parent_id=parent_id,
        began_ns=min([nanoseconds(record.began_at), *began_ns]),
        ended_ns=ended_ns,
        attributes=_facts(record),
        error=None if _is_good(record) else record.reason or record.state.value,
        events=tuple(
            (f"{one.name}: {one.state.value}", nanoseconds(one.at))
            for one in journal
            if one.kind is EntryKind.MOVED
        ),
    )
    judged = (_phase_span(one, root) for one in phases)
    outer = (whole, *judged, *_stages(journal, record.steps, root, ended_ns))
    return (*outer, *_effects(journal, root, outer, ended_ns))


def spans_inside(
    around: tuple[SpanData, ...],
    root: TraceContext,
    phases: Iterable[PhaseRun],
    calls: Iterable[PlatformCall],
) -> Iterator[SpanData]:
    """The spans of checks and calls; ``around`` are those of the rollout."""
    for phase in phases:
        yield from (_check_span(check, phase) for check in phase.checks)
    for number, call in enumerate(calls):
        yield _call_span(number, call, root, around)


def nanoseconds(at: datetime) -> int:
    """Nanoseconds since 1970, exact to the microsecond."""
    return int(at.timestamp()) * 10**9 + at.microsecond * 1000


def _is_good(record: RolloutRecord) -> bool:
    """Whether the rollout did what was asked for."""
    is_asked = record.purpose == "rollback" or (
        record.purpose == "drill" and record.reason_code == ReasonCode.REQUESTED.value
    )
    is_back = record.state is State.ROLLED_BACK and is_asked
    return record.state is State.PROMOTED or is_back


def _facts(record: RolloutRecord) -> Attributes:
    facts = {
        "deployment.environment.name": record.environment,
        "deployment.id": record.rollout_id,
        "deployment.status": "succeeded" if _is_good(record) else "failed",
        "deploygate.purpose": record.purpose,
        "deploygate.state": record.state.value,
        "deploygate.reason_code": record.reason_code,
        "deploygate.reason": record.reason,
        "deploygate.baseline_revision": record.baseline or "",
        "deploygate.candidate_revision": record.candidate or "",
        "deploygate.serving_revision": record.serving or "",
        "deploygate.actor": str(record.actor),
    }
    return {name: str(value) for name, value in facts.items() if value}


def _phase_span(run: PhaseRun, root: TraceContext) -> SpanData:
    return SpanData(
        name=f"phase {run.phase}",
        span_id=run.context.span_id,
        parent_id=root.span_id,
        began_ns=run.began_ns,
        ended_ns=run.ended_ns,
        attributes={"deploygate.phase": run.phase, "deploygate.reason": run.reason},
        error=None if run.holds else run.reason or "it was cut short",
    )


def _stages(
    journal: Iterable[JournalEntry],
    steps: Iterable[RecordedStep],
    root: TraceContext,
    ended_ns: int,
) -> Iterator[SpanData]:
    """A span for each state in which something is done, from one row of the state machine to the next."""
    moves = [one for one in journal if one.kind is EntryKind.MOVED]
    decided = {str(step.percent): step for step in steps}
    for entry, after in zip_longest(moves, moves[1:]):
        name = _STAGES.get(entry.state)
        if name is None:
            continue
        percent = entry.details.notes.get("percent", "")
        step = decided.get(percent) if entry.state is State.STEPPING else None
        attributes: dict[str, str | int] = {"deploygate.state": entry.state.value}
        if step is not None:
            attributes |= {
                "deploygate.step.percent": step.percent,
                "deploygate.step.decision": step.decision,
                "deploygate.step.candidate_requests": step.candidate_requests,
                "deploygate.step.baseline_requests": step.baseline_requests,
                "deploygate.reason": step.reason,
            }
        is_broken = after is not None and after.name == Event.BROKE.value
        yield SpanData(
            name=f"{name} {percent} %" if percent else name,
            span_id=root.child(f"{entry.sequence} {name}").span_id,
            parent_id=root.span_id,
            began_ns=nanoseconds(entry.at),
            ended_ns=nanoseconds(after.at) if after is not None else ended_ns,
            attributes=attributes,
            error=(step.reason if step is not None else "it was aborted") if is_broken else None,
        )


def _effects(
    journal: Iterable[JournalEntry],
    root: TraceContext,
    outer: tuple[SpanData, ...],
    ended_ns: int,
) -> Iterator[SpanData]:
    """A span for each effect: from its intent to what was observed."""
    begun: dict[str, JournalEntry] = {}
    for entry in journal:
        if entry.kind is EntryKind.INTENT:
            begun[entry.name] = entry
        elif entry.kind is EntryKind.OBSERVED and (intent := begun.pop(entry.name, None)):
            yield _effect_span(intent, entry, root, outer, nanoseconds(entry.at))
    for intent in begun.values():
        yield _effect_span(intent, None, root, outer, ended_ns)


def _effect_span(
    intent: JournalEntry,
    seen: JournalEntry | None,
    root: TraceContext,
    outer: tuple[SpanData, ...],
    ended_ns: int,
) -> SpanData:
    notes = {**intent.details.notes, **(seen.details.notes if seen is not None else {})}
    if seen is None:
        error: str | None = "its end was not recorded"
    else:
        error = notes.pop("message", "it failed") if seen.details.failure is not None else None
    details = (seen or intent).details
    if details.operation:
        notes["operation"] = details.operation
    if details.revision:
        notes["revision"] = details.revision
    began_ns = nanoseconds(intent.at)
    return SpanData(
        name=intent.name,
        span_id=root.child(f"{intent.sequence} {intent.name}").span_id,
        parent_id=_around(began_ns, outer).span_id,
        began_ns=began_ns,
        ended_ns=ended_ns,
        attributes={f"deploygate.{name}": text for name, text in notes.items() if text},
        error=error,
    )


def _check_span(run: CheckRun, phase: PhaseRun) -> SpanData:
    is_passed = run.state is CheckState.PASSED
    attributes = {
        "test.case.name": run.nodeid,
        "deploygate.gate": run.gate,
        "deploygate.check_state": run.state.value,
    }
    is_failed = not is_passed and run.state not in _UNDECIDED
    if is_passed or is_failed:
        attributes["test.case.result.status"] = "pass" if is_passed else "fail"
    return SpanData(
        name=run.nodeid,
        span_id=phase.context.child(run.nodeid).span_id,
        parent_id=phase.context.span_id,
        began_ns=run.began_ns,
        ended_ns=run.ended_ns or phase.ended_ns,
        attributes=attributes,
        error=run.failure or run.state.value if is_failed else None,
    )


def _call_span(
    number: int, call: PlatformCall, root: TraceContext, outer: tuple[SpanData, ...]
) -> SpanData:
    middle_ns = (call.began_ns + call.ended_ns) // 2  # its own clock may differ by a little
    return SpanData(
        name=call.doing,
        span_id=root.child(f"call {number} {call.began_ns}").span_id,
        parent_id=_around(middle_ns, outer).span_id,
        began_ns=call.began_ns,
        ended_ns=call.ended_ns,
        attributes={"deploygate.outcome": call.outcome},
        error=None if call.outcome == "ok" else call.outcome,
        is_call=True,
    )


def _around(at_ns: int, outer: Iterable[SpanData]) -> SpanData:
    """The innermost span that was open at a time; the first, the root, where none was."""
    whole, *others = outer
    around = [one for one in others if one.began_ns <= at_ns <= one.ended_ns]
    return max(around, key=lambda one: (one.began_ns, -one.ended_ns), default=whole)
