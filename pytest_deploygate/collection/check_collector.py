"""What a process collected, before anybody could take a check out of it, and what was taken out."""

import operator

import pytest

from pytest_deploygate import ROLLBACK_CHECKS
from pytest_deploygate.channel.client import JudgeLink
from pytest_deploygate.channel.messages import Collected
from pytest_deploygate.collection.collected_mistakes import collection_error, find_mistakes
from pytest_deploygate.collection.inventory import Gates, step_of
from pytest_deploygate.collection.outcome_audit import OutcomeAuditor
from pytest_deploygate.core.identifiers import Phase


def counts_all_phases(config: pytest.Config) -> bool:
    """Whether the checks of all phases count: not where only the live gates are asked for."""
    return ROLLBACK_CHECKS not in str(config.getoption("markexpr", ""))


class CheckCollector:
    """Notes the checks of all gates and tells the judge of them."""

    def __init__(
        self, gates: Gates, link: JudgeLink, auditor: OutcomeAuditor, *, counts_all: bool
    ) -> None:
        self._gates = gates
        self._link = link
        self._auditor = auditor
        self._counts_all = counts_all
        self._all: list[pytest.Item] = []
        """Everything that was collected, checks or not."""
        self._items: list[pytest.Item] = []
        self._doubts: list[str] = []
        self._mistakes: list[str] = []

    @property
    def count(self) -> int:
        """How many checks count."""
        return sum(map(self._is_counted, self._items))

    def note(self, items: list[pytest.Item]) -> None:
        """Take all items that belong to a gate, and look at all for mistakes: a wrong mark may keep one out."""
        self._all = list(items)
        self._items = [item for item in items if self._gates.of(item) is not None]
        if items:
            looked_at = items if self._counts_all else filter(self._is_looked_at, items)
            self._mistakes += find_mistakes(looked_at, items[0].config)

    def note_error(self, report: pytest.CollectReport) -> None:
        """A module could not be collected."""
        self._mistakes.append(collection_error(report))

    def compare(self, items: list[pytest.Item]) -> None:
        """Find out which checks are not there any more."""
        self._doubts = []
        if not _are_same(items, self._all):
            left = set(map(id, items))
            self._doubts = [
                f"{item.nodeid} was taken out of the run after collection"
                for item in self._items
                if id(item) not in left and self._is_counted(item)
            ]
        if self._items and self._items[0].config.pluginmanager.hasplugin("pytest_forked"):
            self._doubts += [
                f"{item.nodeid} is marked forked: nobody hears what a copy of a process sees; remove the mark, "
                "and run checks in processes of their own with -n"
                for item in self._items
                if item.get_closest_marker("forked")
            ]

    def send(self) -> None:
        """Tell the judge."""
        checks = tuple(map(self._gates.describe, self._items))
        self._auditor.expect(self._items, [check.nodeid for check in checks])
        self._link.send(Collected(checks, tuple(self._doubts), tuple(self._mistakes)))

    def of_phase(self, items: list[pytest.Item], phase: Phase, step: int = 0) -> list[pytest.Item]:
        """Those of ``items`` that are checks of ``phase``, and of its ``step``."""
        known = set(map(id, self._items))
        return [
            item
            for item in items
            if id(item) in known and self._phase_of(item) is phase and step_of(item) == step
        ]

    def checks_among(self, items: list[pytest.Item]) -> list[pytest.Item]:
        """Those of ``items`` that are checks."""
        if _are_same(items, self._items):
            return items
        known = set(map(id, self._items))
        return [item for item in items if id(item) in known]

    def _is_looked_at(self, item: pytest.Item) -> bool:
        return self._gates.of(item) is None or self._is_counted(item)

    def _is_counted(self, item: pytest.Item) -> bool:
        return self._counts_all or self._phase_of(item) is Phase.LIVE

    def _phase_of(self, item: pytest.Item) -> Phase | None:
        gate = self._gates.of(item)
        return gate.phase if gate is not None else None


def _are_same(items: list[pytest.Item], others: list[pytest.Item]) -> bool:
    return len(items) == len(others) and all(map(operator.is_, items, others))
