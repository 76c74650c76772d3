"""Lays golden and extracted records beside each other: the equal ones at once, the others by :mod:`.pairing`.

Nearly all records of a good extraction are equal as they came, and a dictionary of keys finds those; only the rest is
brought into canonical form, and only what is then still different is compared field by field.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import TypeVar

from pytest_deploygate.checks.measures import FieldRule, canonical_column
from pytest_deploygate.checks.pairing import Cells, Row, pair_rest

_Raw = tuple[object, ...]
_T = TypeVar("_T", bound=_Raw)


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
    raw_truth, raw_found = _raw(golden, rules), _raw(extracted, rules)
    key = next((place for place, rule in enumerate(rules) if rule.is_key), 0)
    equal, golden_left, found_left = _take_equal(raw_truth, raw_found, key)
    rest = _canonical(
        [*(raw_truth[i] for i in golden_left), *(raw_found[i] for i in found_left)], rules
    )
    truth, found = rest[: len(golden_left)], rest[len(golden_left) :]
    alike, golden_rest, found_rest = _take_equal(truth, found, key)
    rows = [Row(line=found_left[i] + 1, cells=found[i]) for i in found_rest]
    namesakes = _namesakes(raw_truth, rows, rules)
    pairs, missing, extra = pair_rest(
        [Row(line=golden_left[i] + 1, cells=truth[i]) for i in golden_rest], rows, rules, namesakes
    )
    return Alignment(
        equal_cells=tuple(
            one + other
            for one, other in zip(_filled(equal, rules), _filled(alike, rules), strict=True)
        ),
        pairs=pairs,
        missing=missing,
        extra=extra,
        copied=frozenset(namesakes),
    )


def _raw(records: Sequence[Mapping[str, object]], rules: tuple[FieldRule, ...]) -> list[_Raw]:
    """Values in the order of the rules, absent ones None."""
    names = [rule.name for rule in rules]
    try:
        if len(names) > 1:
            return list(map(itemgetter(*names), records))
    except KeyError:
        pass
    return [tuple([record.get(name) for name in names]) for record in records]


def _canonical(rows: Sequence[_Raw], rules: tuple[FieldRule, ...]) -> list[Cells]:
    columns = zip(*rows, strict=True)
    return list(
        zip(
            *(canonical_column(c, rule.measure) for c, rule in zip(columns, rules, strict=False)),
            strict=True,
        )
    )


def _filled(rows: Sequence[_Raw], rules: tuple[FieldRule, ...]) -> list[int]:
    """For each field, in how many rows it holds something; raw values are counted as canonical ones would be."""
    if not rows:
        return [0] * len(rules)
    return [len(column) - _blanks(column) for column in zip(*rows, strict=True)]


def _blanks(column: Sequence[object]) -> int:
    texts = column
    if set(map(type, column)) != {str}:
        texts = [value for value in column if isinstance(value, str)]
    return column.count(None) + texts.count("") + sum(map(str.isspace, texts))  # type: ignore[arg-type]  # all are str


def _take_equal(
    truth: list[_T], found: list[_T], key: int
) -> tuple[list[_T], list[int], list[int]]:
    """Rows that are in both lists (as often as in both), and the places of all others in each list.

    ``key`` is a column whose values usually occur once: then two rows are compared only where they have it in common.
    """
    key_of = itemgetter(key)
    places = dict(zip(map(key_of, truth), range(len(truth)), strict=True))
    if len(places) == len(truth):
        partners = map(places.get, map(key_of, found))
        pairs = [
            i if i is not None and truth[i] == row else -1
            for i, row in zip(partners, found, strict=True)
        ]
        equal = [row for i, row in zip(pairs, found, strict=True) if i >= 0]
        taken = set(pairs) - {-1}
        if len(taken) == len(equal):  # else a record was copied
            return (
                equal,
                [i for i in range(len(truth)) if i not in taken],
                [j for j, i in enumerate(pairs) if i < 0],
            )
    shared = Counter(truth) & Counter(found)
    return list(shared.elements()), _without(truth, shared), _without(found, shared)


def _without(rows: Iterable[_T], taken: Counter[_T]) -> list[int]:
    left = dict(taken)
    rest = []
    for place, row in enumerate(rows):
        if left.get(row):
            left[row] -= 1
        else:
            rest.append(place)
    return rest


def _namesakes(
    truth: Sequence[_Raw], found: Sequence[Row], rules: tuple[FieldRule, ...]
) -> dict[Cells, list[Cells]]:
    """For each key among ``found`` that golden records have: those golden records."""
    places = [place for place, rule in enumerate(rules) if rule.is_key]
    wanted = {tuple([row.cells[place] for place in places]) for row in found}
    if not wanted or not truth:
        return {}
    columns = (
        canonical_column([row[place] for row in truth], rules[place].measure) for place in places
    )
    keys = list(zip(*columns, strict=True))
    chosen = [i for i, key in enumerate(keys) if key in wanted]
    known: dict[Cells, list[Cells]] = defaultdict(list)
    for i, cells in zip(chosen, _canonical([truth[i] for i in chosen], rules), strict=True):
        known[keys[i]].append(cells)
    return dict(known)
