"""The commands of operators as a running session sees them, asked for once a second."""

import contextlib

from pytest_deploygate.core.errors import StoreError
from pytest_deploygate.core.step_command import StepCommand, latest_command
from pytest_deploygate.engine.rollout import Rollout

POLL_S = 1.0
"""How often the record is asked; a command is seen within two seconds."""


class StepOrders:
    """The commands that count at the step that ``rollout`` is at."""

    def __init__(self, rollout: Rollout) -> None:
        assert rollout.step is not None
        self._store = rollout.ports.store
        self._rollout_id = rollout.record.rollout_id
        self._percent = rollout.step.percent
        self._known: tuple[StepCommand, ...] = ()

    @property
    def seen(self) -> tuple[StepCommand, ...]:
        """All that were seen and given at this step, the oldest first."""
        return tuple(one for one in self._known if one.percent == self._percent)

    def read(self) -> StepCommand | None:
        """The command that counts now; what cannot be read now is read later."""
        with contextlib.suppress(StoreError):
            self._known = self._store.step_commands(self._rollout_id)
        return latest_command(self._known, self._percent)
