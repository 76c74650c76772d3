"""Pairs golden and extracted records that differ in some field: by key first, then by similarity."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from operator import itemgetter
from typing import NamedTuple, TypeAlias

from rapidfuzz.distance import Indel

from pytest_deploygate.checks.measures import FieldRule, Measure, is_right

_MOST_PAIRS_OF_A_KEY = 400
"""Records with the same key are all compared up to this number of pairs; beyond it only if they share a rare value."""
_MOST_CANDIDATES = 24
"""How many extracted records a golden record is compared with by similarity; those with the rarest values first."""
_LARGEST_BLOCK = 48
"""A value that more records share is no evidence that two of them belong together."""
_LEAST_KEY_SIMILARITY = 0.6
_TELLING = (Measure.TEXT, Measure.EXACT)
"""Measures that identify a record without its key; an equal number does not identify one."""


Cells: TypeAlias = tuple[str | None, ...]
"""Canonical cells of one record in the order of the rules."""


class Row(NamedTuple):
    """Canonical cells of one record, and its line in its list, counted from 1."""

    line: int
    cells: Cells


def pair_rest(
    golden: list[Row],
    found: list[Row],
    rules: tuple[FieldRule, ...],
    namesakes: Callable[[Iterable[Row]], Mapping[Cells, list[Cells]]],
) -> tuple[list[tuple[Row, Row]], list[Row], list[Row]]:
    """Return pairs (golden, extracted), golden records without partner, extracted records without partner.

    ``namesakes`` returns the golden records by key, including paired ones, for the keys of the given rows. It is called
    with all extracted records that an equal key and one more equal field did not pair.
    """
    if not golden or not found:
        namesakes(found)
        return [], golden, found
    work = _Pairing(golden, found, rules)
    work.take(work.pairs_with_same_key(least_equal=1))
    work.namesakes = namesakes(work.found)
    work.take(work.pairs_with_unique_rest())
    work.take(work.similar_pairs())
    work.take(work.pairs_with_same_key(least_equal=0))
    work.take(work.pairs_with_same_key_in_order())
    return work.pairs, work.golden, work.found


class _Pairing:
    """The remaining rows of both lists, in an order that depends only on their contents."""

    def __init__(self, golden: list[Row], found: list[Row], rules: tuple[FieldRule, ...]) -> None:
        self.golden = _sort_by_content(golden)
        self.found = _sort_by_content(found)
        self.rules = rules
        self.key_places = tuple(i for i, rule in enumerate(rules) if rule.is_key)
        self.other_places = tuple(i for i, rule in enumerate(rules) if not rule.is_key)
        self.key_of, self.rest_of = cells_at(self.key_places), cells_at(self.other_places)
        self.has_texts = any(rules[p].measure in _TELLING for p in self.other_places)
        self.pairs: list[tuple[Row, Row]] = []
        self.namesakes: Mapping[Cells, list[Cells]] = {}

    def take(self, scored: Iterable[tuple[float, float, int, int]]) -> None:
        """Accept pairs (equal fields, similarity, golden position, extracted position), the best first."""
        here: set[int] = set()
        there: set[int] = set()
        for _, _, i, j in sorted(scored, key=lambda s: (-s[0], -s[1], s[2], s[3])):
            if i not in here and j not in there:
                here.add(i)
                there.add(j)
                self.pairs.append((self.golden[i], self.found[j]))
        self.golden = [row for i, row in enumerate(self.golden) if i not in here]
        self.found = [row for j, row in enumerate(self.found) if j not in there]

    def pairs_with_same_key(self, *, least_equal: int) -> Iterator[tuple[float, float, int, int]]:
        """Pairs with the same key and at least ``least_equal`` more equal fields."""
        for here, there in self._key_groups():
            if len(here) * len(there) > _MOST_PAIRS_OF_A_KEY:
                continue
            for i in here:
                for j in there:
                    equal = self._equal_fields(i, j)
                    if equal >= least_equal:
                        yield equal, 0.0, i, j

    def pairs_with_same_key_in_order(self) -> Iterator[tuple[float, float, int, int]]:
        """The remaining pairs with the same key, in the order of contents."""
        for here, there in self._key_groups():
            for i, j in zip(here, there, strict=False):
                yield 0, 0.0, i, j

    def pairs_with_unique_rest(self) -> Iterator[tuple[float, float, int, int]]:
        """Pairs that are equal in all fields but the key, if no other record on either side has these values.

        :meth:`similar_pairs` would rank them first too; finding them here saves comparisons for a misread key.
        """
        here, there = self._group_by_rest(self.golden), self._group_by_rest(self.found)
        equal = len(self.other_places)
        for rest, (i, *more) in here.items():
            j, *others = there.get(rest, (-1,))
            if j < 0 or more or others or equal <= self._equal_to_its_own(j):
                continue
            if self.has_texts or self._key_similarity(i, j) >= _LEAST_KEY_SIMILARITY:
                yield equal, 0.0, i, j

    def _group_by_rest(self, rows: list[Row]) -> dict[Cells, list[int]]:
        """Positions by the cells besides the key, for the rows in which none of these is empty."""
        found: dict[Cells, list[int]] = defaultdict(list)
        for place, row in enumerate(rows):
            rest = self.rest_of(row.cells)
            if None not in rest:
                found[rest].append(place)
        return found

    def similar_pairs(self) -> Iterator[tuple[float, float, int, int]]:
        """Pairs with a shared rare value, an equal field besides the key, and similar keys or an equal text."""
        blocks = self._blocks()
        for i, row in enumerate(self.golden):
            shared = (blocks.get(mark, ()) for mark in self._block_keys(row))
            ranked = sorted((b for b in shared if 0 < len(b) <= _LARGEST_BLOCK), key=len)
            for j in islice(_distinct_places(ranked), _MOST_CANDIDATES):
                equal = self._equal_fields(i, j)
                if self._is_like(i, j, equal):
                    yield equal, self._key_similarity(i, j), i, j
                if equal == len(self.other_places):
                    break  # no other record can match better

    def _key_groups(self) -> list[tuple[list[int], list[int]]]:
        there: dict[Cells, list[int]] = defaultdict(list)
        for j, row in enumerate(self.found):
            there[self.key_of(row.cells)].append(j)
        here: dict[Cells, list[int]] = defaultdict(list)
        for i, row in enumerate(self.golden):
            if (key := self.key_of(row.cells)) in there:
                here[key].append(i)
        return [
            (group, there[key]) for key, group in here.items() if any(k is not None for k in key)
        ]

    def _blocks(self) -> dict[tuple[object, ...], list[int]]:
        blocks: dict[tuple[object, ...], list[int]] = defaultdict(list)
        for j, row in enumerate(self.found):
            for mark in self._block_keys(row):
                blocks[mark].append(j)
        return blocks

    def _block_keys(self, row: Row) -> Iterator[tuple[object, ...]]:
        """Values that a record may share with its partner: other fields, all numbers together, words of its texts."""
        numbers = []
        for place in self.other_places:
            cell = row.cells[place]
            measure = self.rules[place].measure
            if cell is None:
                continue
            if measure is Measure.TEXT:
                yield from ((place, word) for word in dict.fromkeys(cell.casefold().split()))
            else:
                yield place, cell
            if measure in (Measure.CENTS, Measure.NUMBER):
                numbers.append(cell)
        if len(numbers) > 1:
            yield ("numbers", *numbers)

    def _equal_fields(self, i: int, j: int) -> int:
        """Number of non-empty fields besides the key that agree."""
        return self._count_equal_cells(self.golden[i].cells, self.found[j].cells)

    def _count_equal_cells(self, one: Cells, other: Cells) -> int:
        equal = 0
        for place in self.other_places:
            cell = one[place]
            if cell is not None and (
                cell == other[place] or is_right(self.rules[place], cell, other[place])
            ):
                equal += 1
        return equal

    def _equal_to_its_own(self, j: int) -> int:
        """Most equal fields of an extracted record with a golden record of its key, so that a copy stays its copy."""
        other = self.found[j]
        own = self.namesakes.get(self.key_of(other.cells), ())
        return max((self._count_equal_cells(cells, other.cells) for cells in own), default=0)

    def _is_like(self, i: int, j: int, equal: int) -> bool:
        """Whether two records with ``equal`` equal fields may belong together although their keys differ."""
        return equal > self._equal_to_its_own(j) and (
            self._key_similarity(i, j) >= _LEAST_KEY_SIMILARITY or self._is_identified_by_text(i, j)
        )

    def _key_similarity(self, i: int, j: int) -> float:
        one, other = self.golden[i], self.found[j]
        return min(
            Indel.normalized_similarity(one.cells[p] or "", other.cells[p] or "")
            for p in self.key_places
        )

    def _is_identified_by_text(self, i: int, j: int) -> bool:
        """Whether a field besides the key agrees that identifies a record."""
        one, other = self.golden[i], self.found[j]
        return any(
            self.rules[p].measure in _TELLING
            and one.cells[p] is not None
            and is_right(self.rules[p], one.cells[p], other.cells[p])
            for p in self.other_places
        )


def _distinct_places(blocks: list[list[int]]) -> Iterator[int]:
    seen: set[int] = set()
    for block in blocks:
        for place in block:
            if place not in seen:
                seen.add(place)
                yield place


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
