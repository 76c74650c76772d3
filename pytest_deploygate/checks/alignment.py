"""Aligns golden and extracted records: equal ones at once, the others with :mod:`.pairing`.

In a good extraction nearly all raw records are equal. These are found column by column, without an object per record.
Only the rest is converted to canonical form, and only records that still differ are compared field by field.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from functools import partial
from itertools import compress, repeat
from operator import itemgetter, ne
from typing import TypeAlias

from pytest_deploygate.checks.measures import FieldRule, canonical_column
from pytest_deploygate.checks.pairing import pair_rest
from pytest_deploygate.checks.remaining_records import Cells, Row, cells_at

_Column: TypeAlias = Sequence[object]
_Columns: TypeAlias = Sequence[_Column]
"""A list of records as columns: one list per rule, all of the same length."""
_Canonical: TypeAlias = Sequence[Sequence[str | None]]
_Places: TypeAlias = Sequence[int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Alignment:
    """Result of an alignment: records that are equal in every field are counted, the others are kept."""

    equal_cells: tuple[int, ...]
    """Non-empty cells of golden records with an equal partner, for each rule."""
    pairs: list[tuple[Row, Row]]
    """Pairs of golden and extracted record that differ in form or content."""
    missing: list[Row]
    extra: list[Row]
    """Extracted records without a golden one, including copies."""
    copied: frozenset[Cells]
    """Keys of ``extra`` that golden records have too."""


def align(
    golden: Sequence[Mapping[str, object]],
    extracted: Sequence[Mapping[str, object]],
    rules: tuple[FieldRule, ...],
) -> Alignment:
    """Align by ``rules``; line numbers count from 1 in the given order."""
    raw_truth = [_column(golden, rule.name) for rule in rules]
    raw_found = [_column(extracted, rule.name) for rule in rules]
    key = next((place for place, rule in enumerate(rules) if rule.is_key), 0)
    golden_left, found_left = _take_equal(raw_truth, raw_found, key)
    truth, found = _canonical_rest(raw_truth, golden_left, raw_found, found_left, rules)
    golden_rest, found_rest = _take_equal(truth, found, key)
    equal_cells = tuple(
        _count_filled(raw, golden_left) + _count_filled(rest, golden_rest)
        for raw, rest in zip(raw_truth, truth, strict=True)
    )
    missing = _rows(truth, golden_rest, golden_left)
    paired = pair_rest(
        missing,
        _rows(found, found_rest, found_left),
        rules,
        partial(_find_paired, raw_truth, rules, {row.line - 1 for row in missing}),
        sum(equal_cells),
    )
    return Alignment(
        equal_cells=equal_cells,
        pairs=paired.pairs,
        missing=paired.missing,
        extra=paired.extra,
        copied=paired.copied,
    )


def _column(records: Sequence[Mapping[str, object]], name: str) -> list[object]:
    """The values of one field; None for a missing one."""
    try:
        return list(map(itemgetter(name), records))
    except KeyError:
        return [record.get(name) for record in records]


def _pick(column: _Column, places: _Places) -> list[object]:
    if len(places) < 2:
        return [column[place] for place in places]
    return list(itemgetter(*places)(column))


def _canonical_rest(
    truth: _Columns,
    golden_left: _Places,
    found: _Columns,
    found_left: _Places,
    rules: tuple[FieldRule, ...],
) -> tuple[_Canonical, _Canonical]:
    """The remaining rows of both lists, in canonical form."""
    both = [
        canonical_column([*_pick(here, golden_left), *_pick(there, found_left)], rule.measure)
        for here, there, rule in zip(truth, found, rules, strict=True)
    ]
    count = len(golden_left)
    return [column[:count] for column in both], [column[count:] for column in both]


def _rows(columns: _Canonical, rest: _Places, lines: _Places) -> list[Row]:
    """Rows of canonical columns; ``lines`` are the positions of the columns' cells in the whole list."""
    cells = zip(*(map(column.__getitem__, rest) for column in columns), strict=True)
    return [Row(line=lines[i] + 1, cells=row) for i, row in zip(rest, cells, strict=True)]


def _count_filled(column: _Column, left: _Places) -> int:
    """Number of rows with a non-empty cell in the column, without the rows in ``left``."""
    return len(column) - _count_blanks(column) - len(left) + _count_blanks(_pick(column, left))


def _count_blanks(column: _Column) -> int:
    """Number of empty values; raw values count like canonical ones."""
    try:
        if all(map(str.strip, column)):  # type: ignore[arg-type]  # a value that is not a str raises
            return 0
    except TypeError:
        if set(map(type, column)) <= {int, float}:
            return 0
    return sum(value is None or (isinstance(value, str) and not value.strip()) for value in column)


def _take_equal(truth: _Columns, found: _Columns, key: int) -> tuple[_Places, _Places]:
    """Positions in both lists of the rows that remain after equal rows are removed, as often as both lists have them.

    The values of the column ``key`` usually occur once: then only rows with the same key are compared.
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
        for j in alone:  # rows without partner must not make the columns differ
            golden[j] = other[j]
        if golden != other:
            unequal.update(compress(range(len(partners)), map(ne, golden, other)))
    here = [i for j, i in enumerate(partners) if j not in unequal] if unequal else partners
    taken = set(here)
    if len(taken) < len(here):  # a record has a copy
        return _take_equal_rows(truth, found)
    left = [i for i in range(count) if i not in taken] if len(taken) < count else []
    return left, sorted(unequal)


def _take_equal_rows(truth: _Columns, found: _Columns) -> tuple[_Places, _Places]:
    """Like :func:`_take_equal`, for keys that occur more than once."""
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


def _find_paired(
    truth: _Columns,
    rules: tuple[FieldRule, ...],
    left: AbstractSet[int],
    places: tuple[int, ...],
    wanted: AbstractSet[Cells],
) -> dict[Cells, list[Cells]]:
    """Golden records, without those that are ``left``, by their cells at ``places``, where these are ``wanted``."""
    chosen: Sequence[int] = range(len(truth[0]))
    for number, place in enumerate(places):
        values = {cells[number] for cells in wanted}
        column = _pick(truth[place], chosen) if number else truth[place]
        is_wanted = map(values.__contains__, canonical_column(column, rules[place].measure))
        chosen = [i for i in compress(chosen, is_wanted) if i not in left]
        if not chosen:
            return {}
    columns = [
        canonical_column(_pick(column, chosen), rule.measure)
        for column, rule in zip(truth, rules, strict=True)
    ]
    found: dict[Cells, list[Cells]] = defaultdict(list)
    cells_of = cells_at(places)
    for cells in zip(*columns, strict=True):
        if (here := cells_of(cells)) in wanted:
            found[here].append(cells)
    return dict(found)
