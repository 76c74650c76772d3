"""Accuracy is counted as its docstring says, whatever the order, and no worsening raises it."""

import contextlib
import gc
from collections.abc import Callable, Sequence
from decimal import Decimal
from fractions import Fraction
from itertools import permutations
from typing import cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_deploygate.checks import accuracy
from pytest_deploygate.checks.accuracy import AccuracyReport, Record
from pytest_deploygate.checks.assignment import assign
from pytest_deploygate.checks.measures import FieldRule, Measure

LINE_ITEM = (
    FieldRule(name="code", measure=Measure.EXACT, is_key=True),
    FieldRule(name="upc", measure=Measure.EXACT),
    FieldRule(name="description", measure=Measure.TEXT),
    FieldRule(name="price", measure=Measure.CENTS),
    FieldRule(name="quantity", measure=Measure.NUMBER),
)

_WORDS = (
    "metal",
    "ballerina",
    "ornament",
    "stoneware",
    "jug",
    "cotton",
    "pillow",
    "frame",
    "glass",
)


def compare(
    golden: Sequence[Record], found: Sequence[Record], rules: tuple[FieldRule, ...] = LINE_ITEM
) -> AccuracyReport:
    return accuracy.compare(golden, found, rules)


def line(n: int, **other: str | float | Decimal | None) -> Record:
    """An invoice line that differs from every other in code and UPC."""
    return {
        "code": f"XS{n:04d}A",
        "upc": f"19100{n:07d}",
        "description": f'{n}"H {_WORDS[n % 9]} {_WORDS[n // 9 % 9]} ornament {n}',
        "price": f"{Decimal(100 + 37 * n) / 100}",
        "quantity": 1 + n % 24,
        **other,
    }


def lines(count: int) -> list[Record]:
    return [line(n) for n in range(count)]


def test_a_perfect_extraction_has_accuracy_one() -> None:
    report = compare(lines(30), lines(30))
    assert report.overall == 1
    assert report.is_perfect
    assert {s.ratio for s in report.fields} == {Fraction(1)}
    assert (report.missing, report.extra, report.duplicates, report.differing) == ((), (), (), ())


def test_values_of_other_types_are_equal_when_their_numbers_are() -> None:
    found = [
        {
            **line(n),
            "price": Decimal(f"{line(n)['price']}"),
            "quantity": f" {line(n)['quantity']}.0 ",
        }
        for n in range(5)
    ]
    assert compare(lines(5), found).is_perfect
    assert compare([line(1, price="1234.5")], [line(1, price=" $1,234.50 ")]).is_perfect


@pytest.mark.parametrize(
    ("golden", "found", "is_right"),
    [
        ("14.995", "14.99", True),
        ("14.995", "15.00", True),
        ("5.00", "4.995", True),
        ("5.00", "4.99", False),
        ("1.60", 1.6, True),
        ("1.60", "", False),
        ("1.60", "n/a", False),
        ("1.60", float("nan"), False),
        ("1.60", "-1.60", False),
        ("0.00", "-0.00", True),
        ("-.0", 0, True),
    ],
)
def test_prices_agree_to_the_cent(golden: str, found: str | float, is_right: bool) -> None:
    report = compare([line(1, price=golden)], [line(1, price=found)])
    assert report.accuracy("price") == int(is_right)
    assert report.accuracy("quantity") == 1


def test_a_misread_key_is_told_by_the_rest_only_where_the_rest_is_unique() -> None:
    records = [line(n, code=code, upc=None) for n, code in ((1, "AB10"), (1, "XY99"), (2, "CD20"))]
    found = [
        {**records[1], "code": "XY9g"},
        {**records[0], "code": "ABI0"},
        {**records[2], "code": "@"},
    ]
    report = compare(records, found)
    codes = [cell for d in report.differing for cell in d.fields]
    assert codes == [("code", "AB10", "ABI0"), ("code", "XY99", "XY9g"), ("code", "CD20", "@")]
    assert (report.missing, report.extra) == ((), ())


