"""The other vendors: OneHundred80, two layouts of Rifle Paper, an unknown one, a summary, and a long list."""

from __future__ import annotations

from decimal import Decimal

from layout import Column, DrawnPage, printed, unprinted, wrap
from reportlab.lib.pagesizes import letter

SHIP_TO = ["North Star Gift & Book", "418 Water Street", "Stillwater, MN 55082"]


def items_of(data: dict[str, object], key: str = "items") -> list[dict[str, object]]:
    """Return the line items as one dict each."""
    return [dict(zip(data["columns"], values, strict=True)) for values in data[key]]


def _amount(item: dict[str, object]) -> Decimal:
    return Decimal(item["unit_price"].replace(",", "")) * item["quantity"]


def _total(page: DrawnPage, y: float, amounts: list[tuple[str, Decimal]]) -> None:
    page.rule(y, x0=400, x1=576)
    for label, amount in amounts:
        y += 14
        page.text(410, y, label, size=8.5)
        page.text(572, y, f"${amount:,.2f}", size=8.5, right=True)


ONEHUNDRED80_COLUMNS = {
    "code": Column(label="SKU", x=40),
    "upc": Column(label="UPC", x=106),
    "quantity": Column(label="QTY", x=204, right=True),
    "um": Column(label="UOM", x=214),
    "description": Column(label="Description", x=246),
    "unit_price": Column(label="Unit", x=506, right=True),
    "extended": Column(label="Extended", x=572, right=True),
}


def onehundred80(data: dict[str, object]) -> bytes:
    """Return the invoice of OneHundred80; a line of its letterhead mentions another vendor."""
    page = DrawnPage(size=letter, title=f"Invoice {data['invoice_no']}")
    page.text(36, 52, "One Hundred 80 Degrees", size=18, bold=True)
    page.text(
        36, 66, "2425 W. 23rd Street, Los Angeles, CA 90018   onehundred80degrees.com", size=7.5
    )
    page.text(
        36, 76, "Visit us next to Creative Co-op at the Atlanta market, showroom 1180.", size=7.5
    )
    page.text(576, 52, "INVOICE", size=16, bold=True, right=True)
    page.text(36, 102, "Ship To:", size=8, bold=True)
    page.block(36, 114, SHIP_TO)
    day = f"{data['date']:%m/%d/%Y}"
    cells = [("Invoice", data["invoice_no"], 110.0), ("Date", day, 80.0)]
    page.grid(386, 92, cells)
    page.grid(386, 118, [("Purchase Order", data["number"], 110.0), ("Terms", data["terms"], 80.0)])
    page.labels(168, ONEHUNDRED80_COLUMNS, size=7.5)
    y, total = 172.0, unprinted(data)
    for item in items_of(data):
        y += 16
        extended = _amount(item)
        total += extended
        first, *more = wrap(item["description"], 205, size=7.5)
        shown = {"description": first, "extended": f"{extended:,.2f}"} | printed(data, item["code"])
        page.row(y, ONEHUNDRED80_COLUMNS, item | shown)
        for line in more:
            y += 10
            page.text(246, y, line, size=7.5)
    freight = Decimal("38.75")
    _total(page, y + 16, [("Subtotal", total), ("Freight", freight), ("Total", total + freight)])
    page.text(36, 760, "Thank you for your order! Claims within 10 days: 1 310 555 0180", size=7)
    page.text(576, 760, "1 of 1", size=7, right=True)
    return page.finish()


RIFLE_COLUMNS = {
    "code": Column(label="Item", x=40),
    "upc": Column(label="UPC", x=96),
    "description": Column(label="Description", x=172),
    "quantity": Column(label="Quantity", x=446, right=True),
    "unit_price": Column(label="Rate", x=506, right=True),
    "amount": Column(label="Amount", x=572, right=True),
}


def _rifle_head(page: DrawnPage) -> None:
    page.text(36, 54, "Rifle Paper Co.", size=20, bold=True)
    page.block(
        36,
        68,
        ["558 W New England Ave, Suite 150", "Winter Park, FL 32789", "wholesale@riflepaperco.com"],
        size=7.5,
    )


