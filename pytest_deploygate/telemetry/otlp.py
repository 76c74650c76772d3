"""Sends the metrics to an OpenTelemetry collector, from a separate process that a session does not wait for."""

import argparse
import contextlib
import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pytest_deploygate.core.errors import ConfigError

if TYPE_CHECKING:
    pass
from pytest_deploygate.system.own_program import own_program
from pytest_deploygate.telemetry.event_log import _PACKAGE, log_to, logger
from pytest_deploygate.telemetry.metrics import GAUGES, Figures

COLLECTOR_VARIABLES: Final = ("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
"""The standard variables for a collector; metrics are sent if one of them is set."""
EXPORT_TIMEOUT_S: Final = 10
_SENDING: Final[list["subprocess.Popen[bytes]"]] = []
"""Running senders; kept referenced, because nothing waits for them."""


def has_collector(variables: Mapping[str, str]) -> bool:
    """Whether the standard variables name a collector."""
    return any(variables.get(name) for name in COLLECTOR_VARIABLES)


def _has_exporter() -> bool:
    """Whether the extra is installed; loads only its empty packages."""
    try:
        return find_spec("opentelemetry.exporter.otlp.proto.http") is not None
    except ImportError:
        return False


def send(found: Sequence[Figures], *, log: Path) -> None:
    """Start a process that sends the metrics to the collector, and return at once.

    That process writes its errors to ``log``.

    Raises:
        ConfigError: OpenTelemetry is not installed.
        OSError: the process cannot be started.
    """
    if not _has_exporter():
        raise ConfigError(
            "a collector is configured, but OpenTelemetry is not installed",
            hint="pip install 'pytest-deploygate[opentelemetry]'",
        )
    process = subprocess.Popen(
        [*own_program("pytest_deploygate.telemetry.otlp"), "--log", str(log)],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    _SENDING.append(process)
    assert process.stdin is not None
    with contextlib.suppress(BrokenPipeError), process.stdin as stdin:
        stdin.write(json.dumps([asdict(one) for one in found]).encode())


def main(arguments: Sequence[str] | None = None) -> int:
    """Send the metrics that arrive as JSON on standard input."""
    parser = argparse.ArgumentParser(prog="python -m pytest_deploygate.telemetry.otlp")
    parser.add_argument("--log", type=Path, required=True)
    options = parser.parse_args(arguments)
    with log_to(options.log):
        try:
            _export(json.load(sys.stdin))
        except Exception as error:  # noqa: BLE001 # whatever failed belongs in the log
            logger.warning(
                "telemetry.export_failed", extra={"reason": f"{type(error).__name__}: {error}"}
            )
            return 1
    return 0


def _export(found: "list[dict[str, object]]") -> None:
    """Send each gauge once.

    Raises:
        ConfigError: the collector did not accept them.
    """
    from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import InMemoryMetricReader, MetricExportResult
    from opentelemetry.sdk.resources import Resource

    reader = InMemoryMetricReader()
    resource = Resource.create({"service.name": "pytest-deploygate"})
    provider = MeterProvider([reader], resource=resource, shutdown_on_exit=False)
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


if __name__ == "__main__":
    sys.exit(main())