def test_quantity_is_exact() -> None:
    assert compare([line(1, quantity=24)], [line(1, quantity="24.01")]).accuracy("quantity") == 0


def test_description_agrees_when_its_words_do() -> None:
    golden = [line(1, description='6"H Metal Ballerina Ornament, Green & White')]

    def accuracy(text: str) -> Fraction:
        return compare(golden, [line(1, description=text)]).accuracy("description")

    assert accuracy("ornament 6h METAL Ballerina green white") == 1
    assert accuracy('6"H Metal Ballerina 0rnament, Green & White') == 1
    assert accuracy("Metal Ballerina Ornament") == 0
    assert accuracy("Traditional D-code format") == 0


def test_hand_count_of_missing_extra_duplicate_and_wrong_records() -> None:
    """Four golden lines of five cells. Found: 0 right, 1 with a wrong price, 3 twice, and one that nobody ordered."""
    found = [line(0), line(1, price="99.99"), line(3), line(3), line(77)]
    report = compare(lines(4), found)
    # cells of a field: 4 golden + 1 duplicate + 1 extra = 6
    assert report.accuracy("code") == Fraction(3, 6)
    assert report.accuracy("price") == Fraction(2, 6)
    assert report.overall == Fraction(4 * 3 + 2, 30)
    assert report.missing == ("XS0002A",)
    assert report.extra == ("XS0077A",)
    assert report.duplicates == ("XS0003A",)
    (difference,) = report.differing
    assert (difference.line, difference.key) == (2, "XS0001A")
    assert difference.fields == (("price", "1.37", "99.99"),)


def test_blank_cells_are_no_cells_until_something_is_invented() -> None:
    golden = [line(1, upc=None), line(2, upc=" ")]
    assert compare(golden, golden).is_perfect
    assert [s.cells for s in compare(golden, golden).fields] == [2, 0, 2, 2, 2]
    invented = compare(golden, [line(1), line(2, upc=None)])
    assert invented.accuracy("upc") == 0
    assert invented.overall == Fraction(8, 9)
    assert "upc without values, " in compare(golden, golden).explain(), "nothing was compared"
    assert "upc 0.0% (0 of 1), " in invented.explain()


def test_empty_sides_have_a_defined_result() -> None:
    nothing_asked = compare([], [])
    assert nothing_asked.overall == 0, "no evidence is never a pass"
    assert not nothing_asked.is_perfect
    assert compare([], lines(2)).overall == 0
    silent = compare(lines(2), [])
    assert silent.overall == 0
    assert [s.ratio for s in silent.fields] == [0] * 5
    assert len(silent.missing) == 2


def test_price_shift_by_one_row_is_seen() -> None:
    golden = lines(40)
    prices = [record["price"] for record in golden]
    shifted = [{**r, "price": p} for r, p in zip(golden, prices[1:] + prices[:1], strict=True)]
    report = compare(golden, shifted)
    assert report.accuracy("price") == 0
    assert report.accuracy("quantity") == 1
    assert report.overall == Fraction(4, 5)
    assert "1.37" in report.explain()


def test_placeholder_rows_are_seen() -> None:
    golden = lines(100)
    found = golden[:40] + [
        {**r, "price": "1.60", "quantity": 24, "description": "Traditional D-code format"}
        for r in golden[40:]
    ]
    report = compare(golden, found)
    assert report.accuracy("code") == 1
    assert report.accuracy("price") <= Fraction(41, 100)
    assert report.accuracy("description") == Fraction(40, 100)


def test_placeholder_code_upc_and_all_are_joined_by_key_alone() -> None:
    found = [line(5, upc="0", description="nothing", price="9999", quantity=777)]
    report = compare([line(5)], found)
    assert report.overall == Fraction(1, 5)
    assert not report.missing


