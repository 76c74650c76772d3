"""Lays golden and extracted records beside each other: the equal ones at once, the others by :mod:`.pairing`.

Nearly all records of a good extraction are equal as they came. Those are found column by column, without a new object
for each record; only the rest is brought into canonical form, and only what is then still different is compared field
by field.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import compress, repeat
from operator import itemgetter, ne
from typing import TypeAlias

from pytest_deploygate.checks.measures import FieldRule, canonical_column
from pytest_deploygate.checks.pairing import Cells, Row, pair_rest

_Column: TypeAlias = Sequence[object]
_Columns: TypeAlias = Sequence[_Column]
"""What a list of records holds: one column (a list) for each rule, all of one length."""
_Canonical: TypeAlias = Sequence[Sequence[str | None]]
_Places: TypeAlias = Sequence[int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Alignment:
    """Who answers to whom. Records that are equal in every field are counted, the others are kept."""

    equal_cells: tuple[int, ...]
    """Cells that hold something in the golden records with an equal partner, for each rule."""
    pairs: list[tuple[Row, Row]]
    """Golden and extracted record that belong together and differ in form or content."""
    missing: list[Row]
    extra: list[Row]
    """Extracted records without a golden one, copies included."""
    copied: frozenset[Cells]
    """Keys of ``extra`` that golden records have."""


def align(
    golden: Sequence[Mapping[str, object]],
    extracted: Sequence[Mapping[str, object]],
    rules: tuple[FieldRule, ...],
) -> Alignment:
    """Align by ``rules``; line numbers count from 1 in the order given."""
    raw_truth = [_column(golden, rule.name) for rule in rules]
    raw_found = [_column(extracted, rule.name) for rule in rules]
    key = next((place for place, rule in enumerate(rules) if rule.is_key), 0)
    golden_left, found_left = _take_equal(raw_truth, raw_found, key)
    truth, found = _canonical_rest(raw_truth, golden_left, raw_found, found_left, rules)
    golden_rest, found_rest = _take_equal(truth, found, key)
    known: dict[Cells, list[Cells]] = {}

    def namesakes(rows: Iterable[Row]) -> Mapping[Cells, list[Cells]]:
        known.update(_namesakes(raw_truth, rows, rules))
        return known

    pairs, missing, extra = pair_rest(
        _rows(truth, golden_rest, golden_left),
        _rows(found, found_rest, found_left),
        rules,
        namesakes,
    )
    return Alignment(
        equal_cells=tuple(
            _count_filled(raw, golden_left) + _count_filled(rest, golden_rest)
            for raw, rest in zip(raw_truth, truth, strict=True)
        ),
        pairs=pairs,
        missing=missing,
        extra=extra,
        copied=frozenset(known),
    )


def _column(records: Sequence[Mapping[str, object]], name: str) -> list[object]:
    """The values of one field, absent ones None."""
    try:
        return list(map(itemgetter(name), records))
    except KeyError:
        return [record.get(name) for record in records]


def _pick(column: _Column, places: Iterable[int]) -> list[object]:
    return list(map(column.__getitem__, places))


def _canonical_rest(
    truth: _Columns,
    golden_left: _Places,
    found: _Columns,
    found_left: _Places,
    rules: tuple[FieldRule, ...],
) -> tuple[_Canonical, _Canonical]:
    """The rows that are left in either list, in canonical form."""
    both = [
        canonical_column([*_pick(here, golden_left), *_pick(there, found_left)], rule.measure)
        for here, there, rule in zip(truth, found, rules, strict=True)
    ]
    count = len(golden_left)
    return [column[:count] for column in both], [column[count:] for column in both]


def _rows(columns: _Canonical, rest: _Places, lines: _Places) -> list[Row]:
    """Rows of canonical columns; ``lines`` are the places in the whole list from which the columns were taken."""
    cells = zip(*(map(column.__getitem__, rest) for column in columns), strict=True)
    return [Row(line=lines[i] + 1, cells=row) for i, row in zip(rest, cells, strict=True)]


def _count_filled(column: _Column, left: _Places) -> int:
    """In how many rows besides those that are ``left`` the column holds something."""
    return len(column) - _count_blanks(column) - len(left) + _count_blanks(_pick(column, left))


def _count_blanks(column: _Column) -> int:
    """How many values are nothing; raw values are counted as canonical ones would be."""
    try:
        if all(map(str.strip, column)):  # type: ignore[arg-type]  # what is no str raises
            return 0
    except TypeError:
        if set(map(type, column)) <= {int, float}:
            return 0
    return sum(value is None or (isinstance(value, str) and not value.strip()) for value in column)


def _take_equal(truth: _Columns, found: _Columns, key: int) -> tuple[_Places, _Places]:
    """Places, in either list, of the rows that are left when equal ones are taken, as often as they are in both.

    ``key`` is a column whose values usually occur once: then two rows are compared only where they have it in common.
    """
    count = len(truth[key])
    if not count:
        return (), range(len(found[key]))
    places = dict(zip(truth[key], range(count), strict=True))
    if len(places) < count:
        return _take_equal_rows(truth, found)
    partners = list(map(places.get, found[key], repeat(-1)))
    alone = [j for j, i in enumerate(partners) if i < 0] if -1 in partners else []
    unequal = set(alone)
    for place, (one, other) in enumerate(zip(truth, found, strict=True)):
        if place == key:
            continue
        golden = _pick(one, partners)
        for j in alone:  # so that whole columns are equal where all partners are
            golden[j] = other[j]
        if golden != other:
            unequal.update(compress(range(len(partners)), map(ne, golden, other)))
    here = [i for j, i in enumerate(partners) if j not in unequal] if unequal else partners
    taken = set(here)
    if len(taken) < len(here):  # a record was copied
        return _take_equal_rows(truth, found)
    left = [i for i in range(count) if i not in taken] if len(taken) < count else []
    return left, sorted(unequal)


def _take_equal_rows(truth: _Columns, found: _Columns) -> tuple[_Places, _Places]:
    """As :func:`_take_equal` has it, where keys occur more than once."""
    here, there = list(zip(*truth, strict=True)), list(zip(*found, strict=True))
    shared = Counter(here) & Counter(there)
    return _remove_taken(here, shared), _remove_taken(there, shared)


def _remove_taken(
    rows: Iterable[tuple[object, ...]], taken: Counter[tuple[object, ...]]
) -> list[int]:
    left = dict(taken)
    rest = []
    for place, row in enumerate(rows):
        if left.get(row):
            left[row] -= 1
        else:
            rest.append(place)
    return rest


def _namesakes(
    truth: _Columns, found: Iterable[Row], rules: tuple[FieldRule, ...]
) -> dict[Cells, list[Cells]]:
    """For each key among ``found`` that golden records have: those golden records."""
    places = [place for place, rule in enumerate(rules) if rule.is_key]
    wanted = {tuple([row.cells[place] for place in places]) for row in found}
    if not wanted:
        return {}
    keys = [canonical_column(truth[place], rules[place].measure) for place in places]
    if {key[0] for key in wanted}.isdisjoint(keys[0]):
        return {}
    chosen = [i for i, key in enumerate(zip(*keys, strict=True)) if key in wanted]
    columns = [
        canonical_column(_pick(column, chosen), rule.measure)
        for column, rule in zip(truth, rules, strict=True)
    ]
    known: dict[Cells, list[Cells]] = defaultdict(list)
    for cells in zip(*columns, strict=True):
        known[tuple([cells[place] for place in places])].append(cells)
    return dict(known)
