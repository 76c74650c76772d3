"""Writes the metrics to a file for node_exporter's textfile collector."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_deploygate.core.errors import ConfigError

if TYPE_CHECKING:
    from prometheus_client.metrics_core import Metric
from pytest_deploygate.telemetry.metrics import GAUGES, Figures


def write_textfile(path: Path, found: Sequence[Figures]) -> None:
    """Write the metrics for node_exporter's textfile collector; the file is replaced atomically.

    Raises:
        ConfigError: prometheus-client is not installed.
        OSError: it cannot be written.
    """
    try:
        from prometheus_client import CollectorRegistry, write_to_textfile
    except ImportError as error:
        raise ConfigError(
            "prometheus-textfile is set, but prometheus-client is not installed",
            hint="pip install 'pytest-deploygate[prometheus]'",
        ) from error
    registry = CollectorRegistry()
    registry.register(_Families(found))
    path.parent.mkdir(parents=True, exist_ok=True)
    write_to_textfile(str(path), registry)


class _Families:
    """Metric families for prometheus-client: gauges, and counters computed from the history."""

    def __init__(self, found: Sequence[Figures]) -> None:
        self._found = found

    def collect(self) -> "Iterator[Metric]":
        """All families, with one sample per environment."""
        for name, text in GAUGES.items():
            yield self._gauge(name, name, text)
        last = "last_success_timestamp_seconds"
        text = "When the last deployment was promoted (Unix time)."
        yield self._gauge(f"deploygate_{last}", last, text)
        yield self._counter("rollouts", "Rollouts that ended.", ("purpose", "state"))
        yield self._counter(
            "rollbacks", "Rollouts that ended as rolled back or stranded.", ("reason_code",)
        )

    def _gauge(self, name: str, figure: str, text: str) -> "Metric":
        from prometheus_client.core import GaugeMetricFamily

        family = GaugeMetricFamily(name, text, labels=["environment"])
        for one in self._found:
            value = getattr(one, figure)
            if value is not None:
                family.add_metric([one.environment], value)
        return family

    def _counter(self, figure: str, text: str, labels: Sequence[str]) -> "Metric":
        """A counter whose ``labels`` are the parts of the figure's keys."""
        from prometheus_client.core import CounterMetricFamily

        family = CounterMetricFamily(f"deploygate_{figure}", text, labels=["environment", *labels])
        for one in self._found:
            for key, count in getattr(one, figure).items():
                family.add_metric([one.environment, *key.split("/")], count)
        return family