def test_misread_key_is_paired_by_what_else_is_equal() -> None:
    golden = lines(60)
    found = [
        {**r, "code": f"XS{'B' + str(r['code'])[3:]}"} if n % 7 == 0 else r
        for n, r in enumerate(golden)
    ]
    report = compare(golden, found)
    assert (report.missing, report.extra) == ((), ())
    assert report.accuracy("code") == Fraction(60 - 9, 60)
    assert report.accuracy("price") == 1


def test_a_key_misread_as_another_does_not_steal_its_record() -> None:
    """Line 1 was read with the code of line 2: joining by code alone would pair it wrongly."""
    found = [line(1, code="XS0002A"), line(2)]
    report = compare([line(1), line(2)], found)
    assert report.accuracy("code") == Fraction(1, 2)
    assert report.overall == Fraction(9, 10)


def test_a_copy_of_one_line_does_not_stand_in_for_a_missing_one_that_is_like_it() -> None:
    golden = lines(10)
    found = [record for record in golden if record["code"] not in ("XS0000A", "XS0001A")]
    report = compare(golden, [*found, golden[9]])
    assert report.duplicates == ("XS0009A",)
    assert report.missing == ("XS0000A", "XS0001A")


def test_unlike_records_are_not_paired_for_a_common_price() -> None:
    golden = [line(1, price="6.40", quantity=12)]
    found = [line(1, price="6.40", quantity=12, code="ZZ99", upc="5", description="Brass hook")]
    report = compare(golden, found)
    assert report.missing == ("XS0001A",)
    assert report.extra == ("ZZ99",)


def test_one_key_for_all_records_stays_defined() -> None:
    golden = [line(n, code="SAME") for n in range(60)]
    found = [line(n, code="SAME", price="0.01") for n in range(60)]
    report = compare(golden, found)
    assert report.accuracy("price") == 0
    assert report.accuracy("code") == 1


def test_explain_shows_the_first_differences_and_counts_the_rest() -> None:
    golden = lines(50)
    found = [{**r, "price": "1.60"} for r in golden[:-1]]
    text = compare(golden, found).explain(limit=3)
    assert "price 0.0% (0 of 50)" in text
    assert "1 missing" in text
    assert "XS0001A" in text
    assert "XS0009A" not in text
    assert "and 47 more records" in text
    assert compare(golden, golden).explain().count("\n") == 0


def test_rules_need_a_key_and_distinct_names() -> None:
    with pytest.raises(ValueError, match="key"):
        compare([], [], (FieldRule(name="a", measure=Measure.EXACT),))
    with pytest.raises(ValueError, match="distinct"):
        compare([], [], (LINE_ITEM[0], LINE_ITEM[0]))


def test_other_records_than_invoices_are_compared_by_their_own_rules() -> None:
    rules = (
        FieldRule(name="book", measure=Measure.EXACT, is_key=True),
        FieldRule(name="page", measure=Measure.NUMBER, is_key=True),
        FieldRule(name="text", measure=Measure.TEXT, pass_mark=Fraction(1, 2)),
    )
    golden: list[Record] = [{"book": "A", "page": n, "text": "to be or not to be"} for n in (1, 2)]
    found: list[Record] = [{"book": "A", "page": n, "text": "to be"} for n in ("2", 3)]
    report = compare(golden, found, rules)
    assert report.missing == ("A / 1",)
    assert report.extra == ("A / 3",)


_few = st.integers(min_value=0, max_value=3)
_any_line = st.builds(
    lambda c, u, d, p, q: {
        "code": ["A1", "A2", "B1", ""][c],
        "upc": ["1", "2", "", None][u],
        "description": ["red jug", "red jar", "blue pillow", ""][d],
        "price": ["1.60", "1.61", "x", None][p],
        "quantity": [1, 2, "", 24][q],
    },
    _few, _few, _few, _few, _few,
)  # fmt: skip
_any_lines = st.lists(_any_line, max_size=8)


