"""What each revision did since the local cloud started: requests, latencies, memory, starts and kills."""

from collections import deque
from dataclasses import dataclass, field

_RESERVOIR = 4096
"""Latencies kept per revision, the newest ones; count, mean and maximum are over all of them."""


@dataclass(slots=True, kw_only=True)
class RevisionStatistics:
    """Counters of one revision; memory is that of all its processes, shared pages counted once."""

    requests: int = 0
    by_class: dict[str, int] = field(default_factory=dict)
    latency_sum_s: float = 0.0
    latency_max_s: float = 0.0
    latencies_s: deque[float] = field(default_factory=lambda: deque(maxlen=_RESERVOIR))
    memory_mb: float = 0.0
    memory_peak_mb: float = 0.0
    memory_kills: int = 0
    cold_starts: int = 0
    crashes: int = 0
    timeouts: int = 0

    def record(self, status: int, seconds: float) -> None:
        """Count one answered request."""
        self.requests += 1
        name = f"{status // 100}xx"
        self.by_class[name] = self.by_class.get(name, 0) + 1
        self.latency_sum_s += seconds
        self.latency_max_s = max(self.latency_max_s, seconds)
        self.latencies_s.append(seconds)

    def measure_memory(self, megabytes: float) -> None:
        """Note what the revision uses now."""
        self.memory_mb = megabytes
        self.memory_peak_mb = max(self.memory_peak_mb, megabytes)

    def to_json(self) -> dict[str, object]:
        """As ``GET /_local/revisions/{revision}/statistics`` answers; seconds and MB, None where nothing is known."""
        ordered = sorted(self.latencies_s)
        return {
            "requests": self.requests,
            "by_class": dict(sorted(self.by_class.items())),
            "errors": self.by_class.get("5xx", 0),
            "latency_s": {
                "count": self.requests,
                "mean": self.latency_sum_s / self.requests if self.requests else None,
                "p50": _quantile(ordered, 0.50),
                "p95": _quantile(ordered, 0.95),
                "max": self.latency_max_s if self.requests else None,
            },
            "memory_mb": {"now": round(self.memory_mb, 1), "peak": round(self.memory_peak_mb, 1)},
            "memory_kills": self.memory_kills,
            "cold_starts": self.cold_starts,
            "crashes": self.crashes,
            "timeouts": self.timeouts,
        }


class Statistics:
    """Statistics by full revision name; a revision not seen yet has empty ones."""

    def __init__(self) -> None:
        self._of: dict[str, RevisionStatistics] = {}

    def of(self, revision: str) -> RevisionStatistics:
        """Those of ``revision``, to be changed in place."""
        found = self._of.get(revision)
        if found is None:
            found = self._of[revision] = RevisionStatistics()
        return found


def _quantile(ordered: list[float], share: float) -> float | None:
    if not ordered:
        return None
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]
