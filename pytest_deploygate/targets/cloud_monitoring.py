"""The platform's own statistics of a revision, from Cloud Monitoring and Cloud Logging.

Names and units are those of the triggers: ``error_rate`` (0..1, server errors among all requests),
``processing_time_s`` (95th percentile), ``memory_usage_mb`` (99th percentile over the instances,
the largest), ``memory_kills``; and for the record ``request_count``, in all and by class
(``request_count_5xx``). What the platform does not know yet is left out: its figures are minutes
late, so the window that is asked for ends that long ago. The emulator answers the same calls.
"""

import logging
import math
from datetime import datetime, timedelta
from typing import Final, TypeAlias

import requests
from google.api_core.exceptions import from_http_response

from pytest_deploygate.core.errors import DeployGateError
from pytest_deploygate.core.function_spec import FunctionSpec
from pytest_deploygate.core.identifiers import RevisionName
from pytest_deploygate.core.measurement import Measurement, Sample
from pytest_deploygate.core.minute_counts import MinuteSeries
from pytest_deploygate.core.units import Memory
from pytest_deploygate.ports import Clock
from pytest_deploygate.targets.api_caller import ApiCaller
from pytest_deploygate.targets.api_errors import API_IS_OFF, error_answer_of
from pytest_deploygate.targets.auth import credentials_for
from pytest_deploygate.targets.clients import authorized_session, base_url, bypass_proxies
from pytest_deploygate.targets.minute_series import PER_MINUTE, SHORT_PERIODS, read_minutes

logger = logging.getLogger(__name__)

_KILLED: Final = "Memory limit of"
"""How the line begins that Cloud Run logs when it ends an instance (troubleshooting, "out of memory")."""
_MOST_KILLS: Final = 100
_NOT_FOUND: Final = 404
_TIMEOUT_S: Final = 10.0
_FORBIDDEN: Final = 403
_MAY_READ_FIGURES: Final = "roles/monitoring.viewer"
_MAY_READ_LOGS: Final = "roles/logging.viewer"
_OF_MANY: Final = ("error_rate", "processing_time_s")
"""Figures that a handful of requests says nothing about."""
LEAST_WINDOW_S: Final = 60
"""Shortest alignment period that Cloud Monitoring takes (``projects.timeSeries.list``)."""

Json: TypeAlias = dict[str, object]
Values: TypeAlias = dict[str, tuple[float, str]]
"""Value and unit of each measurement by its name."""


def open_metrics(
    spec: FunctionSpec,
    *,
    endpoint: str,
    is_local: bool,
    clock: Clock,
    lag_s: int,
    least_requests: int,
) -> "CloudMonitoring":
    """Statistics of the function of ``spec``, asked at ``endpoint`` (empty: Google's own)."""
    if is_local:
        bypass_proxies()
    return CloudMonitoring(
        spec,
        local_session() if is_local else authorized_session(credentials_for(spec.project)),
        ApiCaller(clock, timeout_s=_TIMEOUT_S),
        monitoring_url=base_url(endpoint, "monitoring", "v3"),
        logging_url=base_url(endpoint, "logging", "v2"),
        lag_s=lag_s,
        least_requests=least_requests,
        period_s=1 if is_local else LEAST_WINDOW_S,
    )


