"""What is done to collected checks in every session: their gate is noted, live checks get their marker."""

import pytest

from pytest_deploygate import ROLLBACK_CHECKS
from pytest_deploygate.core.errors import ConfigError
from pytest_deploygate.core.values import Phase
from pytest_deploygate.inventory import Gates
from pytest_deploygate.stash import GATE_PROPERTY

NO_DEPLOYMENT = "no deployment: use --deploy-to or --deploy-env"


class GatedItems:
    """Notes the gate of each check where reports carry it, and marks the checks of live gates."""

    def __init__(self, gates: Gates) -> None:
        self._gates = gates

    @pytest.hookimpl(tryfirst=True)
    def pytest_itemcollected(self, item: pytest.Item) -> None:
        """Called for each item before any hook can deselect it."""
        try:
            gate = self._gates.of(item)
        except ConfigError as error:
            raise pytest.UsageError(str(error)) from error
        if gate is None:
            return
        item.user_properties.append((GATE_PROPERTY, gate.name))
        if gate.phase is Phase.LIVE:
            item.add_marker(ROLLBACK_CHECKS)


class Skipping:
    """A session without a deployment: checks that need one are skipped."""

    def __init__(self, gates: Gates) -> None:
        self._gates = gates

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Skip the checks of candidate and live gates."""
        for item in items:
            gate = self._gates.of(item)
            if gate is not None and gate.phase is not Phase.READINESS:
                item.add_marker(pytest.mark.skip(reason=NO_DEPLOYMENT), append=False)