@given(golden=_any_lines, found=_any_lines, data=st.data())
@settings(deadline=None)
def test_the_order_of_records_does_not_matter(
    golden: list[Record], found: list[Record], data: st.DataObject
) -> None:
    one = compare(golden, found)
    other = compare(data.draw(st.permutations(golden)), data.draw(st.permutations(found)))
    assert one.overall == other.overall
    assert one.fields == other.fields
    assert sorted(one.missing) == sorted(other.missing)
    assert sorted(one.extra) == sorted(other.extra)
    assert sorted(one.duplicates) == sorted(other.duplicates)


@given(golden=_any_lines, found=_any_lines)
@settings(deadline=None)
def test_ratios_are_fractions_of_one_and_every_record_is_accounted_for(
    golden: list[Record], found: list[Record]
) -> None:
    report = compare(golden, found)
    assert 0 <= report.overall <= 1
    assert all(0 <= s.right <= s.cells for s in report.fields)
    paired = len(golden) - len(report.missing)
    assert len(found) == paired + len(report.extra) + len(report.duplicates)
    assert compare(golden, golden).overall == (
        1 if any(any(str(v or "").strip() for v in r.values()) for r in golden) else 0
    )


_JUNK: dict[str, Callable[[int], str]] = {
    "code": lambda n: f"?!{n}",
    "upc": lambda n: f"000{n}",
    "description": lambda n: f"zzz {n * 7919}",
    "price": lambda n: f"{90000 + n}.17",
    "quantity": lambda n: f"{70000 + n}",
}


