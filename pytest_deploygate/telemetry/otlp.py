"""Sends metrics and traces to an OpenTelemetry collector, from a separate process that nobody waits for."""

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

from pytest_deploygate.core.errors import ConfigError
from pytest_deploygate.core.trace_context import TraceContext
from pytest_deploygate.system.own_program import own_program
from pytest_deploygate.telemetry.event_log import _PACKAGE, log_to, logger
from pytest_deploygate.telemetry.metrics import GAUGES, Figures

METRICS: Final = "METRICS"
TRACES: Final = "TRACES"
EXPORT_TIMEOUT_S: Final = 10
_BATCH: Final = 512
"""Spans of one request, as the SDK's own processor sends them."""
_SENDING: Final[list["subprocess.Popen[bytes]"]] = []
"""Running senders; kept referenced, because nothing waits for them."""


def has_collector(variables: Mapping[str, str], signal: str) -> bool:
    """Whether the standard variables name a collector for ``signal``, and none of them turns it off.

    Source: OpenTelemetry, "Environment Variable Specification" and "OTLP Exporter Configuration".
    """
    names = (f"OTEL_EXPORTER_OTLP_{signal}_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
    is_off = (
        variables.get("OTEL_SDK_DISABLED", "").strip().lower() == "true"
        or variables.get(f"OTEL_{signal}_EXPORTER", "").strip().lower() == "none"
    )
    return not is_off and any(variables.get(name) for name in names)


def _has_exporter() -> bool:
    """Whether the extra is installed; loads only its empty packages."""
    try:
        return find_spec("opentelemetry.exporter.otlp.proto.http") is not None
    except ImportError:
        return False


def send_metrics(found: Sequence[Figures], *, log: Path) -> None:
    """Have a separate process send the metrics, and return at once; it writes its errors to ``log``.

    Raises:
        ConfigError: OpenTelemetry is not installed.
        OSError: the process cannot be started.
    """
    _start({"metrics": [asdict(one) for one in found]}, log)


def send_spans(spans: Sequence[Mapping[str, object]], root: TraceContext, *, log: Path) -> None:
    """Have a separate process send the spans (see :meth:`SpanData.cleaned`) of a trace, and return at once.

    Raises:
        ConfigError: OpenTelemetry is not installed.
        OSError: the process cannot be started.
    """
    _start({"spans": spans, "trace_id": root.trace_id}, log)


def _start(document: Mapping[str, object], log: Path) -> None:
    if not _has_exporter():
        raise ConfigError(
            "a collector is configured, but OpenTelemetry is not installed",
            hint="pip install 'pytest-deploygate[opentelemetry]'",
        )
    # a file without a name: a pipe would have to wait for the reader
    with tempfile.TemporaryFile("w+", encoding="utf-8") as told:
        json.dump(document, told)
        told.seek(0)
        process = subprocess.Popen(
            [*own_program("pytest_deploygate.telemetry.otlp"), "--log", str(log)],
            stdin=told,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
    _SENDING.append(process)


def main(arguments: Sequence[str] | None = None) -> int:
    """Send the metrics or the spans that arrive as JSON on standard input."""
    parser = argparse.ArgumentParser(prog="python -m pytest_deploygate.telemetry.otlp")
    parser.add_argument("--log", type=Path, required=True)
    options = parser.parse_args(arguments)
    with log_to(options.log):
        try:
            document = json.load(sys.stdin)
            if "spans" in document:
                _export_spans(document["spans"], document["trace_id"])
            else:
                _export_metrics(document["metrics"])
        except Exception as error:  # noqa: BLE001 # whatever failed belongs in the log
            logger.warning(
                "telemetry.export_failed", extra={"reason": f"{type(error).__name__}: {error}"}
            )
            return 1
    return 0


def _export_metrics(found: "list[dict[str, object]]") -> None:
    """Send each gauge once.

    Raises:
        ConfigError: the collector did not accept them.
    """
    from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import InMemoryMetricReader, MetricExportResult

    from pytest_deploygate.telemetry.otlp_sdk import own_resource

    reader = InMemoryMetricReader()
    provider = MeterProvider([reader], resource=own_resource(), shutdown_on_exit=False)
    meter = provider.get_meter(_PACKAGE)
    for name, text in GAUGES.items():
        unit = "s" if name.endswith("_seconds") else "1"
        gauge = meter.create_gauge(name, unit=unit, description=text)
        for one in found:
            value = one[name]
            if isinstance(value, (int, float)):
                gauge.set(value, {"deployment.environment.name": str(one["environment"])})
    data = reader.get_metrics_data()
    exporter = OTLPMetricExporter(timeout=EXPORT_TIMEOUT_S)
    if data is not None and exporter.export(data) is not MetricExportResult.SUCCESS:
        raise ConfigError("the collector did not accept the metrics")


def _export_spans(spans: "list[dict[str, Any]]", trace_id: str) -> None:
    """Send the spans in batches.

    Raises:
        ConfigError: the collector did not accept them.
    """
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.trace.export import SpanExportResult

    from pytest_deploygate.telemetry.otlp_sdk import make_spans

    made = make_spans(spans, trace_id)
    exporter = OTLPSpanExporter(timeout=EXPORT_TIMEOUT_S)
    for first in range(0, len(made), _BATCH):
        if exporter.export(made[first : first + _BATCH]) is not SpanExportResult.SUCCESS:
            raise ConfigError(f"the collector did not accept the trace {trace_id}")


if __name__ == "__main__":
    sys.exit(main())
