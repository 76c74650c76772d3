"""Notes the gate of each collected check, and gives live checks their marker."""

import pytest

from pytest_deploygate import ROLLBACK_CHECKS
from pytest_deploygate.collection.inventory import Gates
from pytest_deploygate.core.errors import ConfigError
from pytest_deploygate.core.identifiers import Phase
from pytest_deploygate.core.property_names import GATE_PROPERTY


class GateMarking:
    """Notes the gate of each check where reports carry it, and marks the checks of live gates."""

    __slots__ = ("_gates",)

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
