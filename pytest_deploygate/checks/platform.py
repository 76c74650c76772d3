"""Statistics of a revision from the platform. An unknown value is ``None``, and ``None`` is never a pass."""

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import quote

from pytest_deploygate.checks.endpoint import Endpoint, Json
from pytest_deploygate.checks.probe import Probe
from pytest_deploygate.core.errors import DeployGateError


class StatisticsMissing(DeployGateError):
    """The platform returned no readable statistics."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RevisionStatistics:
    """Statistics of one revision since its creation; each value may be ``None``: unknown."""

    requests: int | None = None
    errors_by_class: Mapping[str, int] | None = None
    """Answers by class: ``4xx``, ``5xx``. A missing class had none."""
    latency_mean_s: float | None = None
    latency_p50_s: float | None = None
    latency_p95_s: float | None = None
    latency_max_s: float | None = None
    memory_peak_mb: float | None = None
    """In MB of a million bytes, like the platform's own figures."""
    memory_kills: int | None = None
    """Instances killed for exceeding their memory limit."""
    crashes: int | None = None

    @property
    def server_errors(self) -> int | None:
        """Answers of class 5xx."""
        return None if self.errors_by_class is None else self.errors_by_class.get("5xx", 0)


class LocalStatistics:
    """Statistics of the emulator: ``GET {endpoint}/_local/revisions/{revision}/statistics``."""

    def __init__(self, endpoint: str, revision: str) -> None:
        self._probe = Probe(Endpoint(url=endpoint), read_timeout_s=10)
        self._path = f"/_local/revisions/{quote(revision, safe='')}/statistics"

    def read(self) -> RevisionStatistics:
        """Read the current statistics.

        Raises:
            StatisticsMissing: the emulator does not know the revision.
            ProbeFailed: the emulator did not answer.
        """
        answer = self._probe.get(self._path)
        if answer.status != 200 or not isinstance(answer.json, Mapping):
            raise StatisticsMissing(
                f"no statistics at {self._path}: HTTP {answer.status}",
                hint="check that the revision exists and that the emulator has the version of this package",
            )
        return parse_statistics(answer.json)


def parse_statistics(document: Mapping[str, Json]) -> RevisionStatistics:
    """Statistics from a document of the emulator; a value that is missing or no number >= 0 becomes ``None``."""
    latency, memory = _mapping(document.get("latency_s")), _mapping(document.get("memory_mb"))
    classes = document.get("by_class")
    return RevisionStatistics(
        requests=_count(document.get("requests")),
        errors_by_class=_classes(classes) if isinstance(classes, Mapping) else None,
        latency_mean_s=_number(latency.get("mean")),
        latency_p50_s=_number(latency.get("p50")),
        latency_p95_s=_number(latency.get("p95")),
        latency_max_s=_number(latency.get("max")),
        memory_peak_mb=_peak(memory),
        memory_kills=_count(document.get("memory_kills")),
        crashes=_count(document.get("crashes")),
    )


def _classes(classes: Mapping[str, Json]) -> Mapping[str, int] | None:
    counts = {name: _count(value) for name, value in classes.items() if name in ("4xx", "5xx")}
    known = {name: count for name, count in counts.items() if count is not None}
    return known if len(known) == len(counts) else None


def _peak(memory: Mapping[str, Json]) -> float | None:
    """The peak. A running process uses memory, so 0 means that nothing was measured yet."""
    return _number(memory.get("peak")) or None


def _mapping(value: Json) -> Mapping[str, Json]:
    return value if isinstance(value, Mapping) else {}


def _number(value: Json) -> float | None:
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return float(value) if is_number and 0 <= value < float("inf") else None  # type: ignore[operator,arg-type]


def _count(value: Json) -> int | None:
    is_count = isinstance(value, int) and not isinstance(value, bool) and value >= 0
    return int(value) if is_count else None  # type: ignore[arg-type]
