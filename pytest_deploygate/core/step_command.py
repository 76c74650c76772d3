"""What an operator orders at a step of a running rollout: hold it, advance it, or abort."""

from dataclasses import dataclass
from datetime import datetime
from enum import Enum, unique

from pytest_deploygate.core.identifiers import Actor, EnvironmentName, RolloutId


@unique
class CommandKind(Enum):
    """HOLD keeps the step until another command or ``at-most``, ADVANCE ends its wait, ABORT goes back.

    APPROVE lets it advance when its evidence suffices, where an approval is needed.
    """

    HOLD = "hold"
    ADVANCE = "advance"
    ABORT = "abort"
    APPROVE = "approve"


_DONE = {
    CommandKind.HOLD: "held",
    CommandKind.ADVANCE: "advanced",
    CommandKind.ABORT: "aborted",
    CommandKind.APPROVE: "approved",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class StepCommand:
    """One command; ``percent`` is the step that it was given at."""

    rollout_id: RolloutId
    environment: EnvironmentName
    percent: int
    kind: CommandKind
    actor: Actor
    reason: str
    at: datetime

    @property
    def sentence(self) -> str:
        """Who ordered it and why."""
        who = f"{self.actor.user}@{self.actor.host}"
        return f"{_DONE[self.kind]} by {who} at {self.at:%H:%M:%S} UTC: {self.reason}"


def latest_command(commands: tuple[StepCommand, ...], percent: int) -> StepCommand | None:
    """The command that counts at the step of ``percent``; ``commands`` has the oldest first.

    An abort counts at whatever step it was given; of the others, the last one given at this step.
    """
    aborts = [one for one in commands if one.kind is CommandKind.ABORT]
    here = [one for one in commands if one.percent == percent]
    return next(reversed(aborts or here), None)
