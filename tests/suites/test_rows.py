"""Rows are read as a person reads them, and what cannot be read is not guessed."""

from datetime import date
from decimal import Decimal

import pytest

from suites.support.rows import Cell, SheetRow, padded, parse_day, parse_item, parse_line


def row(*cells: Cell) -> SheetRow:
    return SheetRow(number=2, cells=padded(cells))


@pytest.mark.parametrize(
    ("cell", "day"),
    [
        (45674, date(2025, 1, 17)),
        (45674.0, date(2025, 1, 17)),
        (45776, date(2025, 4, 29)),
        ("1/17/2025", date(2025, 1, 17)),
        ("04/29/25", date(2025, 4, 29)),
        (" 07/01/2025 ", date(2025, 7, 1)),
        ("2025-01-17", date(2025, 1, 17)),
        ("45674", None),
        (45674.5, None),
        (24, None),
        ("17/1/2025", None),
        ("2025-02-30", None),
        ("1/17/025", None),
        ("Unknown", None),
        ("", None),
        (True, None),
    ],
)
def test_day_is_read_from_text_and_serial(cell: Cell, day: date | None) -> None:
    assert parse_day(cell) == day


@pytest.mark.parametrize(
    ("text", "item"),
    [
        (
            'XS9826A - UPC: 0191009727774 - 6"H Metal Ballerina Ornament',
            ("XS9826A", "191009727774", '6"H Metal Ballerina Ornament'),
        ),
        ("DA1 - UPC: 191009727774 - S/3 - Cups", ("DA1", "191009727774", "S/3 - Cups")),
        ("9780001839236 - Summer Story", ("9780001839236", None, "Summer Story")),
        ("CAL094 - 2026 Flora - Wall Calendar", ("CAL094", None, "2026 Flora - Wall Calendar")),
        ("006 AR - Pop-Up Book", ("006 AR", None, "Pop-Up Book")),
        ("X1 - UPC: 019100972777 - short", ("X1", "019100972777", "short")),
        ("X1 - UPC: 1 - short", ("X1", None, "UPC: 1 - short")),
        ("Traditional D-code format", ("", None, "Traditional D-code format")),
        ("9780001839236; Summer Story", ("", None, "9780001839236; Summer Story")),
        ("", ("", None, "")),
    ],
)
def test_item_is_code_upc_and_description(text: str, item: tuple[str, str | None, str]) -> None:
    assert parse_item(text) == item


def test_line_is_read_from_columns_b_to_g() -> None:
    line = parse_line(
        row("", 45674, "Creative Co-op", "CS1", "A1 - UPC: 0191009727774 - Jug", "$1,001.60", "24")
    )
    assert line.day == date(2025, 1, 17)
    assert (line.vendor, line.invoice_number) == ("Creative Co-op", "CS1")
    assert line.as_record() == {
        "code": "A1",
        "upc": "191009727774",
        "description": "Jug",
        "price": Decimal("1001.60"),
        "quantity": Decimal(24),
    }  # fmt: skip
    plain = parse_line(row("", "4/29/25", "H", 3363053, "9780001839236 - T", 5, 3))
    assert plain.invoice_number == "3363053"
    assert (plain.price, plain.quantity) == (Decimal(5), Decimal(3))


def test_unreadable_price_is_nothing() -> None:
    line = parse_line(row("", "1/17/2025", "V", "N", "A - b", "n/a", True))
    assert (line.price, line.quantity) == (None, None)


@pytest.mark.parametrize(
    ("cells", "is_in_place"),
    [
        (("", 45674, "V", "N", "A - b", 1.6, 24), True),
        (("", 45674, "V", "N", "A - b", 1.6, 0), True),
        ((45674, "V", "N", "A - b", 1.6, 24), False),
        (("x", 45674, "V", "N", "A - b", 1.6, 24), False),
        (("", "", 45674, "V", "N", "A - b", 1.6, 24), False),
        (("", 45674, "V", "N", "A - b", 1.6), False),
        (("", 45674, "V", "N", "A - b", 1.6, 24, "x"), False),
    ],
)
def test_row_beside_its_place_is_seen(cells: tuple[Cell, ...], is_in_place: bool) -> None:
    assert row(*cells).is_in_place is is_in_place
