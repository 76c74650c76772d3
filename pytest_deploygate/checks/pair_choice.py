"""Chooses among the extracted records that claim the same key those that raise the overall accuracy most."""

from collections.abc import Mapping
from dataclasses import dataclass

from pytest_deploygate.checks.assignment import assign
from pytest_deploygate.checks.measures import is_right
from pytest_deploygate.checks.remaining_records import Cells, RemainingRecords

_MOST_PAIRS_OF_A_KEY = 400
"""Records with the same key are all compared up to this number of pairs; beyond it they are paired by their order."""


@dataclass(frozen=True, slots=True)
class _Weight:
    """What a pair brings: right cells, and cells that both records have."""

    right: int
    shared: int


class PairChoice:
    """Chooses, for each group, the records that raise the overall accuracy most."""

    def __init__(
        self, rest: RemainingRecords, claims: Mapping[Cells, list[int]], equal_cells: int
    ) -> None:
        self._rest = rest
        self._claims = claims
        self._equal_cells = equal_cells
        self._weights: dict[tuple[int, int], _Weight] = {}

    def pairs(self) -> list[tuple[int, int]]:
        """Positions of golden and extracted records."""
        settled, contested = [], []
        for group, there in self._claims.items():
            here = self._rest.groups[group]
            if len(here) == len(there) == 1:
                settled.append((here[0], there[0]))
            elif len(here) * len(there) > _MOST_PAIRS_OF_A_KEY:
                settled += zip(here, there, strict=False)
            else:
                contested.append((here, there))
        return settled + self._choose(settled, contested) if contested else settled

    def _choose(
        self, settled: list[tuple[int, int]], contested: list[tuple[list[int], list[int]]]
    ) -> list[tuple[int, int]]:
        """The pairs of the contested groups with which right cells over all cells is greatest.

        A pair adds its right cells, and saves the cells that both have. What saving is worth is the accuracy itself,
        so it is chosen again with each better one (Dinkelbach's method), until nothing becomes better.
        """
        rows = (*self._rest.golden, *self._rest.found)
        filled = sum(len(row.cells) - row.cells.count(None) for row in rows)
        base = _Weight(
            self._equal_cells + sum(self._weight(*pair).right for pair in settled),
            self._equal_cells + filled - sum(self._weight(*pair).shared for pair in settled),
        )
        right, cells = 0, 1
        best: list[tuple[int, int]] = []
        while True:
            chosen = [
                pair
                for here, there in contested
                for pair in self._best_of_group(here, there, right, cells)
            ]
            now_right = base.right + sum(self._weight(*pair).right for pair in chosen)
            now_cells = base.shared - sum(self._weight(*pair).shared for pair in chosen)
            if best and now_right * cells <= right * now_cells:
                return best
            best, right, cells = chosen, now_right, now_cells

    def _best_of_group(
        self, here: list[int], there: list[int], right: int, cells: int
    ) -> list[tuple[int, int]]:
        """The pairs of one group, where a saved cell is worth ``right / cells`` of a right one."""

        def worth(i: int, j: int) -> int:
            weight = self._weight(i, j)
            return weight.right * cells + weight.shared * right

        if len(here) <= len(there):
            columns = assign([[worth(i, j) for j in there] for i in here])
            return [(i, there[column]) for i, column in zip(here, columns, strict=True)]
        columns = assign([[worth(i, j) for i in here] for j in there])
        return [(here[column], j) for j, column in zip(there, columns, strict=True)]

    def _weight(self, i: int, j: int) -> _Weight:
        known = self._weights.get((i, j))
        if known is None:
            rules = self._rest.rules
            both = [
                is_right(rule, one, other)
                for rule, one, other in zip(
                    rules, self._rest.golden[i].cells, self._rest.found[j].cells, strict=True
                )
                if one is not None and other is not None
            ]
            known = self._weights[i, j] = _Weight(sum(both), len(both))
        return known