def alike(n: int) -> Record:
    """An invoice line that has most of its values in common with others."""
    return line(
        n,
        upc=("190001", "190002", None)[n % 3],
        description=("red jug large", "red jar large", "blue pillow", "")[n % 4],
        price=("1.60", "1.61")[n % 2],
        quantity=(1, 2, 24)[n // 2 % 3],
    )


def _spoil(data: st.DataObject, record: Record, step: int) -> Record:
    """The record with a value that no golden record has, or with one letter of its code misread."""
    field = data.draw(st.sampled_from([*sorted(_JUNK), "letter"]))
    if field != "letter":
        return {**record, field: _JUNK[field](step)}
    code = str(record["code"])
    place = data.draw(st.integers(min_value=0, max_value=len(code) - 1))
    return {**record, "code": f"{code[:place]}#{code[place + 1 :]}"}


@pytest.mark.parametrize("make", [line, alike], ids=["distinct", "alike"])
@given(data=st.data(), count=st.integers(min_value=1, max_value=12))
@settings(deadline=None, max_examples=150)
def test_no_worsening_ever_improves(
    make: Callable[[int], Record], data: st.DataObject, count: int
) -> None:
    """Spoil a cell, drop a right record that is there once, add junk, add a copy: the accuracy never rises."""
    golden = [make(n) for n in range(count)]
    found = list(enumerate(golden))  # with the line that each came from
    before = compare(golden, golden)
    for step in range(data.draw(st.integers(min_value=1, max_value=12))):
        act = data.draw(st.sampled_from(["spoil", "spoil", "drop", "junk", "copy"]))
        origins = [origin for origin, _ in found]
        once = [n for n, (o, r) in enumerate(found) if r in golden and origins.count(o) == 1]
        if act == "spoil" and found:
            place = data.draw(st.integers(min_value=0, max_value=len(found) - 1))
            origin, record = found[place]
            found[place] = (origin, _spoil(data, record, step))
        elif act == "drop" and once:
            del found[data.draw(st.sampled_from(once))]
        elif act == "copy" and found:
            found.append(data.draw(st.sampled_from(found)))
        else:
            found.append((-1 - step, {field: junk(step) for field, junk in _JUNK.items()}))
        after = compare(golden, [record for _, record in found])
        assert after.overall <= before.overall
        before = after


@given(data=st.data(), count=st.integers(min_value=2, max_value=9))
@settings(deadline=None, max_examples=100)
def test_no_misread_value_of_records_with_the_same_key_improves(
    data: st.DataObject, count: int
) -> None:
    golden = [{**alike(n), "code": f"XS{n % 3}"} for n in range(count)]
    found = list(golden)
    before = compare(golden, golden)
    for step in range(data.draw(st.integers(min_value=1, max_value=12))):
        place = data.draw(st.integers(min_value=0, max_value=count - 1))
        field = data.draw(st.sampled_from([name for name in _JUNK if golden[place][name]]))
        record = found[place]
        is_right = record[field] == golden[place][field]
        is_lost = field != "code" and record["code"] == golden[place]["code"] and is_right
        values = [_JUNK[field](step), *([""] if is_lost else [])]
        found[place] = {**record, field: data.draw(st.sampled_from(values))}
        after = compare(golden, found)
        assert after.overall <= before.overall
        before = after


class Unreadable:
    """A value whose text cannot be had."""

    def __str__(self) -> str:
        raise LookupError


@pytest.mark.parametrize("is_enabled", [True, False])
@pytest.mark.parametrize("fails", [True, False])
def test_collection_of_garbage_is_left_as_it_was(*, is_enabled: bool, fails: bool) -> None:
    before = gc.isenabled()
    found: list[dict[str, object]] = [{**lines(1)[0], "upc": Unreadable() if fails else "1"}]
    (gc.enable if is_enabled else gc.disable)()
    try:
        with pytest.raises(LookupError) if fails else contextlib.nullcontext():
            compare(lines(2), cast("list[Record]", found))
        assert gc.isenabled() is is_enabled
    finally:
        (gc.enable if before else gc.disable)()


@pytest.mark.parametrize("code", ["?!", "XS0001B", "XS00#1A"])
def test_a_copy_with_another_key_does_not_stand_in_for_a_missing_record(code: str) -> None:
    """Line 2 is gone; a copy of line 1, which has description and price in common with it, has a key of its own."""
    golden = [line(n, description="red jug large", price="1.60") for n in range(3)]
    report = compare(golden, [golden[0], golden[1], {**golden[1], "code": code}])
    assert report.missing == ("XS0002A",)
    assert report.overall == Fraction(2 * 5, 4 * 5)


def test_the_better_of_a_misread_key_and_misread_values_is_taken() -> None:
    """Both are line 1; taking the one with its key would lose four cells that the other has right."""
    golden = lines(3)
    spoilt = {field: junk(1) for field, junk in _JUNK.items()} | {"code": "XS0001A"}
    report = compare(golden, [golden[0], golden[2], spoilt, {**golden[1], "code": "?!"}])
    assert report.overall == Fraction(5 + 5 + 4, 4 * 5)
    assert report.duplicates == ("XS0001A",)


def test_records_of_one_key_are_paired_so_that_most_cells_are_right() -> None:
    """The first fits both lines and the second one of them only: the best pair alone would leave that without."""
    golden = [line(1, upc="1", price="1.00"), line(1, upc="2", price="2.00")]
    found = [
        line(1, upc="2", price="1.00", quantity=9),
        line(1, upc="1", price="9.00", description="zzz", quantity=9),
    ]
    report = compare(golden, found)
    assert report.overall == Fraction(3 + 2, 10)


@given(
    weights=st.integers(min_value=1, max_value=4).flatmap(
        lambda rows: st.integers(min_value=rows, max_value=5).flatmap(
            lambda columns: st.lists(
                st.lists(st.integers(0, 9), min_size=columns, max_size=columns),
                min_size=rows,
                max_size=rows,
            )
        )
    )
)
def test_an_assignment_is_the_best_of_all(weights: list[list[int]]) -> None:
    chosen = assign(weights)
    every = permutations(range(len(weights[0])), len(weights))
    assert len(set(chosen)) == len(weights)
    assert sum(row[c] for row, c in zip(weights, chosen, strict=True)) == max(
        sum(row[c] for row, c in zip(weights, way, strict=True)) for way in every
    )