class CloudMonitoring:
    """Implements :class:`pytest_deploygate.ports.Metrics` on the Cloud Monitoring API v3 and the Cloud Logging API v2.

    Args:
        spec: names project, region and memory limit.
        session: carries the credentials.
        caller: makes the calls.
        monitoring_url: of Cloud Monitoring.
        logging_url: of Cloud Logging.
        lag_s: how late figures are; the window ends that long ago.
        least_requests: of fewer requests no rate and no percentile is told.
        period_s: how long the periods are that :meth:`minutes` counts in.
    """

    def __init__(
        self,
        spec: FunctionSpec,
        session: requests.Session,
        caller: ApiCaller,
        *,
        monitoring_url: str,
        logging_url: str,
        lag_s: int,
        least_requests: int,
        period_s: int = LEAST_WINDOW_S,
    ) -> None:
        self._spec = spec
        self._session = session
        self._caller = caller
        self._monitoring_url = monitoring_url
        self._logging_url = logging_url
        self._lag_s = lag_s
        self._least_requests = least_requests
        self._period_s = period_s

    @property
    def period_s(self) -> int:
        """How long the periods of :meth:`minutes` are."""
        return self._period_s

    @property
    def lag_s(self) -> int:
        """How late the platform's figures are."""
        return self._lag_s

    def sample(self, revision: RevisionName, window_s: int) -> Sample:
        """Measurements of ``revision`` over ``window_s`` seconds (at least 60) that ended ``lag_s`` ago."""
        end = self._caller.clock.now() - timedelta(seconds=self._lag_s)
        begin = end - timedelta(seconds=max(window_s, LEAST_WINDOW_S))
        values: dict[str, tuple[float, str]] = {}
        problems: list[str] = []
        figures = (self._requests, self._latency, self._memory)
        # two APIs: one may answer where the other does not
        for questions, role in ((figures, _MAY_READ_FIGURES), ((self._kills,), _MAY_READ_LOGS)):
            for ask in questions:
                try:
                    values |= ask(revision, begin, end)
                except DeployGateError as error:
                    problems.append(_problem(error, role))
                    break
        requested = values.get("request_count", (0.0, ""))[0]
        if requested < self._least_requests:
            values = {name: value for name, value in values.items() if name not in _OF_MANY}
        measured = (
            Measurement.of(name, value, unit=unit, revision=revision)
            for name, (value, unit) in values.items()
        )
        return Sample(measurements=tuple(measured), problems=tuple(problems))

    def minutes(self, revision: RevisionName, begin: datetime, count: int) -> MinuteSeries:
        """What was counted in each of ``count`` periods from ``begin`` on; a period without requests is empty."""
        if count < 1:
            return MinuteSeries()
        end = begin + timedelta(seconds=count * self._period_s)
        try:
            answers = [
                self._ask(
                    revision,
                    metric,
                    (begin, end),
                    query | {"aggregation.alignmentPeriod": f"{self._period_s}s"},
                )
                for metric, query in PER_MINUTE.items()
            ]
            counts = read_minutes(*answers, end=end, period_s=self._period_s, count=count)
        except DeployGateError as error:
            return MinuteSeries(problems=(_problem(error, _MAY_READ_FIGURES),))
        return MinuteSeries(minutes=counts)

    def _requests(self, revision: RevisionName, begin: datetime, end: datetime) -> Values:
        by_class = self._series(
            revision,
            "request_count",
            (begin, end),
            aligner="ALIGN_DELTA",
            reducer="REDUCE_SUM",
            group="metric.labels.response_code_class",
        )
        requested = sum(by_class.values())
        if not requested:
            return {}
        return {
            "request_count": (requested, ""),
            **{f"request_count_{name}": (count, "") for name, count in by_class.items()},
            "error_rate": (by_class.get("5xx", 0.0) / requested, ""),
        }

    def _latency(self, revision: RevisionName, begin: datetime, end: datetime) -> Values:
        found = self._series(
            revision, "request_latencies", (begin, end), "ALIGN_DELTA", "REDUCE_PERCENTILE_95"
        )
        return {"processing_time_s": (found[""] / 1000, "s")} if "" in found else {}

    def _memory(self, revision: RevisionName, begin: datetime, end: datetime) -> Values:
        metric = "container/memory/utilizations"
        found = self._series(revision, metric, (begin, end), "ALIGN_PERCENTILE_99", "REDUCE_MAX")
        limit = Memory.parse(self._spec.memory)
        return {"memory_usage_mb": (found[""] * limit.mb, "MB")} if "" in found else {}

    def _kills(self, revision: RevisionName, begin: datetime, end: datetime) -> Values:
        """How often the log says so, up to now: log lines are not late as figures are."""
        del end
        body = {
            "resourceNames": [f"projects/{self._spec.project}"],
            "filter": 'resource.type="cloud_run_revision" AND '
            f'resource.labels.revision_name="{revision}" AND '
            f'severity>=ERROR AND textPayload:"{_KILLED}" AND timestamp>="{_zulu(begin)}"',
            "pageSize": _MOST_KILLS,
        }

        def call() -> list[object]:
            response = self._session.post(
                f"{self._logging_url}/entries:list", json=body, timeout=self._caller.timeout_s
            )
            entries = _read(response).get("entries", [])
            if not isinstance(entries, list):
                raise ValueError("entries is no list")  # noqa: TRY004 - as of any other wrong content
            return entries

        found = self._caller.read(f"reading the log of {revision}", call)
        return {"memory_kills": (float(len(found)), "")}

    def _series(
        self,
        revision: RevisionName,
        metric: str,
        interval: tuple[datetime, datetime],
        aligner: str,
        reducer: str,
        group: str = "",
    ) -> dict[str, float]:
        """Newest value of each series by the label in ``group``; without one, under the empty name."""
        begin, end = interval
        query = {
            "aggregation.alignmentPeriod": f"{round((end - begin).total_seconds())}s",
            "aggregation.perSeriesAligner": aligner,
            "aggregation.crossSeriesReducer": reducer,
        }
        if group:
            query["aggregation.groupByFields"] = group
        found = self._ask(revision, metric, interval, query)
        result = {}
        series = found.get("timeSeries")
        for one in series if isinstance(series, list) else []:
            value = _newest(one)
            label = _member(one, "metric", "labels", group.rpartition(".")[2]) if group else ""
            if value is not None and math.isfinite(value):
                result[str(label or "")] = value
        return result

    def _ask(
        self,
        revision: RevisionName,
        metric: str,
        interval: tuple[datetime, datetime],
        aggregation: dict[str, str],
    ) -> Json:
        """The time series of ``metric`` over ``interval``."""
        begin, end = interval
        query = {
            "filter": f'metric.type="run.googleapis.com/{metric}" AND '
            'resource.type="cloud_run_revision" AND '
            f'resource.labels.revision_name="{revision}" AND '
            f'resource.labels.location="{self._spec.region}"',
            "interval.startTime": _zulu(begin),
            "interval.endTime": _zulu(end),
            **aggregation,
        }
        url = f"{self._monitoring_url}/projects/{self._spec.project}/timeSeries"

        def call() -> Json:
            response = self._session.get(url, params=query, timeout=self._caller.timeout_s)
            # what a project never had a figure of is not found, and no error
            return {} if response.status_code == _NOT_FOUND else _read(response)

        return self._caller.read(f"reading {metric} of {revision}", call)


def local_session() -> requests.Session:
    """A session for the emulator, which is asked for shorter periods than Google has."""
    session = requests.Session()
    session.headers[SHORT_PERIODS] = "1"
    return session


def _problem(error: DeployGateError, role: str) -> str:
    """What could not be read and what to do, in one line."""
    answer = error_answer_of(error.__cause__) if error.__cause__ is not None else None
    if answer is not None and answer.http == _FORBIDDEN and answer.reason != API_IS_OFF:
        return f"{error.message} (the account that deploys needs {role})"
    return f"{error.message} ({error.hint})" if error.hint else error.message


def _zulu(at: datetime) -> str:
    return at.isoformat().replace("+00:00", "Z")


def _read(response: requests.Response) -> Json:
    """The body of an answer.

    Raises:
        google.api_core.exceptions.GoogleAPICallError: it is an error.
        ValueError: it is no JSON object.
    """
    if not response.ok:
        raise from_http_response(response)  # type: ignore[no-untyped-call]
    body = response.json()
    if not isinstance(body, dict):
        raise ValueError("the answer is no JSON object")  # noqa: TRY004 - as of any other wrong content
    return body


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
