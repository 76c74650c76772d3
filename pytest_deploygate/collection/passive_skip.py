"""A session without a deployment: checks that need one are skipped."""

import pytest

from pytest_deploygate.collection.inventory import Gates
from pytest_deploygate.core.identifiers import Phase

NO_DEPLOYMENT = "no deployment: use --deploy-to or --deploy-env"


class PassiveSkip:
    """A session without a deployment: checks that need one are skipped."""

    def __init__(self, gates: Gates) -> None:
        self._gates = gates

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Skip the checks of all gates that need a deployment."""
        for item in items:
            gate = self._gates.of(item)
            if gate is not None and gate.phase is not Phase.READINESS:
                item.add_marker(pytest.mark.skip(reason=NO_DEPLOYMENT), append=False)
