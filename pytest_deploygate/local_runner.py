"""Runs the phases in this process."""

import pytest

from pytest_deploygate.checks.deployment import Deployment
from pytest_deploygate.core.values import Phase
from pytest_deploygate.phases import Budget, run_items
from pytest_deploygate.recording import Recorder
from pytest_deploygate.stash import DEPLOYMENT


class InProcessRunner:
    """Runs items of this session's own collection."""

    def __init__(self, config: pytest.Config, recorder: Recorder) -> None:
        self._config = config
        self._recorder = recorder

    def collect(self, session: pytest.Session) -> None:
        """Nothing to do: pytest has collected."""

    def run(
        self, session: pytest.Session, phase: Phase, deployment: Deployment, budget: Budget
    ) -> None:
        """Run the phase's items in the order of collection."""
        wanted = {check.nodeid for check in self._recorder.checks_of(phase)}
        self._config.stash[DEPLOYMENT] = deployment
        run_items(session, [item for item in session.items if item.nodeid in wanted], budget)

    def stop(self) -> None:
        """Nothing to do: checks run in this process, and it is here."""
