"""HarperCollins purchase order NS4435067, placed through a distributor."""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal

from layout import Column, DrawnPage, printed, unprinted
from reportlab.lib.pagesizes import letter

COLUMNS = {
    "line": Column(label="Ln", x=40),
    "isbn": Column(label="ISBN", x=62),
    "title": Column(label="Title", x=140),
    "quantity": Column(label="Qty", x=412, right=True),
    "list_price": Column(label="List", x=462, right=True),
    "discount": Column(label="Disc", x=510, right=True),
    "net": Column(label="Net Amount", x=572, right=True),
}


def draw(data: dict[str, object]) -> bytes:
    """Return the document."""
    page = DrawnPage(size=letter, title=f"Purchase order {data['number']}")
    discount = Decimal(data["discount_percent"])
    page.text(36, 50, "Anne McGilvray & Company", size=18, bold=True)
    page.block(
        36, 64, ["Minneapolis Showroom", "Minneapolis Mart, Suite 220", "Minnetonka, MN 55343"]
    )
    page.text(576, 50, "PURCHASE ORDER", size=14, bold=True, right=True)
    page.block(
        400, 70, [f"Order #: {data['number']}", f"Order Date: {data['date']:%m/%d/%Y}"], size=9
    )
    page.text(400, 94, "Page 1", size=9)
    page.rule(112)
    page.text(36, 126, "BILL TO / SHIP TO", size=6.5, bold=True)
    page.block(36, 137, ["North Star Gift & Book", "418 Water Street", "Stillwater, MN 55082"])
    page.text(330, 126, "MFR: HarperCollins", size=10, bold=True)
    page.block(
        330,
        139,
        ["Children's and gift list", "Ship: When ready", f"Discount: {discount}% OFF"],
        size=8.5,
    )
    page.labels(190, COLUMNS, size=8)
    y, total = 198.0, unprinted(data)
    for number, values in enumerate(data["items"], start=1):
        item = dict(zip(data["columns"], values, strict=True))
        net = Decimal(item["list_price"]) * item["quantity"] * (100 - discount) / 100
        total += net
        y += 17
        extra = {"line": number, "discount": f"{discount}%", "net": f"{_cents(net)}"}
        page.row(y, COLUMNS, item | extra | printed(data, item["isbn"]), size=8)
        page.rule(y + 5, width=0.15)
    y += 22
    pieces = sum(values[2] for values in data["items"])
    page.text(412, y, f"{pieces}", size=9, bold=True, right=True)
    page.text(572, y, f"Total  {_cents(total):,}", size=9, bold=True, right=True)
    page.text(
        36, y + 26, "Orders are subject to approval by the manufacturer. Thank you!", size=7.5
    )
    page.text(36, 760, "Anne McGilvray & Company  800 555 0199", size=7)
    page.text(576, 760, f"{data['number']}  1 of 1", size=7, right=True)
    return page.finish()


def _cents(amount: Decimal) -> Decimal:
    return amount.quantize(Decimal("0.01"), rounding=ROUND_HALF_UP)
