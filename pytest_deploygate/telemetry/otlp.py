"""Sends metrics and traces to an OpenTelemetry collector, from a separate process that nobody waits for."""

import argparse
import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path
from threading import Thread
from typing import IO, Any, Final

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


def send_trace(document: Mapping[str, object], *, log: Path) -> None:
    """Have a separate process make and send the spans of a :func:`.trace_document`, and return at once.

    Raises:
        ConfigError: OpenTelemetry is not installed.
        OSError: the process cannot be started.
    """
    _start({"trace": document}, log)


def _start(document: Mapping[str, object], log: Path) -> None:
    """Start a sender and hand it ``document`` in memory: that of a trace holds secrets, which are in no file."""
    if not _has_exporter():
        raise ConfigError(
            "a collector is configured, but OpenTelemetry is not installed",
            hint="pip install 'pytest-deploygate[opentelemetry]'",
        )
    text = json.dumps(document).encode()
    if sys.platform == "linux":
        with open(os.memfd_create("pytest-deploygate"), "w+b") as told:  # noqa: PTH123 # no path
            told.write(text)
            told.seek(0)
            process = _start_sender(log, told)
    else:  # a pipe that is full waits for its reader, and the interpreter's end for the thread
        process = _start_sender(log, subprocess.PIPE)
        Thread(target=_tell, args=(process, text)).start()
    _SENDING.append(process)


def _start_sender(log: Path, stdin: IO[bytes] | int) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        [*own_program("pytest_deploygate.telemetry.otlp"), "--log", str(log)],
        stdin=stdin,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def _tell(process: "subprocess.Popen[bytes]", text: bytes) -> None:
    if process.stdin is not None:
        with contextlib.suppress(OSError), process.stdin as told:  # it may have died
            told.write(text)


def main(arguments: Sequence[str] | None = None) -> int:
    """Send the metrics or the spans that arrive as JSON on standard input."""
    parser = argparse.ArgumentParser(prog="python -m pytest_deploygate.telemetry.otlp")
    parser.add_argument("--log", type=Path, required=True)
    options = parser.parse_args(arguments)
    with log_to(options.log):
        try:
            document = json.load(sys.stdin)
            if "trace" in document:
                _export_trace(document["trace"])
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


def _export_trace(document: Mapping[str, Any]) -> None:
    """Send the spans in batches.

    Raises:
        ConfigError: the collector did not accept them.
    """
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.trace.export import SpanExportResult

    from pytest_deploygate.telemetry.otlp_sdk import make_spans
    from pytest_deploygate.telemetry.trace_document import read_trace_document

    trace_id = TraceContext(*document["root"]).trace_id
    made = make_spans(read_trace_document(document), trace_id)
    exporter = OTLPSpanExporter(timeout=EXPORT_TIMEOUT_S)
    for first in range(0, len(made), _BATCH):
        if exporter.export(made[first : first + _BATCH]) is not SpanExportResult.SUCCESS:
            raise ConfigError(f"the collector did not accept the trace {trace_id}")


if __name__ == "__main__":
    sys.exit(main())
