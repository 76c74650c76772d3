"""What has gone wrong before, with real documents: each case would be red with the function of that day."""

import importlib
import subprocess
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Protocol, cast

import pytest

from tests.suites.invoice_function import (
    FUNCTION,
    INVOICES,
    Append,
    Function,
    KeptSheet,
    golden,
    golden_rows,
    pdf,
)

ORDER, DELIVERED = "creative_coop_CS003837319", "creative_coop_CI004848705"
BOOKS, GIFTS = "harpercollins_NS4435067", "onehundred80_1T25194476NCHR"

Data = dict[str, object]


class Redraw(Protocol):
    """Draws a document again with other data."""

    def __call__(self, name: str, change: Callable[[Data], object]) -> bytes:
        """Return the PDF of ``name`` after ``change`` of what it prints."""


@pytest.fixture
def make(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The script that makes the test invoices."""
    monkeypatch.syspath_prepend(str(INVOICES))
    return importlib.import_module("make")


@pytest.fixture
def redraw(make: ModuleType) -> Redraw:
    """Draws documents with changed data."""

    def draw(name: str, change: Callable[[Data], object]) -> bytes:
        data = make.load(name)
        change(data)
        document = make.DRAWN[name](data)
        assert isinstance(document, bytes)
        return document

    return draw


def rows_of(function: Function, sheet: KeptSheet, content: bytes) -> list[list[str]]:
    """Post a document and return the rows of its one append."""
    with sheet.watched() as appends:
        response = function.upload(content)
    assert response.status_code == 200, response.text
    (append,) = appends
    return append.text


@pytest.mark.parametrize("name", [ORDER, BOOKS, GIFTS])
def test_error_answer_means_that_nothing_was_written(
    function: Function, sheet: KeptSheet, name: str
) -> None:
    """HTTP 500 after the rows had been written: Zapier sent the invoice again."""
    with sheet.watched() as appends:
        response = function.upload(pdf(name))
    assert (response.status_code, len(appends)) == (200, 1)


def test_order_without_a_number_keeps_its_rows(
    function: Function, sheet: KeptSheet, redraw: Redraw
) -> None:
    """The fix failed where the document has no number."""
    content = redraw(ORDER, lambda data: data.update(number=""))
    assert [row[3:] for row in rows_of(function, sheet, content)] == [
        row[3:] for row in golden_rows(ORDER)
    ]


def test_order_confirmation_fills_the_sheet(function: Function, sheet: KeptSheet) -> None:
    """A confirmation, of which nothing was shipped yet, ended in a warning."""
    assert len(rows_of(function, sheet, pdf(ORDER))) == 135


def test_number_and_date_stand_in_every_row(function: Function, sheet: KeptSheet) -> None:
    """Rows said Unknown."""
    heads = {tuple(row[:3]) for row in rows_of(function, sheet, pdf(ORDER))}
    assert heads == {("1/17/2025", "Creative Co-op", "CS003837319")}


def test_date_that_is_a_serial_number_becomes_a_date(
    function: Function,
    sheet: KeptSheet,
    redraw: Redraw,
    monkeypatch: pytest.MonkeyPatch,
    make: ModuleType,
) -> None:
    """The sheet showed 45674 instead of 1/17/2025."""
    monkeypatch.setattr(make.draw_creative_coop, "short", lambda _: "45674")
    rows = rows_of(function, sheet, redraw(ORDER, lambda _: None))
    assert rows == golden_rows(ORDER)


def test_rows_have_six_values_and_the_range_leaves_column_a_alone(
    function: Function, sheet: KeptSheet
) -> None:
    """For nine days all rows landed in column A."""
    seen: list[Append] = []
    for name in (ORDER, "rifle_paper_3363053"):
        with sheet.watched() as appends:
            function.upload(pdf(name))
        seen += appends
    assert {append.range.rpartition("!")[2] for append in seen} == {"B:G"}
    assert {len(row) for append in seen for row in append.rows} == {6}
    assert "" not in {row[0] for append in seen for row in append.rows}


def test_prices_are_dollars_and_cents(function: Function, sheet: KeptSheet) -> None:
    """Prices had three decimals, quantities were text."""
    prices = [row[4] for row in rows_of(function, sheet, pdf(BOOKS))]
    assert all(price == f"{float(price):.2f}" for price in prices)


def test_rows_are_no_copies_of_the_first_product(function: Function, sheet: KeptSheet) -> None:
    """Rows 44 to 130 had the first product's price and quantity, and a text that no document has."""
    rows = rows_of(function, sheet, pdf(ORDER))
    assert max(map([tuple(row[4:]) for row in rows].count, {tuple(row[4:]) for row in rows})) < 10
    assert not any("Traditional D-code format" in row[3] for row in rows)


def test_codes_like_those_of_another_vendor_do_not_change_the_vendor(
    function: Function, sheet: KeptSheet
) -> None:
    """SKUs of two letters and four digits made an invoice of OneHundred80 one of Creative-Coop."""
    rows = rows_of(function, sheet, pdf(GIFTS))
    assert sum(row[3][:2].isalpha() and row[3][2:6].isdigit() for row in rows) >= 10
    assert {row[1] for row in rows} == {"One Hundred 80 Degrees"}


def test_year_in_a_title_is_no_quantity(function: Function, sheet: KeptSheet) -> None:
    """2026 Flora Wall Calendar was ordered 2026 times; notes and shipping became products."""
    rows = rows_of(function, sheet, pdf("rifle_paper_3363053"))
    assert rows[0][3:] == ["CAL094 - 2026 Flora Wall Calendar", "$13.50", "6"]
    assert not [row for row in rows if "SHIP" in row[3] or "Not In Stock" in row[3]]


def test_products_on_back_order_are_not_in_an_invoice(function: Function, sheet: KeptSheet) -> None:
    """Products that were not shipped entered the sheet with the count on back order."""
    codes = [row[3].split(" ")[0] for row in rows_of(function, sheet, pdf(DELIVERED))]
    assert len(codes) == 28
    assert not {"DF0716", "DF4987", "DG1407A", "TRF-CCOI"} & set(codes)


def test_last_product_takes_nothing_from_the_foot_of_the_page(
    function: Function, sheet: KeptSheet
) -> None:
    """The last product had a number of the page's foot as its quantity."""
    for name in (ORDER, DELIVERED):
        last = golden_rows(name)[-1]
        assert last in rows_of(function, sheet, pdf(name))


def test_purchase_order_with_other_titles_is_read(
    function: Function, sheet: KeptSheet, redraw: Redraw
) -> None:
    """Only the 23 ISBNs of one purchase order were known."""
    book = ["9780064400558", "Charlotte's Web", 7, "9.99"]
    content = redraw(BOOKS, lambda data: data.update(items=[book]))
    title = "9780064400558 - Charlotte's Web"
    assert rows_of(function, sheet, content) == [
        ["04/29/25", "HarperCollins", "NS4435067", title, "5.00", "7"]
    ]


def test_discount_is_the_one_that_the_purchase_order_names(
    function: Function, sheet: KeptSheet, redraw: Redraw
) -> None:
    """Half price was taken for granted."""
    change = {"discount_percent": "46.00"}
    content = redraw(BOOKS, lambda data: data.update(change))
    prices = [row[4] for row in rows_of(function, sheet, content)]
    lists = {"9780062883124": "16.99", "9781911641100": "45.00"}
    codes = [str(row[3]).split(" ")[0] for row in golden_rows(BOOKS)]
    assert [prices[codes.index(code)] for code in lists] == ["9.17", "24.30"]


@pytest.mark.parametrize("cut", range(1, 10))
def test_document_that_is_cut_off_never_gives_rows(
    function: Function, sheet: KeptSheet, cut: int
) -> None:
    """A part of a document would be taken for the whole."""
    content = pdf(ORDER)
    with sheet.watched() as appends:
        response = function.upload(content[: len(content) * cut // 10])
    assert (response.status_code, appends) == (500, [])


@pytest.mark.parametrize(
    ("name", "code", "printed", "smudged"),
    [
        (ORDER, "XS9826A", "191009727774", "19100972?774"),
        (ORDER, "XS9826A", "24", "2?"),
        (ORDER, "XS9826A", "1.60", "1.6O"),
        (DELIVERED, "DA4315", "12", "l2"),
        (DELIVERED, "DA4315", "3.20", "3 20"),
        (DELIVERED, "DF0716", "191009436263", "19100943626 "),
        (BOOKS, "9780008547110", "9780008547110", "97800085471l0"),
        (BOOKS, "9780008547110", "3", "-"),
        (BOOKS, "9780008547110", "29.99", "2g.99"),
        (GIFTS, "GZ1041", "810054468653", "8100544686_3"),
        (GIFTS, "GZ1041", "12", "1Z"),
        (GIFTS, "GZ1041", "4.50", "4_50"),
    ],
)
def test_product_that_cannot_be_read_stops_the_invoice(
    function: Function, sheet: KeptSheet, name: str, code: str, printed: str, smudged: str
) -> None:
    """Better no rows than some."""
    before, mark, after = pdf(name).partition(f"({code})".encode())
    old, new = f"({printed}) Tj".encode(), f"({smudged}) Tj".encode()
    assert old in mark + b" Tj" + after
    assert len(old) == len(new)
    content = before + (mark + after).replace(old, new, 1)
    with sheet.watched() as appends:
        response = function.upload(content)
    assert (response.status_code, appends) == (500, []), response.text
    assert "cannot be read" in response.json()["error"]


@pytest.mark.parametrize(
    ("name", "code", "instead", "printed"),
    [
        ("creative_coop_without_number", "DF5599", "DF5599", {"code": "PILLOW"}),
        (
            "creative_coop_without_number",
            "DF5599",
            "DF5599",
            {"code": "PILLOW", "upc": "", "customer": "NS-1014"},
        ),
        ("unknown_vendor", "008 TIN", "TIN-M", {"quantity": "-12", "amount": "-117.00"}),
        ("rifle_paper_J7XM9XQ3HB", "STC014", "STC-P", {}),
        ("rifle_paper_J7XM9XQ3HB", "STC014", "STC 14", {}),
        ("rifle_paper_J7XM9XQ3HB", "STC014", "STC 14", {"code": "STC014"}),
    ],
    ids=["upc", "customer's code", "credit", "name", "numbers", "numbers without a name"],
)
def test_line_is_not_dropped_because_no_total_tells(
    function: Function,
    sheet: KeptSheet,
    redraw: Redraw,
    name: str,
    code: str,
    instead: str,
    printed: dict[str, str],
) -> None:
    """What is left of a line that has an amount is enough to stop the invoice."""

    def spoil(data: Data) -> None:
        items = cast("list[list[object]]", data["items"])
        data["items"] = [[instead if value == code else value for value in item] for item in items]
        data.update(printed={instead: printed}, without_total=True)

    with sheet.watched() as appends:
        response = function.upload(redraw(name, spoil))
    assert (response.status_code, appends) == (500, []), response.text
    assert "cannot be read" in response.json()["error"]


class Draw(Protocol):
    """Draws a small invoice of an unknown vendor."""

    def __call__(self, *notes: tuple[float, float, str]) -> bytes:
        """Return the PDF with further texts at (x, points below the last line of the table)."""


@pytest.fixture
def draw(make: ModuleType) -> Draw:
    """Draws two products, the second of which has a description of two lines."""
    others = make.others

    def document(*notes: tuple[float, float, str]) -> bytes:
        page = others.DrawnPage(size=others.letter, title="Invoice")
        page.text(36, 40, "Tern Island Goods", size=16)
        page.text(36, 60, "Invoice # TI-5501   Date: 3/9/2025")
        page.labels(90, others.LONG_COLUMNS)
        first = {"code": "TI-1", "description": "Net bag", "quantity": 4, "unit_price": "2.50"}
        second = {
            "code": "TI-2",
            "description": "Oil lamp with",
            "quantity": 2,
            "unit_price": "31.00",
        }
        page.row(110, others.LONG_COLUMNS, first)
        page.row(124, others.LONG_COLUMNS, second)
        page.text(110, 134, "a wide wick", size=7.5)
        for x, below, words in notes:
            page.text(x, 134 + below, words, size=7.5)
        finished = page.finish()
        assert isinstance(finished, bytes)
        return finished

    return document


@pytest.mark.parametrize(
    "note",
    [
        (110.0, 10.0, "Thank you for your order"),
        (110.0, 10.0, "Total 72.00"),
        (300.0, 10.0, "Ships from the island"),
        (36.0, 10.0, "TI-2"),
        (110.0, 30.0, "Signed: 14 March"),
        (36.0, 30.0, "Rifle Paper Co."),
        (36.0, 30.0, "MFR: HarperCollins"),
    ],
)
def test_note_below_the_table_changes_neither_the_last_product_nor_the_vendor(
    function: Function, sheet: KeptSheet, draw: Draw, note: tuple[float, float, str]
) -> None:
    """What stands near the last product became part of it."""
    head = ["3/9/2025", "Tern Island Goods", "TI-5501"]
    assert rows_of(function, sheet, draw(note)) == [
        [*head, "TI-1 - Net bag", "$2.50", "4"],
        [*head, "TI-2 - Oil lamp with a wide wick", "$31.00", "2"],
    ]


def test_reading_in_many_threads_keeps_the_process_alive() -> None:
    """The PDF library crashes when two documents are read at once; run apart, since a crash ends the process."""
    script = """
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from invoice_reader import extract
sys.setswitchinterval(1e-6)  # without the lock this crashed in six runs of six
pdfs = [Path(name).read_bytes() for name in sys.argv[1:]] * 100
with ThreadPoolExecutor(8) as pool:
    rows = [len(invoice.rows) for invoice in pool.map(extract, pdfs)]
assert rows == [11, 0, 14] * 100, rows
"""
    names = ("rifle_paper_3363053", "blank", GIFTS)
    run = subprocess.run(
        [sys.executable, "-c", script, *(INVOICES / f"{name}.pdf" for name in names)],
        cwd=FUNCTION,
        timeout=120,
        check=False,
    )
    assert run.returncode == 0


def test_summary_gives_each_row_the_number_of_its_own_invoice(
    function: Function, sheet: KeptSheet
) -> None:
    """A document with two invoices."""
    rows = rows_of(function, sheet, pdf("summary_77389954"))
    assert [row[2] for row in rows] == ["77389954"] * 4 + ["77390022"] * 5
    assert golden("summary_77389954")["invoice_number"] == "77389954, 77390022"
