"""Accuracy of extracted records, compared with golden records cell by cell.

**Definition.** Pair each golden record with at most one extracted record (below). Then count *cells*, one per field:

* a non-empty golden cell is one cell; it is *right* if its partner's cell agrees, else wrong;
* a non-empty extracted cell without a golden cell (the golden cell is empty, there is no golden record, or the record
  is a second copy) is one more cell, and wrong.

The accuracy of a field is its right cells over its cells; overall accuracy is all right cells over all cells. So a
missing record costs one wrong cell for each of its fields, and so does an extra or duplicate record.
:class:`Measure` defines when two cells agree.

**Pairing.** Each extracted record claims one golden record, whatever else was extracted: that of its own key, unless
more of its cells (the key is one) are right as another record. For such a misread key, the keys must be similar or a
text be equal, and no other golden record may have as many of the values, unless its key is less similar. So a copy of a
record, however changed, claims that record and never another that is missing. Of several that claim the same record the
one is taken that makes the overall accuracy greatest, the others are extra. Records of which several have the same key
are told apart by their other fields; only what goes beyond their number is a copy. Only records that share a rare value
are compared, so that the cost stays near-linear. The pairs depend only on the records, never on their order.

So a worse extraction never raises the overall accuracy: not a right value or key that becomes one that no record has,
not a right record that is dropped, not a copy, however often that happens.
"""

import gc
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import NamedTuple, TypeAlias

from pytest_deploygate.checks.alignment import align
from pytest_deploygate.checks.measures import FieldRule, is_right
from pytest_deploygate.checks.remaining_records import Cells, Row, cells_at

Value: TypeAlias = str | int | float | Decimal | None
"""Value of a cell; ``None`` and blank text are an empty cell."""
Record: TypeAlias = Mapping[str, Value]
"""One line: field name to value. Fields without a rule are ignored, missing fields are empty cells."""

_KeyOf: TypeAlias = Callable[[Cells], Cells]


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldScore:
    """Cells of one field: ``0 <= right <= cells``."""

    name: str
    right: int
    cells: int
    ratio: Fraction
    """Right over cells. Without any cell: 1 if there are golden records (all cells are empty), else 0."""


