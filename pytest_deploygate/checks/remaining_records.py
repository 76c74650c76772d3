"""Golden and extracted records that are left when the equal ones are paired, and how two of them are compared."""

from collections import defaultdict
from collections.abc import Callable
from operator import itemgetter
from typing import NamedTuple, TypeAlias

from rapidfuzz.distance import Indel

from pytest_deploygate.checks.measures import FieldRule, Measure, is_right

TELLING = (Measure.TEXT, Measure.EXACT)
"""Measures that identify a record without its key; an equal number does not identify one."""
_LEAST_KEY_SIMILARITY = 0.6

Cells: TypeAlias = tuple[str | None, ...]
"""Canonical cells of one record in the order of the rules."""


class Row(NamedTuple):
    """Canonical cells of one record, and its line in its list, counted from 1."""

    line: int
    cells: Cells


class RemainingRecords:
    """The remaining rows of both lists, in an order that depends only on their contents, and their comparison."""

    def __init__(self, golden: list[Row], found: list[Row], rules: tuple[FieldRule, ...]) -> None:
        self.golden = _sort_by_content(golden)
        self.found = _sort_by_content(found)
        self.rules = rules
        self.key_places = tuple(i for i, rule in enumerate(rules) if rule.is_key)
        self.other_places = tuple(i for i, rule in enumerate(rules) if not rule.is_key)
        self.key_of, self.rest_of = cells_at(self.key_places), cells_at(self.other_places)
        no_key = (None,) * len(self.key_places)
        keys = map(self.key_of, map(itemgetter(1), self.golden))
        self.group_of = [(*key, str(i)) if key == no_key else key for i, key in enumerate(keys)]
        """Key of each golden record; a record without a key has a group of its own."""
        self.groups: dict[Cells, list[int]] = defaultdict(list)
        for i, key in enumerate(self.group_of):
            self.groups[key].append(i)

    def count_equal(self, one: Cells, other: Cells) -> int:
        """Number of non-empty golden fields besides the key that agree."""
        equal = 0
        for place in self.other_places:
            cell = one[place]
            if cell is not None and (
                cell == other[place] or is_right(self.rules[place], cell, other[place])
            ):
                equal += 1
        return equal

    def count_filled(self, cells: Cells) -> int:
        """Number of non-empty fields besides the key."""
        rest = self.rest_of(cells)
        return len(rest) - rest.count(None)

    def key_similarity(self, one: Cells, other: Cells) -> float:
        """Similarity of two keys, 0..1; 0 if it is too small to say anything."""
        similarity = min(
            Indel.normalized_similarity(one[p] or "", other[p] or "") for p in self.key_places
        )
        return similarity if similarity >= _LEAST_KEY_SIMILARITY else 0.0

    def is_identified_by_text(self, one: Cells, other: Cells) -> bool:
        """Whether a field besides the key agrees that identifies a record."""
        return any(
            self.rules[p].measure in TELLING
            and one[p] is not None
            and is_right(self.rules[p], one[p], other[p])
            for p in self.other_places
        )


def cells_at(places: tuple[int, ...]) -> Callable[[Cells], Cells]:
    """Function that returns the cells at ``places`` as a tuple."""
    if len(places) == 1:
        return itemgetter(slice(places[0], places[0] + 1))
    return itemgetter(*places) if places else lambda _: ()


def _sort_by_content(rows: list[Row]) -> list[Row]:
    try:
        return sorted(rows, key=itemgetter(1))
    except TypeError:  # a text was compared with None
        return sorted(rows, key=lambda row: [cell or "" for cell in row.cells])
