"""Records for people and machines: a log of JSON lines, the four metrics, a Prometheus textfile, OpenTelemetry.

Nothing is configured on import, and nothing here may change what becomes of a rollout: what cannot be written is
noted and passed over. Metrics are computed from the whole history, so they outlive every process.
"""

import argparse
import contextlib
import json
import logging
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pytest_deploygate.core.errors import ConfigError
from pytest_deploygate.core.record import RolloutRecord
from pytest_deploygate.core.rollout import State

if TYPE_CHECKING:
    from prometheus_client.metrics_core import Metric

logger = logging.getLogger(__name__)

LOG: Final = "log.jsonl"
"""Name of the log in the state directory."""
HISTORY: Final = 100_000
"""How many rollouts the metrics look at: in effect, all."""
DEPLOYMENT_COMPLETED: Final = "deployment.completed"
DEPLOYMENT_REFUSED: Final = "deployment.refused"
DEPLOYMENT_FAILED: Final = "deployment.failed"
ROLLBACK_COMPLETED: Final = "rollback.completed"
ROLLBACK_FAILED: Final = "rollback.failed"
REVISION_ADOPTED: Final = "revision.adopted"
COLLECTOR_VARIABLES: Final = ("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
"""The standard variables that name a collector; metrics are sent where one of them is set."""
EXPORT_TIMEOUT_S: Final = 10

_PACKAGE: Final = "pytest_deploygate"
_USUAL: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
_SENDING: Final[list["subprocess.Popen[bytes]"]] = []
"""Processes that send metrics; kept, since nobody waits for them."""


# -- the log ---------------------------------------------------------------------------------------


class JsonLines(logging.Formatter):
    """One JSON object a line: ``at``, ``level``, ``event``, ``correlation_id`` first, then the event's facts."""

    def __init__(self, clean: Callable[[str], str] = str) -> None:
        super().__init__()
        self._clean = clean

    def format(self, record: logging.LogRecord) -> str:
        """The line, without its end."""
        facts = {k: v for k, v in vars(record).items() if k not in _USUAL}
        line: dict[str, object] = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "event": record.getMessage(),
            "correlation_id": facts.pop("correlation_id", ""),
            "logger": record.name,
            "pid": record.process,
        }
        line |= {k: v for k, v in facts.items() if k not in line}
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(
            {key: self._cleaned(value) for key, value in line.items()}, ensure_ascii=False
        )

    def _cleaned(self, value: object) -> object:
        if value is None or isinstance(value, (bool, int, float)):
            return value
        return self._clean(str(value))


class LogFile(logging.Handler):
    """Appends whole lines to a file that only its owner reads; several processes may write to it at once.

    ``problem`` says why lines were lost, or is empty.
    """

    def __init__(self, path: Path, clean: Callable[[str], str] = str) -> None:
        super().__init__(logging.INFO)
        self.setFormatter(JsonLines(clean))
        self.problem = ""
        self._path = path
        self._descriptor: int | None = None

    def emit(self, record: logging.LogRecord) -> None:
        """Write one line; an error is noted."""
        try:
            line = self.format(record) + "\n"
            if self._descriptor is None:
                self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT
                self._descriptor = os.open(self._path, flags, 0o600)
            os.write(self._descriptor, line.encode())
        except (OSError, ValueError, TypeError) as error:
            self.problem = f"{self._path} cannot be written: {error}"

    def close(self) -> None:
        """Give the file back."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
        super().close()


@contextlib.contextmanager
def logged_to(path: Path, clean: Callable[[str], str] = str) -> Iterator[LogFile]:
    """Write what the package logs, from INFO on, to ``path`` while the block runs."""
    root = logging.getLogger(_PACKAGE)
    handler, level = LogFile(path, clean), root.level
    root.addHandler(handler)
    if not root.isEnabledFor(logging.INFO):
        root.setLevel(logging.INFO)
    try:
        yield handler
    finally:
        root.removeHandler(handler)
        root.setLevel(level)
        handler.close()


def log_ending(record: RolloutRecord) -> None:
    """The one terminal event of a rollout, with the facts of the original deployment task."""
    facts: dict[str, object] = {
        "correlation_id": record.rollout_id,
        "environment": record.environment,
        "purpose": record.purpose,
        "state": record.state.value,
        "serving": record.serving or "",
        "reason_code": record.reason_code,
    }
    if (seconds := record.duration_s) is not None:
        facts["deployment_duration_seconds"] = seconds
    if record.purpose == "adopt":
        logger.info(REVISION_ADOPTED, extra={**facts, "reason": record.reason})
        return
    if record.state is State.PROMOTED:
        facts["post_deployment_validation_score"] = validation_score(record)
        facts["backup_identifier"] = record.backup
        logger.info(DEPLOYMENT_COMPLETED, extra=facts)
        return
    is_deploy = record.purpose == "deploy"
    if is_deploy:
        facts["deployment_error"] = record.reason
    if record.state is State.REFUSED:
        logger.warning(DEPLOYMENT_REFUSED, extra=facts)
        return
    is_restored = record.state is State.ROLLED_BACK
    facts["rollback_successful"] = is_restored
    facts["rollback_reason"] = record.facts.get("broke_because", record.reason)
    if "rollback_seconds" in record.facts:
        facts["rollback_duration_seconds"] = float(record.facts["rollback_seconds"])
    if not is_restored:
        logger.error(DEPLOYMENT_FAILED if is_deploy else ROLLBACK_FAILED, extra=facts)
    elif is_deploy:
        logger.error(DEPLOYMENT_FAILED, extra=facts)
    else:
        logger.warning(ROLLBACK_COMPLETED, extra=facts)


def validation_score(record: RolloutRecord) -> float | None:
    """Score of the last phase that was judged on a running revision, 0 to 1; None if none was."""
    for phase in ("live", "candidate"):
        if text := record.facts.get(f"score.{phase}"):
            return float(text)
    return None


# -- the metrics -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What the history of one environment comes to. Ratios are 0 to 1; None is not known yet.

    A deployment counts from the moment it staged something; one that was refused never began.
    """

    environment: str
    deployment_success_rate: float | None = None
    """Promoted deployments in all that ended."""
    deployment_duration_seconds: float | None = None
    """Of the last promoted deployment, from lease to end."""
    post_deployment_validation_score: float | None = None
    """Of the last phase that was judged on a running revision, in the newest rollout that has one."""
    rollback_trigger_rate: float | None = None
    """Automatic returns to the revision before (in the deployment or by rollback-checks later) per deployment."""
    last_success_timestamp_seconds: float | None = None
    rollouts: Mapping[str, int] = field(default_factory=dict)
    """Count of ended rollouts by ``purpose/STATE``."""
    rollbacks: Mapping[str, int] = field(default_factory=dict)
    """Count of rollouts that ended by going back, or could not, by reason code."""


