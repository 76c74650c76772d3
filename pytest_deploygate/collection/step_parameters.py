"""Makes each check of a step gate one test per step: its id says which, ``test_prices[5%]``."""

from collections.abc import Sequence

import pytest

from pytest_deploygate.collection.inventory import STEP_PARAMETER, Gates
from pytest_deploygate.core.errors import ConfigError
from pytest_deploygate.core.identifiers import Phase


class StepParameters:
    """Registered only where the policy has a step gate; ``percents`` are the steps of the environment."""

    def __init__(self, gates: Gates, percents: Sequence[int]) -> None:
        self._gates = gates
        self._percents = tuple(percents)

    @pytest.hookimpl(tryfirst=True)
    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """Add the parameter, which the function itself need not name."""
        if not self._percents or not self._is_step_check(metafunc.definition):
            return
        if STEP_PARAMETER not in metafunc.fixturenames:
            metafunc.fixturenames.append(STEP_PARAMETER)
        ids = [f"{percent}%" for percent in self._percents]
        metafunc.parametrize(STEP_PARAMETER, self._percents, ids=ids)

    def _is_step_check(self, item: pytest.Item) -> bool:
        try:
            gate = self._gates.of(item)
        except ConfigError:
            return False  # whoever marks the test says what is wrong
        return gate is not None and gate.phase is Phase.STEP
