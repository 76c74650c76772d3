"""The platform's own statistics of a revision: Cloud Monitoring at Google, a side endpoint of the local cloud.

Names and units are those of the triggers: ``request_count``, ``error_rate`` (0..1, server errors
among all requests), ``processing_time_s`` (95th percentile), ``memory_usage_mb`` (99th percentile
at Google, peak in the local cloud), and in the local cloud ``memory_kills``. Cloud Monitoring is up
to three minutes late; what it does not know yet is left out.
"""

import logging
import math
import re
from collections.abc import Mapping
from datetime import timedelta
from typing import Final, TypeAlias

import requests
from google.api_core.exceptions import from_http_response

from pytest_deploygate.core.errors import TargetError
from pytest_deploygate.core.evidence import Measurement
from pytest_deploygate.core.release import FunctionSpec
from pytest_deploygate.core.values import RevisionName
from pytest_deploygate.ports import Clock, Metrics
from pytest_deploygate.targets.auth import credentials_for
from pytest_deploygate.targets.calls import Caller
from pytest_deploygate.targets.clients import authorized, bypass_proxies

logger = logging.getLogger(__name__)

MONITORING: Final = "https://monitoring.googleapis.com/v3"
LOGGING: Final = "https://logging.googleapis.com/v2"
_KILLED: Final = "Memory limit of"
"""How the line begins that Cloud Run logs when it ends an instance (troubleshooting, "out of memory")."""
_MOST_KILLS: Final = 100
_TIMEOUT_S: Final = 30.0
_LEAST_WINDOW_S: Final = 60
"""Shortest alignment period that Cloud Monitoring takes (``projects.timeSeries.list``)."""
_UNITS: Final = {"": 1.0, "K": 1e3, "M": 1e6, "G": 1e9, "Ki": 2**10, "Mi": 2**20, "Gi": 2**30}

Json: TypeAlias = dict[str, object]


def open_metrics(spec: FunctionSpec, *, endpoint: str, clock: Clock) -> Metrics:
    """Statistics of the function of ``spec``: from the local cloud at ``endpoint``, or empty: from Google."""
    caller = Caller(clock, timeout_s=_TIMEOUT_S)
    if endpoint:
        bypass_proxies()
        return LocalMetrics(endpoint, caller)
    session = authorized(credentials_for(spec.project))
    return CloudMonitoring(spec, session, caller)


class LocalMetrics:
    """Implements :class:`pytest_deploygate.ports.Metrics` on the local cloud, over its whole life."""

    def __init__(self, endpoint: str, caller: Caller) -> None:
        self._endpoint = endpoint.rstrip("/")
        self._caller = caller
        self._session = requests.Session()

    def sample(self, revision: RevisionName, window_s: int) -> Mapping[str, Measurement]:
        """Measurements of ``revision`` since the local cloud started, however long ``window_s`` is."""
        del window_s
        url = f"{self._endpoint}/_local/revisions/{revision}/statistics"
        found = _get(self._session, self._caller, f"reading the statistics of {revision}", url, {})
        requested, errors = _number(found, "requests"), _number(found, "errors")
        values = {
            "request_count": (requested, ""),
            "memory_kills": (_number(found, "memory_kills"), ""),
            "memory_usage_mb": (_number(found, "memory_mb", "peak") or None, "MB"),
            "processing_time_s": (_number(found, "latency_s", "p95"), "s"),
        }
        if requested:
            values["error_rate"] = ((errors or 0.0) / requested, "")
        return _measured(values, revision)


