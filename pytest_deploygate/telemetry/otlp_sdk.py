"""Spans and resource of the OpenTelemetry SDK; loaded only by the process that sends them."""

from collections.abc import Iterable, Sequence
from typing import Any, Final

from opentelemetry.context import Context
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.id_generator import IdGenerator
from opentelemetry.trace import (
    NonRecordingSpan,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    set_span_in_context,
)

SERVICE: Final = "pytest-deploygate"


class KnownIds(IdGenerator):
    """Hands out ids that requests to the function have named already."""

    def __init__(self, trace_id: int) -> None:
        self.trace_id = trace_id
        self.span_id = 0

    def generate_span_id(self) -> int:
        """The id that is set."""
        return self.span_id

    def generate_trace_id(self) -> int:
        """The id of the one trace."""
        return self.trace_id


def own_resource() -> Resource:
    """The resource that the variables name; the service is this package unless they name one."""
    found = Resource.create()
    if str(found.attributes["service.name"]).startswith("unknown_service"):
        found = found.merge(Resource({"service.name": SERVICE}))
    return found


def make_spans(spans: Iterable[dict[str, Any]], trace_id: str) -> Sequence[ReadableSpan]:
    """The SDK's spans of ``spans`` (see :meth:`SpanData.as_json`); its variables name sampler, limits and resource."""
    ids, made = KnownIds(int(trace_id, 16)), InMemorySpanExporter()
    provider = TracerProvider(resource=own_resource(), id_generator=ids, shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(made))
    tracer = provider.get_tracer("pytest_deploygate")
    for one in spans:
        ids.span_id = int(one["span_id"], 16)
        span = tracer.start_span(
            one["name"],
            context=_context(ids.trace_id, one["parent_id"]),
            kind=SpanKind.CLIENT if one["is_call"] else SpanKind.INTERNAL,
            attributes=one["attributes"],
            start_time=one["began_ns"],
        )
        for name, at_ns in one["events"]:
            span.add_event(name, timestamp=at_ns)
        if one["error"] is not None:
            span.set_status(Status(StatusCode.ERROR, one["error"]))
        span.end(one["ended_ns"])
    found: Sequence[ReadableSpan] = made.get_finished_spans()
    return found


def _context(trace_id: int, parent_id: str) -> Context:
    """An empty context, or that of the span above."""
    if not parent_id:
        return Context()
    above = SpanContext(
        trace_id, int(parent_id, 16), is_remote=True, trace_flags=TraceFlags(TraceFlags.SAMPLED)
    )
    return set_span_in_context(NonRecordingSpan(above), Context())
