"""Finds the golden record that an extracted record with a misread key is, by what else is equal."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from itertools import islice
from typing import NamedTuple, TypeAlias

from pytest_deploygate.checks.measures import Measure
from pytest_deploygate.checks.remaining_records import TELLING, Cells, RemainingRecords

_MOST_CANDIDATES = 24
"""How many extracted records a golden record is compared with by similarity; those with the rarest values first."""
_LARGEST_BLOCK = 48
"""A value that more records share is no evidence that two of them belong together."""
_MOST_RIVALS = 400
"""A record with values that more golden records have is not told by its values."""

FindPaired: TypeAlias = Callable[[tuple[int, ...], AbstractSet[Cells]], Mapping[Cells, list[Cells]]]
"""Returns the golden records with an equal partner, by their cells at the given places, that have one of the wanted."""


class KeyMatch(NamedTuple):
    """What an extracted record may be, although its key differs; the greatest is the best."""

    equal: int
    key_similarity: float
    """0 unless the keys are similar."""
    order: int
    """The negative position of the golden record."""

    @property
    def golden(self) -> int:
        """Position of the golden record."""
        return -self.order


def find_misread_keys(
    rest: RemainingRecords, places: list[int], settled: set[int]
) -> dict[int, KeyMatch]:
    """The golden record that each of the extracted records at ``places`` is most like, by its position.

    The golden records that are ``settled`` are left out: others have them already.
    """
    search = _Search(rest, places, settled)
    if places:
        search.claim_equal_rest()
        search.claim_similar()
    return search.best


class _Search:
    """The best golden record for each extracted one so far."""

    def __init__(self, rest: RemainingRecords, places: list[int], settled: set[int]) -> None:
        self._rest = rest
        self._places = places
        self._settled = settled
        self.best: dict[int, KeyMatch] = {}

    def claim_equal_rest(self) -> None:
        """Claim the golden records that are equal in all fields but the key.

        The search by similarity would find them, too; finding them here saves comparisons.
        """
        rest = self._rest
        here: dict[Cells, list[int]] = defaultdict(list)
        for i, row in enumerate(rest.golden):
            if i not in self._settled:
                here[rest.rest_of(row.cells)].append(i)
        has_text = any(rest.rules[place].measure in TELLING for place in rest.other_places)
        for j in self._places:
            other = rest.found[j].cells
            values = rest.rest_of(other)
            alike = [] if None in values else here.get(values, [])
            if len(alike) == 1:
                similarity = rest.key_similarity(rest.golden[alike[0]].cells, other)
                if has_text or similarity:
                    self.best[j] = KeyMatch(len(values), similarity, -alike[0])

    def claim_similar(self) -> None:
        """Claim by a shared rare value, an equal field besides the key, and similar keys or an equal text."""
        rest = self._rest
        blocks: dict[tuple[object, ...], list[int]] = defaultdict(list)
        for j in self._places:
            if j not in self.best:
                for mark in self._marks(rest.found[j].cells):
                    blocks[mark].append(j)
        if not blocks:
            return
        settled = self._settled.union(claim.golden for claim in self.best.values())
        for i, row in enumerate(rest.golden):
            if i in settled:
                continue
            shared = (blocks.get(mark, ()) for mark in self._marks(row.cells))
            ranked = sorted((b for b in shared if 0 < len(b) <= _LARGEST_BLOCK), key=len)
            for j in islice(_distinct_places(ranked), _MOST_CANDIDATES):
                self._consider(i, j)

    def _consider(self, i: int, j: int) -> None:
        """Keep golden record ``i`` as the claim of ``j`` if it is better than the one so far."""
        rest = self._rest
        one, other = rest.golden[i].cells, rest.found[j].cells
        equal = rest.count_equal(one, other)
        best = self.best.get(j)
        if not equal or (best is not None and equal < best.equal):
            return
        claim = KeyMatch(equal, rest.key_similarity(one, other), -i)
        is_like = claim.key_similarity or rest.is_identified_by_text(one, other)
        if is_like and (best is None or claim > best):
            self.best[j] = claim

    def _marks(self, cells: Cells) -> Iterator[tuple[object, ...]]:
        """Values that a record may share with its partner: other fields, all numbers together, words of its texts."""
        rest = self._rest
        numbers = []
        for place in rest.other_places:
            cell = cells[place]
            measure = rest.rules[place].measure
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


def drop_ambiguous_claims(
    rest: RemainingRecords, claims: dict[int, KeyMatch], find_paired: FindPaired
) -> None:
    """Remove the claims of records that are as much like another golden record, which may be paired already.

    A copy of a record whose key was misread has at least as many cells of that record as of any other.
    """
    order = sorted(rest.other_places, key=lambda p: rest.rules[p].measure not in TELLING)
    looked_at: dict[int, list[int]] = {}
    wanted: dict[int, set[Cells]] = defaultdict(set)
    for j, claim in claims.items():
        cells = rest.found[j].cells
        filled = [place for place in order if cells[place] is not None]
        # Who shares as many cells shares one at least of these.
        looked_at[j] = filled[: len(filled) - claim.equal + 1]
        for place in looked_at[j]:
            wanted[place].add((cells[place],))
    having = {
        place: _find_by_cell(rest, place, values, find_paired((place,), values))
        for place, values in wanted.items()
    }
    for j, places in looked_at.items():
        cells = rest.found[j].cells
        rivals = (having[place].get((cells[place],), ()) for place in places)
        if _is_ambiguous(rest, cells, claims[j], rivals):
            del claims[j]


def _find_by_cell(
    rest: RemainingRecords, place: int, wanted: set[Cells], paired: Mapping[Cells, list[Cells]]
) -> Mapping[Cells, list[Cells]]:
    """All golden records by their cell at ``place``, where it is a wanted one."""
    found = defaultdict(list, paired)
    for row in rest.golden:
        if (cell := (row.cells[place],)) in wanted:
            found[cell].append(row.cells)
    return found


def _is_ambiguous(
    rest: RemainingRecords, cells: Cells, claim: KeyMatch, rivals: Iterable[Iterable[Cells]]
) -> bool:
    chosen = rest.golden[claim.golden].cells
    key = rest.key_of(chosen)
    has_key = any(cell is not None for cell in key)
    count = 0
    for others in rivals:
        for other in others:
            if rest.key_of(other) == key if has_key else other == chosen:
                continue
            count += 1
            same = sum(cells[p] is not None and cells[p] == other[p] for p in rest.other_places)
            if (
                count > _MOST_RIVALS
                or same > claim.equal
                or (
                    same == claim.equal
                    and claim.key_similarity <= rest.key_similarity(other, cells)
                )
            ):
                return True
    return False


def _distinct_places(blocks: list[list[int]]) -> Iterator[int]:
    seen: set[int] = set()
    for block in blocks:
        for place in block:
            if place not in seen:
                seen.add(place)
                yield place