def rifle(data: dict[str, object]) -> bytes:
    """Return invoice 3363053, with a note and a shipping line among the products."""
    page = DrawnPage(size=letter, title=f"Invoice {data['number']}")
    _rifle_head(page)
    page.text(576, 54, "Invoice", size=16, bold=True, right=True)
    page.text(36, 116, "Bill To", size=8, bold=True)
    page.block(36, 128, SHIP_TO)
    day = f"{data['date'].month}/{data['date'].day}/{data['date'].year}"
    page.grid(
        346,
        104,
        [("Invoice #", data["number"], 80.0), ("Date", day, 70.0), ("PO #", data["po"], 80.0)],
    )
    page.labels(184, RIFLE_COLUMNS, size=7.5)
    y, total = 190.0, unprinted(data)
    for number, item in enumerate(items_of(data)):
        y += 18
        amount = _amount(item)
        total += amount
        shown = {"amount": f"{amount:,.2f}"} | printed(data, item["code"])
        page.row(y, RIFLE_COLUMNS, item | shown, size=8)
        if number == 3:
            y += 18
            page.row(y, RIFLE_COLUMNS, {"code": data["not_in_stock"]}, size=8)
    y += 18
    shipping = {
        "code": data["ship"],
        "quantity": 1,
        "unit_price": data["shipping"],
        "amount": data["shipping"],
    }
    page.row(y, RIFLE_COLUMNS, shipping, size=8)
    if not data.get("without_total"):
        _total(page, y + 12, [("Total", total + Decimal(data["shipping"]))])
    page.text(36, 756, f"Invoice {data['number']}   2026 collections ship from June", size=7)
    return page.finish()


def rifle_split(data: dict[str, object]) -> bytes:
    """Return invoice J7XM9XQ3HB: names in lines of their own, then three products on a line."""
    page = DrawnPage(size=letter, title=f"Invoice {data['number']}")
    _rifle_head(page)
    page.text(576, 54, f"Invoice {data['number']}", size=13, bold=True, right=True)
    day = data["date"]
    page.text(
        576,
        68,
        f"Order #{data['order']} placed on {day:%B} {day.day}, {day.year}",
        size=8,
        right=True,
    )
    page.text(36, 116, "Ship To", size=8, bold=True)
    page.block(36, 128, SHIP_TO)
    page.band(168, 14)
    page.text(40, 178, "Items", size=8, bold=True)
    y, total, items = 184.0, unprinted(data), items_of(data)
    for start in range(0, len(items), 3):
        group = items[start : start + 3]
        for item in group:
            y += 14
            page.text(40, y, f"{item['description']} | default - #{item['code']}", size=8)
        y += 14
        for place, item in enumerate(group):
            amount = _amount(item)
            total += amount
            shown = item | {"price": f"${item['unit_price']}", "amount": f"${amount:.2f}"}
            shown |= printed(data, item["code"])
            words = [str(shown[name]) for name in ("code", "upc", "price", "quantity", "amount")]
            page.text(52 + place * 176, y, " ".join(words), size=7.5)
        y += 10
    shipping = Decimal("21.60")
    if not data.get("without_total"):
        sums = [("Subtotal", total), ("Shipping", shipping), ("Total", total + shipping)]
        _total(page, y + 12, sums)
    return page.finish()


UNKNOWN_COLUMNS = {
    "code": Column(label="Style", x=40),
    "description": Column(label="Product", x=104),
    "quantity": Column(label="Units", x=420, right=True),
    "unit_price": Column(label="Cost", x=490, right=True),
    "amount": Column(label="Line Total", x=572, right=True),
}


