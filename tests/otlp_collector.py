"""A real receiver of OpenTelemetry traces on loopback."""

import queue
from collections.abc import Mapping

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from tests.loopback_server import Asked, Reply, ServerMaker

LIMIT_S = 120


class OtlpCollector:
    """A receiver of OTLP over HTTP; a session does not wait for it, so tests do."""

    def __init__(self, start: ServerMaker) -> None:
        self._received: queue.Queue[Asked] = queue.Queue()
        self.url = start(self._take).url
        self.variables = {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": f"{self.url}/v1/traces"}

    def _take(self, asked: Asked) -> Reply:
        self._received.put(asked)
        return Reply(body=b"", headers={"Content-Type": "application/x-protobuf"})

    def asked(self) -> Asked:
        return self._received.get(timeout=LIMIT_S)

    @property
    def is_unasked(self) -> bool:
        return self._received.empty()

    def spans(self) -> dict[str, Span]:
        """The spans of the next trace by their names."""
        return {one.name: one for one in read(self.asked())}


def read(asked: Asked) -> list[Span]:
    request = ExportTraceServiceRequest.FromString(asked.body)
    (resource,) = request.resource_spans
    named = {one.key: one.value.string_value for one in resource.resource.attributes}
    assert named["service.name"] == "pytest-deploygate"
    return [span for scope in resource.scope_spans for span in scope.spans]


def attributes(span: Span) -> Mapping[str, str]:
    return {one.key: one.value.string_value for one in span.attributes}
