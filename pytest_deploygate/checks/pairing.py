"""Pairs the golden and extracted records that are not equal in every field: keys first, then similarity."""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import TypeAlias

from rapidfuzz.distance import Indel

from pytest_deploygate.checks.measures import FieldRule, Measure, is_right

_MOST_PAIRS_OF_A_KEY = 400
"""Records with one key are compared each with each up to here; beyond it only where they share a rare value."""
_MOST_CANDIDATES = 24
"""Extracted records that a golden record is compared with by similarity, those with the rarest shared values first."""
_LARGEST_BLOCK = 48
"""A value that more records share than this tells nothing about which belong together."""
_LEAST_KEY_SIMILARITY = 0.6


Cells: TypeAlias = tuple[str | None, ...]
"""Canonical cells of one record in the order of the rules."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """Canonical cells of one record, and its place in the list it came from, counted from 1."""

    line: int
    cells: Cells


def pair_rest(
    golden: list[Row],
    found: list[Row],
    rules: tuple[FieldRule, ...],
    namesakes: Mapping[Cells, list[Cells]],
) -> tuple[list[tuple[Row, Row]], list[Row], list[Row]]:
    """Pairs (golden, extracted), golden records without partner, extracted records without partner.

    ``namesakes`` are the golden records by key, also those that are paired already, for all keys in ``found``.
    """
    if not golden or not found:
        return [], golden, found
    work = _Pairing(golden, found, rules, namesakes)
    work.take(work.same_key(least_equal=1))
    work.take(work.similar())
    work.take(work.same_key(least_equal=0))
    work.take_same_key_in_order()
    return (
        work.pairs,
        [golden_row for golden_row in work.golden if golden_row is not None],
        [found_row for found_row in work.found if found_row is not None],
    )


class _Pairing:
    """Both lists with what is taken replaced by None, in an order that depends on the records' contents only."""

    def __init__(
        self,
        golden: list[Row],
        found: list[Row],
        rules: tuple[FieldRule, ...],
        namesakes: Mapping[Cells, list[Cells]],
    ) -> None:
        self.golden: list[Row | None] = [*sorted(golden, key=_content)]
        self.found: list[Row | None] = [*sorted(found, key=_content)]
        self.rules = rules
        self.key_places = tuple(i for i, rule in enumerate(rules) if rule.is_key)
        self.other_places = tuple(i for i, rule in enumerate(rules) if not rule.is_key)
        self.pairs: list[tuple[Row, Row]] = []
        self.namesakes = namesakes

    def take(self, scored: Iterator[tuple[float, float, int, int]]) -> None:
        """Take pairs (equal fields, similarity, golden place, extracted place), the best first."""
        for _, _, here, there in sorted(scored, key=lambda s: (-s[0], -s[1], s[2], s[3])):
            self._take(here, there)

    def _take(self, here: int, there: int) -> None:
        one, other = self.golden[here], self.found[there]
        if one is not None and other is not None:
            self.pairs.append((one, other))
            self.golden[here] = self.found[there] = None

    def same_key(self, *, least_equal: int) -> Iterator[tuple[float, float, int, int]]:
        """Pairs with one key and at least ``least_equal`` more equal fields."""
        for here, there in self._key_groups():
            if len(here) * len(there) > _MOST_PAIRS_OF_A_KEY:
                continue
            for i in here:
                for j in there:
                    equal = self._equal_fields(i, j)
                    if equal >= least_equal:
                        yield equal, 0.0, i, j

    def take_same_key_in_order(self) -> None:
        """Whatever has one key and is still left, in the order of contents."""
        for here, there in self._key_groups():
            for i, j in zip(here, there, strict=False):
                self._take(i, j)

    def similar(self) -> Iterator[tuple[float, float, int, int]]:
        """Pairs that share a rare value, have one equal field besides the key, and similar keys or an equal text."""
        blocks = self._blocks()
        for i, row in enumerate(self.golden):
            if row is None:
                continue
            shared = (blocks.get(mark, ()) for mark in self._marks(row))
            ranked = sorted((b for b in shared if 0 < len(b) <= _LARGEST_BLOCK), key=len)
            for j in islice(_distinct(ranked), _MOST_CANDIDATES):
                equal = self._equal_fields(i, j)
                likeness = self._key_similarity(i, j) if equal else 0.0
                is_like = likeness >= _LEAST_KEY_SIMILARITY or self._is_told_by_text(i, j)
                if equal > self._equal_to_its_own(j) and is_like:
                    yield equal, likeness, i, j
                if equal == len(self.other_places):
                    break  # no other record can be more like it

    def _key_groups(self) -> list[tuple[list[int], list[int]]]:
        there: dict[Cells, list[int]] = defaultdict(list)
        for j, row in enumerate(self.found):
            if row is not None:
                there[self._key(row)].append(j)
        here: dict[Cells, list[int]] = defaultdict(list)
        for i, row in enumerate(self.golden):
            if row is not None and self._key(row) in there:
                here[self._key(row)].append(i)
        return [
            (group, there[key]) for key, group in here.items() if any(k is not None for k in key)
        ]

    def _blocks(self) -> dict[tuple[object, ...], list[int]]:
        blocks: dict[tuple[object, ...], list[int]] = defaultdict(list)
        for j, row in enumerate(self.found):
            if row is not None:
                for mark in self._marks(row):
                    blocks[mark].append(j)
        return blocks

    def _marks(self, row: Row) -> Iterator[tuple[object, ...]]:
        """What a record may share with its partner: each other field, all numbers together, the words of its texts."""
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

    def _key(self, row: Row) -> Cells:
        return tuple([row.cells[place] for place in self.key_places])

    def _pair(self, i: int, j: int) -> tuple[Row, Row]:
        one, other = self.golden[i], self.found[j]
        assert one is not None
        assert other is not None
        return one, other

    def _equal_fields(self, i: int, j: int) -> int:
        """Fields besides the key that hold something and agree."""
        one, other = self._pair(i, j)
        return self._agreeing(one.cells, other.cells)

    def _agreeing(self, one: Cells, other: Cells) -> int:
        equal = 0
        for place in self.other_places:
            cell = one[place]
            if cell is not None and (
                cell == other[place] or is_right(self.rules[place], cell, other[place])
            ):
                equal += 1
        return equal

    def _equal_to_its_own(self, j: int) -> int:
        """Equal fields of an extracted record and the golden one whose key it bears: a copy is of that, of no other."""
        other = self.found[j]
        assert other is not None
        return max(
            (
                self._agreeing(cells, other.cells)
                for cells in self.namesakes.get(self._key(other), ())
            ),
            default=0,
        )

    def _key_similarity(self, i: int, j: int) -> float:
        one, other = self._pair(i, j)
        return min(
            Indel.normalized_similarity(one.cells[p] or "", other.cells[p] or "")
            for p in self.key_places
        )

    def _is_told_by_text(self, i: int, j: int) -> bool:
        """Whether a text or exact field besides the key agrees: a number alone proves nothing about unlike keys."""
        one, other = self._pair(i, j)
        return any(
            self.rules[p].measure in (Measure.TEXT, Measure.EXACT)
            and one.cells[p] is not None
            and is_right(self.rules[p], one.cells[p], other.cells[p])
            for p in self.other_places
        )


def _distinct(blocks: list[list[int]]) -> Iterator[int]:
    seen: set[int] = set()
    for block in blocks:
        for place in block:
            if place not in seen:
                seen.add(place)
                yield place


def _content(row: Row) -> tuple[str, ...]:
    return tuple([cell or "" for cell in row.cells])
