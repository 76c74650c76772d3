"""What the judge hands to the process that sends a trace, and the spans that this makes of it.

Made and masked here, in the sender, thousands of spans cost the verdict nothing. So the document holds texts as they
were written, and the secrets to mask in them: it is handed over in memory and never written to a file.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cache
from typing import Any

from pytest_deploygate.core.evidence import CheckState
from pytest_deploygate.core.redaction import Redactor
from pytest_deploygate.core.trace_context import TraceContext
from pytest_deploygate.telemetry.spans import (
    CheckRun,
    PhaseRun,
    PlatformCall,
    SpanData,
    spans_inside,
)


def trace_document(
    spans: Sequence[SpanData],
    root: TraceContext,
    phases: Sequence[PhaseRun],
    calls: Sequence[PlatformCall],
    secrets: Sequence[str],
) -> Mapping[str, object]:
    """For JSON: ``spans`` are those of the rollout, see :func:`.spans.spans_of_rollout`."""
    return {
        "root": root,
        "spans": [one.as_json() for one in spans],
        "phases": [one._replace(checks=()) for one in phases],
        "checks": [
            [(*check[:2], check.state.value, *check[3:]) for check in one.checks] for one in phases
        ],
        "calls": calls,
        "secrets": secrets,
    }


def read_trace_document(document: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """All spans, masked; ``document`` is what :func:`trace_document` made."""
    clean = cache(Redactor(document["secrets"]))  # most texts are there several times
    root = TraceContext(*document["root"])
    spans = tuple(_span(one) for one in document["spans"])
    phases = [
        PhaseRun(phase, TraceContext(*context), began_ns, ended_ns, holds, reason, _runs(checks))
        for (phase, context, began_ns, ended_ns, holds, reason, _), checks in zip(
            document["phases"], document["checks"], strict=True
        )
    ]
    calls = [PlatformCall(*one) for one in document["calls"]]
    for span in (*spans, *spans_inside(spans, root, phases, calls)):
        yield span.as_json(clean)


def _span(found: Mapping[str, Any]) -> SpanData:
    span = SpanData(**found)
    return replace(span, events=tuple((name, at_ns) for name, at_ns in span.events))


def _runs(found: Sequence[Sequence[Any]]) -> tuple[CheckRun, ...]:
    return tuple(
        CheckRun(nodeid, gate, CheckState(state), *times_and_failure)
        for nodeid, gate, state, *times_and_failure in found
    )