def figures(environment: str, records: Iterable[RolloutRecord]) -> Figures:
    """Compute the metrics from ``records`` of ``environment``, newest first."""
    final = [r for r in records if r.state.is_final]
    deployments = [r for r in final if r.purpose == "deploy" and _has_staged(r)]
    promoted = [r for r in deployments if r.state is State.PROMOTED]
    went_back = [r for r in final if r.state in (State.ROLLED_BACK, State.STRANDED)]
    automatic = [r for r in went_back if r.purpose in ("deploy", "rollback-checks")]
    scores = (score for r in final if (score := validation_score(r)) is not None)
    newest = promoted[0] if promoted else None
    return Figures(
        environment=environment,
        deployment_success_rate=len(promoted) / len(deployments) if deployments else None,
        deployment_duration_seconds=newest.duration_s if newest is not None else None,
        post_deployment_validation_score=next(scores, None),
        rollback_trigger_rate=len(automatic) / len(deployments) if deployments else None,
        last_success_timestamp_seconds=newest.ended_at.timestamp()
        if newest is not None and newest.ended_at is not None
        else None,
        rollouts=dict(Counter(f"{r.purpose}/{r.state.value}" for r in final)),
        rollbacks=dict(Counter(r.reason_code for r in went_back)),
    )


def _has_staged(record: RolloutRecord) -> bool:
    return record.state is not State.REFUSED and record.reason_code != "nothing_to_deploy"


GAUGES: Final = {
    "deployment_success_rate": "Promoted deployments in all deployments that staged something (ratio).",
    "deployment_duration_seconds": "Seconds that the last promoted deployment took.",
    "post_deployment_validation_score": "Score of the last judged phase on a running revision (ratio).",
    "rollback_trigger_rate": "Automatic rollbacks per deployment (ratio).",
}
"""The metrics of the original deployment task, with their help texts."""


def write_textfile(path: Path, found: Sequence[Figures]) -> None:
    """Leave the metrics for node_exporter's textfile collector; the file is replaced as a whole.

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
    """What prometheus-client collects: values of now, and counters whose values the history gives."""

    def __init__(self, found: Sequence[Figures]) -> None:
        self._found = found

    def collect(self) -> "Iterator[Metric]":
        """All families, with a sample for each environment."""
        for name, text in GAUGES.items():
            yield self._gauge(name, name, text)
        last = "last_success_timestamp_seconds"
        text = "When the last deployment was promoted (Unix time)."
        yield self._gauge(f"deploygate_{last}", last, text)
        yield self._counter("rollouts", "Rollouts that ended.", ("purpose", "state"))
        yield self._counter("rollbacks", "Rollouts that ended by going back.", ("reason_code",))

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


# -- OpenTelemetry ---------------------------------------------------------------------------------


def has_collector(variables: Mapping[str, str]) -> bool:
    """Whether the standard variables name a collector."""
    return any(variables.get(name) for name in COLLECTOR_VARIABLES)


def _has_exporter() -> bool:
    """Whether the extra is installed; loads nothing of it but empty packages."""
    try:
        return find_spec("opentelemetry.exporter.otlp.proto.http") is not None
    except ImportError:
        return False


def send(found: Sequence[Figures], *, log: Path) -> None:
    """Have a process of its own send the metrics to the collector; returns at once, and nobody waits for it.

    What goes wrong over there is written to ``log``.

    Raises:
        ConfigError: OpenTelemetry is not installed.
        OSError: the process cannot be started.
    """
    if not _has_exporter():
        raise ConfigError(
            "a collector is named, but OpenTelemetry is not installed",
            hint="pip install 'pytest-deploygate[opentelemetry]'",
        )
    process = subprocess.Popen(
        [sys.executable, "-m", "pytest_deploygate.telemetry", "--log", str(log)],
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
    """Send the metrics that come as JSON on standard input; the entry of ``python -m pytest_deploygate.telemetry``."""
    parser = argparse.ArgumentParser(prog="python -m pytest_deploygate.telemetry")
    parser.add_argument("--log", type=Path, required=True)
    options = parser.parse_args(arguments)
    with logged_to(options.log):
        try:
            _export(json.load(sys.stdin))
        except Exception as error:  # noqa: BLE001 # whatever it is, the log is where to say it
            logger.warning(
                "telemetry.export_failed", extra={"reason": f"{type(error).__name__}: {error}"}
            )
            return 1
    return 0


def _export(found: "list[dict[str, object]]") -> None:
    """Send each gauge once.

    Raises:
        ConfigError: the collector did not take them.
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
        raise ConfigError("the collector did not take the metrics")


if __name__ == "__main__":
    sys.exit(main())
