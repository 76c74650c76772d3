"""What each revision did since the emulator started: requests, latencies, memory, starts and kills."""

import time
from collections import deque
from dataclasses import dataclass, field
from typing import NamedTuple

from pytest_deploygate.core.units import Memory

_RESERVOIR = 4096
"""Latencies kept per revision, the newest ones; count, mean and maximum are over all of them."""
_SEEN = 20_000
"""Single observations kept per revision and kind, the newest ones: what Cloud Monitoring is asked for a window of."""


class Answered(NamedTuple):
    """One answered request: when (seconds since the epoch), the class of its status, how long it took."""

    at: float
    status_class: str
    seconds: float


class Used(NamedTuple):
    """Memory of a revision at one moment, in MB (:mod:`pytest_deploygate.core.units`)."""

    at: float
    megabytes: float


class MemoryKill(NamedTuple):
    """An instance that was ended for its memory, and the line that its log has of it."""

    at: float
    line: str


@dataclass(slots=True, kw_only=True)
class RevisionUsage:
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
    answered: deque[Answered] = field(default_factory=lambda: deque(maxlen=_SEEN))
    used: deque[Used] = field(default_factory=lambda: deque(maxlen=_SEEN))
    killed: deque[MemoryKill] = field(default_factory=lambda: deque(maxlen=_SEEN))

    def record(self, status: int, seconds: float) -> None:
        """Count one answered request."""
        self.requests += 1
        name = f"{status // 100}xx"
        self.by_class[name] = self.by_class.get(name, 0) + 1
        self.latency_sum_s += seconds
        self.latency_max_s = max(self.latency_max_s, seconds)
        self.latencies_s.append(seconds)
        self.answered.append(Answered(time.time(), name, seconds))

    def measure_memory(self, used: Memory) -> None:
        """Note what the revision uses now."""
        self.memory_mb = used.mb
        self.memory_peak_mb = max(self.memory_peak_mb, used.mb)
        self.used.append(Used(time.time(), used.mb))

    def note_kill(self, line: str) -> None:
        """Note that an instance was ended for its memory; ``line`` is what its log has of it."""
        self.memory_kills += 1
        self.killed.append(MemoryKill(time.time(), line))

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
                "p50": quantile(ordered, 0.50),
                "p95": quantile(ordered, 0.95),
                "max": self.latency_max_s if self.requests else None,
            },
            "memory_mb": {"now": round(self.memory_mb, 1), "peak": round(self.memory_peak_mb, 1)},
            "memory_kills": self.memory_kills,
            "cold_starts": self.cold_starts,
            "crashes": self.crashes,
            "timeouts": self.timeouts,
        }


class UsageStatistics:
    """Statistics by full revision name; a revision not seen yet has empty ones."""

    def __init__(self) -> None:
        self._of: dict[str, RevisionUsage] = {}

    def of(self, revision: str) -> RevisionUsage:
        """Those of ``revision``, to be changed in place."""
        found = self._of.get(revision)
        if found is None:
            found = self._of[revision] = RevisionUsage()
        return found


def quantile(ordered: list[float], share: float) -> float | None:
    """The value below which ``share`` (0..1) of the ``ordered`` values lie, or None of none."""
    if not ordered:
        return None
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]
