"""Named faults, the points at which they strike, and a clock that tests own."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from enum import Enum, unique

START = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
SLOW_S = 400.0
"""How long a slow call takes: longer than a rollback may, shorter than a rollout."""


class ProcessKilled(BaseException):
    """The process is dead: nothing after the point where this is raised happens."""


@unique
class Fault(Enum):
    """What can go wrong at one call."""

    REFUSED = "refused"
    UNAVAILABLE = "unavailable"
    LOST_REQUEST = "lost request"
    """Not applied, but the caller cannot know."""
    LOST_ANSWER = "lost answer"
    """Applied, but the caller cannot know."""
    HALF_APPLIED = "half applied"
    SLOW = "slow"
    LAG = "lag"
    """Applied and shown, but requests are still answered from before for a while."""
    KILLED_BEFORE = "killed before"
    KILLED_AFTER = "killed after"
    DRIFT = "drift"
    """Just before, an operator moves all traffic to a revision of their own."""
    BASELINE_GONE = "baseline gone"
    CANDIDATE_GONE = "candidate gone"
    BUILD_FAILS = "build fails"
    START_FAILS = "start fails"


KILLS = (Fault.KILLED_BEFORE, Fault.KILLED_AFTER)


class Faults:
    """Numbers the calls and says which of them go wrong, by number (from 1) or by method."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.watchers: list[Callable[[str], None]] = []
        """Called with every call, before anything else happens."""
        self._at: dict[int, Fault] = {}
        self._on: dict[tuple[str, int], Fault] = {}
        self._counts: dict[str, int] = {}
        self._always: dict[str, Fault] = {}
        self.fired: list[tuple[int, str, Fault]] = []

    def at(self, number: int, fault: Fault) -> None:
        """The call with this number, counted over all ports, goes wrong."""
        self._at[number] = fault

    def on(self, name: str, fault: Fault, nth: int = 1) -> None:
        """The ``nth`` call from now of ``name`` (``target.pin``) goes wrong."""
        self._on[name, self._counts.get(name, 0) + nth] = fault

    def always(self, name: str, fault: Fault) -> None:
        """Every call of ``name`` goes wrong until :meth:`clear`."""
        self._always[name] = fault

    def clear(self) -> None:
        """Nothing goes wrong any more."""
        self._at.clear()
        self._on.clear()
        self._always.clear()

    def take(self, name: str) -> Fault | None:
        """Count a call and say what goes wrong with it."""
        self.calls.append(name)
        for watcher in self.watchers:
            watcher(name)
        count = self._counts[name] = self._counts.get(name, 0) + 1
        fault = (
            self._at.pop(len(self.calls), None)
            or self._on.pop((name, count), None)
            or self._always.get(name)
        )
        if fault is not None:
            self.fired.append((len(self.calls), name, fault))
        return fault


class FakeClock:
    """Time that moves only when somebody sleeps, or when a test says so."""

    def __init__(self) -> None:
        self._wall = START
        self._monotonic = 1000.0
        self.slept: list[float] = []

    def now(self) -> datetime:
        """Wall time."""
        return self._wall

    def monotonic(self) -> float:
        """Seconds that never go back."""
        return self._monotonic

    def sleep(self, seconds: float) -> None:
        """Let time pass."""
        self.slept.append(seconds)
        self.advance(seconds)

    def advance(self, seconds: float) -> None:
        """Time passes."""
        self._wall += timedelta(seconds=seconds)
        self._monotonic += seconds

    def jump(self, seconds: float) -> None:
        """Somebody sets the wall clock."""
        self._wall += timedelta(seconds=seconds)
