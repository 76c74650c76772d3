"""Pairs golden and extracted records that differ in some field.

Each extracted record claims one key: its own, or that of the golden record which its other fields tell it to be. What
it claims depends on no other extracted record, so a copy claims the same and never stands in for another record. Of
several records that claim the same key, those are taken that raise the overall accuracy most.
"""

from collections import defaultdict
from collections.abc import Mapping
from operator import itemgetter
from typing import NamedTuple

from pytest_deploygate.checks.measures import FieldRule
from pytest_deploygate.checks.misread_keys import (
    FindPaired,
    drop_ambiguous_claims,
    find_misread_keys,
)
from pytest_deploygate.checks.pair_choice import PairChoice
from pytest_deploygate.checks.remaining_records import Cells, RemainingRecords, Row, cells_at

_LARGEST_GROUP = 48
"""A key that more golden records have is not looked at as a misread one."""


class Paired(NamedTuple):
    """Pairs (golden, extracted), records without partner, and the keys of ``extra`` that golden records have."""

    pairs: list[tuple[Row, Row]]
    missing: list[Row]
    extra: list[Row]
    copied: frozenset[Cells]


def pair_rest(
    golden: list[Row],
    found: list[Row],
    rules: tuple[FieldRule, ...],
    find_paired: FindPaired,
    equal_cells: int,
) -> Paired:
    """Pair the records that are left of both lists; ``equal_cells`` is the number of cells of those that are equal."""
    key_places = tuple(i for i, rule in enumerate(rules) if rule.is_key)
    if not golden or not found:
        keys = set(map(cells_at(key_places), map(itemgetter(1), found)))
        return Paired([], golden, found, frozenset(find_paired(key_places, keys)))
    work = RemainingRecords(golden, found, rules)
    claims, known = _claim_keys(work, find_paired)
    chosen = PairChoice(work, claims, equal_cells).pairs()
    here, there = set(map(itemgetter(0), chosen)), set(map(itemgetter(1), chosen))
    extra = [row for j, row in enumerate(work.found) if j not in there]
    return Paired(
        pairs=[(work.golden[i], work.found[j]) for i, j in chosen],
        missing=[row for i, row in enumerate(work.golden) if i not in here],
        extra=extra,
        copied=frozenset(
            key
            for key in map(work.key_of, map(itemgetter(1), extra))
            if key in known or key in work.groups
        ),
    )


def _claim_keys(
    rest: RemainingRecords, find_paired: FindPaired
) -> tuple[dict[Cells, list[int]], Mapping[Cells, list[Cells]]]:
    """Extracted records by the group that each claims; paired golden records by key.

    A record claims its own key, unless more of its cells are right as another golden record, the key included.
    """
    own = [_match_own_key(rest, row.cells) for row in rest.found]
    unsure = [
        j for j, row in enumerate(rest.found) if rest.count_filled(row.cells) > own[j].equal + 1
    ]
    keys = {rest.key_of(rest.found[j].cells) for j in unsure}
    known = find_paired(rest.key_places, keys) if keys else {}
    settled = {claim.golden for claim in own if claim.is_settled}
    others = find_misread_keys(rest, unsure, settled)
    for j in list(others):
        cells = rest.found[j].cells
        namesakes = known.get(rest.key_of(cells), ())
        equal = max([own[j].equal, *(rest.count_equal(golden, cells) for golden in namesakes)])
        if others[j].equal <= equal + 1:
            del others[j]
    drop_ambiguous_claims(rest, others, find_paired)
    claims: dict[Cells, list[int]] = defaultdict(list)
    for j, row in enumerate(rest.found):
        if (claim := others.get(j)) is not None:
            claims[rest.group_of[claim.golden]].append(j)
        elif (key := rest.key_of(row.cells)) in rest.groups:
            claims[key].append(j)
    return claims, known


class _Own(NamedTuple):
    """What an extracted record is as the record of its own key: position of the golden one, fields that are equal."""

    golden: int
    equal: int
    is_settled: bool
    """Whether no record with another key can be right in more cells."""


def _match_own_key(rest: RemainingRecords, cells: Cells) -> _Own:
    """The best remaining golden record of the same key; -1 equal fields without one."""
    group = rest.groups.get(rest.key_of(cells), ())
    if len(group) > _LARGEST_GROUP:
        return _Own(-1, len(rest.other_places), is_settled=False)  # that many share no misread key
    best = _Own(-1, -1, is_settled=False)
    for i in group:
        golden = rest.golden[i].cells
        equal = rest.count_equal(golden, cells)
        if equal > best.equal:
            is_settled = None not in cells and equal + 1 >= len(rest.other_places)
            best = _Own(i, equal, is_settled)
    return best