class Difference(NamedTuple):
    """A golden record whose partner differs. ``line`` counts golden records from 1; ``fields`` are the differences."""

    line: int
    key: str
    fields: tuple[tuple[str, str, str], ...]
    """(field, expected, found) as text; an empty cell is the empty text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AccuracyReport:
    """Result of a comparison, counted as the module defines.

    ``missing`` has the keys of golden records without partner in golden order, ``extra`` the keys of extracted records
    without partner, ``duplicates`` the keys of further copies of a golden record; the last two are disjoint.
    """

    golden: int
    extracted: int
    fields: tuple[FieldScore, ...]
    overall: Fraction
    """All right cells over all cells; 0 without golden records."""
    missing: tuple[str, ...]
    extra: tuple[str, ...]
    duplicates: tuple[str, ...]
    differing: tuple[Difference, ...]

    def accuracy(self, field: str) -> Fraction:
        """Accuracy of one field; KeyError if no rule has that name."""
        return {score.name: score.ratio for score in self.fields}[field]

    @property
    def is_perfect(self) -> bool:
        """Whether there are golden records and every cell is right."""
        return self.overall == 1

    def explain(self, limit: int = 10) -> str:
        """The figures, then a table of the first ``limit`` records that differ, are missing or extra."""
        scores = ", ".join(map(_score, self.fields))
        head = (
            f"accuracy {_percent(self.overall)} of {self.golden} golden records, {self.extracted} extracted: {scores}; "
            f"{len(self.missing)} missing, {len(self.extra)} extra, {len(self.duplicates)} duplicate"
        )
        groups = [[(str(d.line), d.key, *cell) for cell in d.fields] for d in self.differing]
        groups += [[("", key, "(record)", "present", "missing")] for key in self.missing]
        groups += [[("", key, "(record)", "absent", "extra")] for key in self.extra]
        groups += [[("", key, "(record)", "once", "again")] for key in self.duplicates]
        if not groups:
            return head
        rows = [("line", "key", "field", "expected", "found")]
        rows += [row for group in groups[:limit] for row in group]
        more = len(groups) - limit
        tail = f"\n  and {more} more records" if more > 0 else ""
        return f"{head}\n{_table(rows)}{tail}"


def compare(
    golden: Sequence[Record], extracted: Sequence[Record], rules: tuple[FieldRule, ...]
) -> AccuracyReport:
    """Compare ``extracted`` with ``golden`` by ``rules``; the order of the records does not matter.

    Raises:
        ValueError: no rule is a key, or two rules have the same name.
    """
    names = tuple(rule.name for rule in rules)
    if len(set(names)) != len(names) or not any(rule.is_key for rule in rules):
        raise ValueError("rules need distinct names and at least one key field")
    with _garbage_kept():
        alignment = align(golden, extracted, rules)
    right = list(alignment.equal_cells)
    cells = list(alignment.equal_cells)
    key_of = _key_getter(rules)
    differing = _count_pairs(alignment.pairs, rules, right, cells)
    for row in (*alignment.missing, *alignment.extra):
        for place, cell in enumerate(row.cells):
            cells[place] += cell is not None
    doubles = [row for row in alignment.extra if key_of(row.cells) in alignment.copied]
    others = [row for row in alignment.extra if key_of(row.cells) not in alignment.copied]
    blank = Fraction(1 if golden else 0)
    total = sum(cells)
    return AccuracyReport(
        golden=len(golden),
        extracted=len(extracted),
        fields=tuple(
            FieldScore(name=n, right=r, cells=c, ratio=Fraction(r, c) if c else blank)
            for n, r, c in zip(names, right, cells, strict=True)
        ),
        overall=Fraction(sum(right), total) if total else Fraction(0),
        missing=_keys(alignment.missing, key_of),
        extra=_keys(others, key_of),
        duplicates=_keys(doubles, key_of),
        differing=tuple(sorted(differing, key=lambda d: d.line)),
    )


@contextmanager
def _garbage_kept() -> Iterator[None]:
    """No collection of garbage: there is none, and looking through all records takes a fifth of the time."""
    if not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def _count_pairs(
    pairs: Sequence[tuple[Row, Row]],
    rules: tuple[FieldRule, ...],
    right: list[int],
    cells: list[int],
) -> list[Difference]:
    """Add the cells of all pairs to ``right`` and ``cells``; the pairs that differ."""
    key_of = _key_getter(rules)
    differing = []
    for one, other in pairs:
        wrong = [
            place
            for place, (golden, found) in enumerate(zip(one.cells, other.cells, strict=True))
            if golden != found and not is_right(rules[place], golden, found)
        ]
        if wrong:
            differing.append(_difference(one, other, rules, wrong, key_of))
        for place in wrong:
            right[place] -= 1
    for place in range(len(rules)):
        blank = sum(one.cells[place] is None and other.cells[place] is None for one, other in pairs)
        cells[place] += len(pairs) - blank
        right[place] += len(pairs) - blank
    return differing


def _difference(
    one: Row, other: Row, rules: tuple[FieldRule, ...], wrong: list[int], key_of: _KeyOf
) -> Difference:
    here, there = one.cells, other.cells
    fields = [(rules[place].name, here[place] or "", there[place] or "") for place in wrong]
    return Difference(line=one.line, key=_key_text(key_of(here)), fields=tuple(fields))


def _keys(rows: Iterable[Row], key_of: _KeyOf) -> tuple[str, ...]:
    in_order = sorted(rows, key=lambda row: row.line)
    return tuple(_key_text(key_of(row.cells)) for row in in_order)


def _key_getter(rules: tuple[FieldRule, ...]) -> _KeyOf:
    return cells_at(tuple(place for place, rule in enumerate(rules) if rule.is_key))


def _key_text(key: Cells) -> str:
    return " / ".join([cell or "" for cell in key])


def _score(field: FieldScore) -> str:
    if not field.cells:
        return f"{field.name} without values"
    return f"{field.name} {_percent(field.ratio)} ({field.right} of {field.cells})"


def _percent(ratio: Fraction) -> str:
    return f"{float(ratio):.1%}"


def _table(rows: Sequence[tuple[str, ...]], widest: int = 44) -> str:
    cut = [tuple(c if len(c) <= widest else c[: widest - 1] + "…" for c in row) for row in rows]
    widths = [max(map(len, column)) for column in zip(*cut, strict=True)]
    return "\n".join(
        "  " + "  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip()
        for row in cut
    )
