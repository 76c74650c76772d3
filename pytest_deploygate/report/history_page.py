"""What a page on the history of an environment shows: success rate, duration and rollbacks over time."""

from collections.abc import Iterator, Sequence
from statistics import median
from typing import NamedTuple

from pytest_deploygate.core.record import RolloutRecord
from pytest_deploygate.core.state_machine import State
from pytest_deploygate.report.plots import Point
from pytest_deploygate.report.rollout_page import DOUBTFUL, MOODS


class Week(NamedTuple):
    """Deployments that began in one week (by the ISO calendar)."""

    name: str
    promoted: int
    rolled_back: int
    refused: int
    stranded: int

    @property
    def total(self) -> int:
        """All that ended."""
        return self.promoted + self.rolled_back + self.refused + self.stranded


class HistoryPage(NamedTuple):
    """Everything that the page shows; ``rollouts`` newest first."""

    environment: str
    rollouts: Sequence[RolloutRecord]
    deployments: int
    promoted: int
    rolled_back: int
    median_seconds: float | None
    median_rollback_seconds: float | None
    weeks: Sequence[Week]
    durations: Sequence[Point]

    @property
    def success_percent(self) -> str:
        """Share of the deployments that were promoted."""
        return f"{100 * self.promoted / self.deployments:.0f} %" if self.deployments else "none yet"


def history_page(environment: str, rollouts: Sequence[RolloutRecord]) -> HistoryPage:
    """The page of ``environment``; ``rollouts`` are its newest ones, newest first."""
    ended = [r for r in rollouts if r.purpose == "deploy" and not r.is_open]
    took = [r.duration_s for r in ended if r.duration_s is not None]
    back = [r.rollback_s for r in rollouts if r.rollback_s is not None]
    return HistoryPage(
        environment=environment,
        rollouts=rollouts,
        deployments=len(ended),
        promoted=sum(r.state is State.PROMOTED for r in ended),
        rolled_back=sum(r.state is State.ROLLED_BACK for r in ended),
        median_seconds=median(took) if took else None,
        median_rollback_seconds=median(back) if back else None,
        weeks=tuple(_weeks(ended)),
        durations=[
            Point(r.duration_s or 0, MOODS.get(r.state.value, DOUBTFUL)) for r in reversed(ended)
        ],
    )


def _weeks(ended: Sequence[RolloutRecord]) -> Iterator[Week]:
    weeks: dict[str, list[State]] = {}
    for record in ended:
        weeks.setdefault(f"{record.began_at:%G-W%V}", []).append(record.state)
    for name, states in weeks.items():
        yield Week(
            name=name,
            promoted=states.count(State.PROMOTED),
            rolled_back=states.count(State.ROLLED_BACK),
            refused=states.count(State.REFUSED),
            stranded=states.count(State.STRANDED),
        )