class CloudMonitoring:
    """Implements :class:`pytest_deploygate.ports.Metrics` on the Cloud Monitoring API v3.

    Args:
        spec: names project and memory limit.
        session: carries the credentials.
        caller: makes the calls.
        base_url: of the API.
        logging_url: of the Cloud Logging API v2.
    """

    def __init__(
        self,
        spec: FunctionSpec,
        session: requests.Session,
        caller: Caller,
        *,
        base_url: str = MONITORING,
        logging_url: str = LOGGING,
    ) -> None:
        self._spec = spec
        self._session = session
        self._caller = caller
        self._base_url = base_url
        self._logging_url = logging_url

    def sample(self, revision: RevisionName, window_s: int) -> Mapping[str, Measurement]:
        """Measurements of ``revision`` over the last ``window_s`` seconds (at least 60)."""
        window = max(window_s, _LEAST_WINDOW_S)
        by_class = self._series(
            revision,
            "request_count",
            window,
            aligner="ALIGN_DELTA",
            reducer="REDUCE_SUM",
            group="metric.labels.response_code_class",
        )
        requested = sum(by_class.values())
        latency_ms = self._series(
            revision, "request_latencies", window, "ALIGN_DELTA", "REDUCE_PERCENTILE_95"
        )
        memory = self._series(
            revision, "container/memory/utilizations", window, "ALIGN_PERCENTILE_99", "REDUCE_MAX"
        )
        values: dict[str, tuple[float | None, str]] = {
            "memory_kills": (self._memory_kills(revision, window), "")
        }
        if by_class:
            values["request_count"] = (requested, "")
        if requested:
            values["error_rate"] = (by_class.get("5xx", 0.0) / requested, "")
        if "" in latency_ms:
            values["processing_time_s"] = (latency_ms[""] / 1000, "s")
        if "" in memory:
            values["memory_usage_mb"] = (memory[""] * limit_mb(self._spec.memory), "MB")
        return _measured(values, revision)

    def _memory_kills(self, revision: RevisionName, window_s: int) -> float | None:
        """How often the log says so, or None where we may not read it."""
        since = self._caller.clock.now() - timedelta(seconds=window_s)
        body = {
            "resourceNames": [f"projects/{self._spec.project}"],
            "filter": 'resource.type="cloud_run_revision" AND '
            f'resource.labels.revision_name="{revision}" AND '
            f'severity>=ERROR AND textPayload:"{_KILLED}" AND timestamp>="{since.isoformat()}"',
            "pageSize": _MOST_KILLS,
        }

        def call() -> float:
            response = self._session.post(
                f"{self._logging_url}/entries:list", json=body, timeout=self._caller.timeout_s
            )
            if not response.ok:
                raise from_http_response(response)  # type: ignore[no-untyped-call]
            entries = response.json().get("entries", [])
            return float(len(entries))

        try:
            return self._caller.read(f"reading the log of {revision}", call)
        except TargetError as error:
            logger.warning("metrics.no_log", extra={"reason": error.message})
            return None

    def _series(
        self,
        revision: RevisionName,
        metric: str,
        window_s: int,
        aligner: str,
        reducer: str,
        group: str = "",
    ) -> dict[str, float]:
        """Newest value of each series by the label in ``group``; without one, under the empty name."""
        end = self._caller.clock.now()
        query = {
            "filter": f'metric.type="run.googleapis.com/{metric}" AND '
            'resource.type="cloud_run_revision" AND '
            f'resource.labels.revision_name="{revision}" AND '
            f'resource.labels.location="{self._spec.region}"',
            "interval.startTime": (end - timedelta(seconds=window_s)).isoformat(),
            "interval.endTime": end.isoformat(),
            "aggregation.alignmentPeriod": f"{window_s}s",
            "aggregation.perSeriesAligner": aligner,
            "aggregation.crossSeriesReducer": reducer,
        }
        if group:
            query["aggregation.groupByFields"] = group
        url = f"{self._base_url}/projects/{self._spec.project}/timeSeries"
        doing = f"reading {metric} of {revision}"
        found = _get(self._session, self._caller, doing, url, query)
        result = {}
        series = found.get("timeSeries")
        for one in series if isinstance(series, list) else []:
            value = _newest(one)
            label = _member(one, "metric", "labels", group.rpartition(".")[2]) if group else ""
            if value is not None and math.isfinite(value):
                result[str(label or "")] = value
        return result


def limit_mb(memory: str) -> float:
    """A memory limit as the platform writes it (``1Gi``, ``512M``) in MB of a million bytes.

    Raises:
        ValueError: it is none.
    """
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([KMG]i?)?B?", memory)
    if found is None:
        raise ValueError(f"not an amount of memory: {memory!r}")
    return float(found[1]) * _UNITS[found[2] or ""] / 1e6


def _get(
    session: requests.Session, caller: Caller, doing: str, url: str, query: Mapping[str, str]
) -> Json:
    def call() -> Json:
        response = session.get(url, params=dict(query), timeout=caller.timeout_s)
        if not response.ok:
            raise from_http_response(response)  # type: ignore[no-untyped-call]
        body = response.json()
        return body if isinstance(body, dict) else {}

    return caller.read(doing, call)


def _newest(series: object) -> float | None:
    """The value of the first point: points come newest first (``TimeSeries.points``)."""
    points = _member(series, "points")
    if not isinstance(points, list) or not points:
        return None
    value = _member(points[0], "value")
    for kind in ("doubleValue", "int64Value"):
        found = _member(value, kind)
        if isinstance(found, int | float | str):
            return float(found)
    return None


def _member(value: object, *path: str) -> object:
    for name in path:
        value = value.get(name) if isinstance(value, dict) else None
    return value


def _number(found: Json, *path: str) -> float | None:
    value = _member(found, *path)
    return float(value) if isinstance(value, int | float) else None


def _measured(
    values: Mapping[str, tuple[float | None, str]], revision: RevisionName
) -> dict[str, Measurement]:
    return {
        name: Measurement.of(name, value, unit=unit, check=f"statistics of {revision}")
        for name, (value, unit) in values.items()
        if value is not None
    }