def unknown(data: dict[str, object]) -> bytes:
    """Return the invoice of a vendor without a reader; it mentions two that have one."""
    page = DrawnPage(size=letter, title=f"Invoice {data['number']}")
    blank = (
        "\N{CURRENCY SIGN}" if data.get("blank") else ""
    )  # one byte, as the blank that takes its place
    page.text(36, 54, blank + data.get("vendor", "Marlow & Finch Mercantile"), size=18, bold=True)
    page.text(36, 68, "11 Quay Lane, Portland, ME 04101", size=8)
    page.text(
        36,
        79,
        "Reordering? Find our line beside Rifle Paper and HarperCollins at the winter market.",
        size=8,
    )
    day = data["date"]
    printed_day = data.get("date_printed", f"{day:%B} {day.day}, {day.year}")
    page.block(
        410,
        96,
        [f"Invoice No: {blank}{data['number']}", f"Invoice Date: {printed_day}"],
        size=9,
    )
    page.text(36, 104, "Sold To", size=8, bold=True)
    page.block(36, 116, SHIP_TO)
    page.labels(170, UNKNOWN_COLUMNS, size=8)
    y, total = 174.0, unprinted(data)
    for item in items_of(data):
        y += 20
        amount = _amount(item)
        total += amount
        shown = {"amount": f"{amount:,.2f}", "code": blank + item["code"]}
        shown |= printed(data, item["code"])
        page.row(y, UNKNOWN_COLUMNS, item | shown, size=8.5)
    if not data.get("without_total"):
        _total(page, y + 14, [("Total Due", total)])
    page.text(36, 756, "Goods remain ours until paid. 3 % late fee after 30 days.", size=7)
    # reportlab draws no control characters: the bytes are exchanged in what it wrote
    code = f"\\{ord(data['blank']):03o}".encode() if blank else b""
    return page.finish().replace(b"\\244", code) if blank else page.finish()


BOOK_COLUMNS = {
    "isbn": Column(label="ISBN", x=40),
    "title": Column(label="Title", x=124),
    "quantity": Column(label="Qty", x=410, right=True),
    "list_price": Column(label="List", x=480, right=True),
    "amount": Column(label="Amount", x=572, right=True),
}


def summary(data: dict[str, object]) -> bytes:
    """Return a summary with a section for each of two invoices."""
    page = DrawnPage(size=letter, title="Summary of invoices")
    page.text(36, 54, "Larkspur Book Services", size=18, bold=True)
    page.text(36, 68, "One Ingram Way, Box 40, La Vergne, TN 37086", size=8)
    day = data["date"]
    page.text(576, 54, "SUMMARY OF INVOICES", size=12, bold=True, right=True)
    page.text(576, 68, f"Date: {day.month}/{day.day}/{day.year}", size=9, right=True)
    page.block(36, 104, SHIP_TO)
    y, total = 150.0, Decimal(0)
    for number in data["numbers"]:
        page.text(40, y, f"Invoice # {number}", size=10, bold=True)
        y += 18
        page.labels(y, BOOK_COLUMNS, size=8)
        section = Decimal(0)
        for item in items_of(data, f"items_{number}"):
            y += 16
            section += Decimal(item["amount"])
            page.row(y, BOOK_COLUMNS, item, size=8.5)
        y += 16
        page.text(410, y, f"Total {number}", size=8.5, right=True)
        page.text(572, y, f"{section:,.2f}", size=8.5, right=True)
        total += section
        y += 34
    _total(page, y, [("All invoices", total)])
    return page.finish()


LONG_COLUMNS = {
    "code": Column(label="Item No", x=40),
    "description": Column(label="Description", x=110),
    "quantity": Column(label="Qty", x=420, right=True),
    "unit_price": Column(label="Unit Price", x=490, right=True),
    "amount": Column(label="Amount", x=572, right=True),
}


def long(data: dict[str, object]) -> bytes:
    """Return a list of cartons, one page each."""
    page, items = DrawnPage(size=letter, title=f"Invoice {data['number']}"), items_of(data)
    day, per_page = data["date"], len(items) // data["pages"]
    for number in range(data["pages"]):
        if number:
            page.turn()
        page.text(36, 52, "Harbor Lane Wholesale", size=16, bold=True)
        page.text(36, 66, "Pier 9, Duluth, MN 55802", size=8)
        page.text(400, 52, f"Invoice #: {data['number']}", size=9)
        page.text(400, 64, f"Invoice Date: {day.month}/{day.day}/{day.year}", size=9)
        page.text(36, 96, f"Carton {number + 1} of {data['pages']}", size=9, bold=True)
        page.labels(118, LONG_COLUMNS, size=8)
        for place, item in enumerate(items[number * per_page : (number + 1) * per_page]):
            amount = f"{_amount(item):,.2f}"
            page.row(136 + 16 * place, LONG_COLUMNS, item | {"amount": amount}, size=8.5)
        page.text(576, 760, f"Page {number + 1} of {data['pages']}", size=7, right=True)
    return page.finish()
