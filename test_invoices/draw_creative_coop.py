"""The two Creative-Coop documents: an order confirmation over 15 pages and an invoice with tariff lines."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

from layout import Column, DrawnPage, printed, unprinted, wrap
from reportlab.lib.pagesizes import landscape, letter

if TYPE_CHECKING:
    from datetime import date

ADDRESS = ["6000 Freeport Avenue, Suite 101", "Memphis, TN 38141", "901-555-0144"]
SHIP_TO = ["NORTH STAR GIFT & BOOK", "418 WATER STREET", "STILLWATER, MN 55082"]


def short(day: date) -> str:
    """Write a date as the vendor does: 1/17/2025."""
    return f"{day.month}/{day.day}/{day.year}"


ORDER_COLUMNS = {
    "code": Column(label="Product Code", x=40),
    "upc": Column(label="UPC", x=110),
    "rt": Column(label="RT", x=190),
    "ordered": Column(label="Qty Ord", x=262, right=True),
    "allocated": Column(label="Qty Alloc", x=318, right=True),
    "shipped": Column(label="Qty Shipped", x=382, right=True),
    "backordered": Column(label="Qty BkOrd", x=440, right=True),
    "um": Column(label="U/M", x=462),
    "list_price": Column(label="List Price", x=556, right=True),
    "your_price": Column(label="Your Price", x=636, right=True),
    "extended": Column(label="Your Extd Price", x=750, right=True),
}


class OrderConfirmation:
    """CS003837319: every line flows on its own, so products break over pages wherever the page is full."""

    LAST_LINE = 540.0
    PAGES = 15

    def __init__(self, data: dict[str, object]) -> None:
        """Take the printed facts from ``data``."""
        self.data = data
        self.page = DrawnPage(size=landscape(letter), title=f"Order confirmation {data['number']}")
        self.y = 0.0

    def draw(self) -> bytes:
        """Return the document."""
        self._head()
        names = self.data["columns"]
        for values in self.data["items"]:
            item = dict(zip(names, values, strict=True))
            self._line(lambda y, item=item: self.page.row(y, ORDER_COLUMNS, item), 12)
            for words in wrap(item["description"], 158, size=7.5):
                self._line(lambda y, words=words: self.page.text(52, y, words, size=7.5), 10.5)
            self.y += 15
        self._totals(names)
        return self.page.finish()

    def _line(self, write: object, leading: float) -> None:
        if self.y + leading > self.LAST_LINE:
            self._foot()
            self.page.turn()
            self._head()
        self.y += leading
        write(self.y)

    def _head(self) -> None:
        page, data = self.page, self.data
        page.text(36, 44, "Creative Co-Op Seasonal", size=17, bold=True)
        page.block(36, 56, ADDRESS, size=7)
        page.text(756, 44, "ORDER CONFIRMATION", size=13, bold=True, right=True)
        page.text(756, 56, "THIS IS NOT AN INVOICE", size=7, right=True)
        y = 86.0
        if page.number == 1:
            page.text(36, 92, "SOLD TO / SHIP TO", size=6.5, bold=True)
            page.block(36, 102, SHIP_TO, size=8)
            y = 130.0
        of = f"{page.number} of {self.PAGES}"
        cells = [("ORDER NO:", data["number"], 120.0), ("ORDER DATE:", short(data["date"]), 100.0)]
        cells += [
            ("CUSTOMER NO:", data["customer_no"], 90.0),
            ("CUSTOMER PO:", data["customer_po"], 120.0),
        ]
        cells += [
            ("TERMS:", data["terms"], 80.0),
            ("SHIP VIA:", data["ship_via"], 110.0),
            ("PAGE:", of, 100.0),
        ]
        page.grid(36, y, cells)
        page.labels(y + 42, ORDER_COLUMNS)
        self.y = y + 49

    def _foot(self) -> None:
        page = self.page
        page.rule(566)
        page.text(
            36,
            576,
            "Prices and availability are subject to change. Back orders ship when received.",
            size=6.5,
        )
        page.text(36, 585, f"{self.data['number']}   Rep {self.data['sales_rep']}", size=6.5)
        page.text(756, 576, f"Page {page.number} of {self.PAGES}", size=6.5, right=True)
        page.text(756, 585, "1 800 555 0144", size=6.5, right=True)

    def _totals(self, names: list[str]) -> None:
        items = [dict(zip(names, values, strict=True)) for values in self.data["items"]]
        total = sum((Decimal(item["extended"]) for item in items), Decimal(0))
        pieces = sum(item["ordered"] for item in items)
        self.y += 14
        self.page.rule(self.y - 9, x0=480)
        self.page.text(500, self.y, f"Total pieces ordered: {pieces}", size=8)
        self.page.text(750, self.y, f"ORDER TOTAL  {total:,.2f}", size=9, bold=True, right=True)
        self._foot()
        if self.page.number != self.PAGES:
            raise ValueError(f"the order takes {self.page.number} pages, not {self.PAGES}")


INVOICE_COLUMNS = {
    "upc": Column(label="UPC", x=40),
    "customer": Column(label="Customer", x=104),
    "code": Column(label="Item", x=150),
    "shipped": Column(label="Shipped", x=236, right=True),
    "back": Column(label="Back", x=266, right=True),
    "ordered": Column(label="Ordered", x=306, right=True),
    "um": Column(label="UM", x=318),
    "list_price": Column(label="List Price", x=390, right=True),
    "truck": Column(label="Truck", x=430, right=True),
    "your_price": Column(label="Your Price", x=486, right=True),
    "extended": Column(label="Extended Amount", x=572, right=True),
}


class DrawnInvoice:
    """CI004848705: a page writes its codes and descriptions first and its numbers afterwards.

    Text extraction in stream order therefore finds two blocks, as OCR does on the real document.
    """

    LAST_LINE = 690.0

    def __init__(self, data: dict[str, object]) -> None:
        """Take the printed facts from ``data``."""
        self.data = data
        self.page = DrawnPage(size=letter, title=f"Invoice {data['number']}")
        self.y = 0.0
        self.late: list[tuple[float, dict[str, object]]] = []

    def draw(self) -> bytes:
        """Return the document."""
        self._head()
        words = ("upc", "customer", "code")
        items = [dict(zip(self.data["columns"], row, strict=True)) for row in self.data["items"]]
        for item in items:
            lines = wrap(item["description"], 250, size=7.5)
            if self.y + 12 + 10 * len(lines) > self.LAST_LINE:
                self._foot(last=False)
                self.page.turn()
                self._head()
            self.y += 13
            shown = item | printed(self.data, item["code"])
            self.page.row(self.y, INVOICE_COLUMNS, {name: shown[name] for name in words})
            numbers = {name: value for name, value in shown.items() if name not in words}
            self.late.append((self.y, numbers))
            for line in lines:
                self.y += 10
                self.page.text(48, self.y, line, size=7.5)
            self.y += 4
        if not self.data.get("without_total"):
            self._totals(items)
        self._foot(last=True)
        return self.page.finish()

    def _head(self) -> None:
        page, data = self.page, self.data
        page.text(36, 46, "Creative Co-Op", size=18, bold=True)
        page.block(36, 58, ADDRESS, size=7)
        page.text(576, 46, "INVOICE", size=15, bold=True, right=True)
        y = 92.0
        if page.number == 1:
            page.text(36, 96, "SHIP TO", size=6.5, bold=True)
            page.block(36, 106, SHIP_TO, size=8)
            page.text(330, 96, "REMIT TO", size=6.5, bold=True)
            page.block(
                330, 106, ["CREATIVE CO-OP, INC.", "DEPT 2417", "BIRMINGHAM, AL 35246"], size=8
            )
            y = 138.0
        cells = [("INVOICE NO", data["number"], 110.0), ("INVOICE DATE", short(data["date"]), 80.0)]
        cells += [
            ("ORDER NO", data["order_number"], 100.0),
            ("CUSTOMER PO", data["customer_po"], 110.0),
        ]
        cells += [("TERMS", data["terms"], 60.0), ("PAGE", str(page.number), 80.0)]
        page.grid(36, y, cells)
        page.labels(y + 42, INVOICE_COLUMNS, size=6.5)
        self.y = y + 48

    def _foot(self, *, last: bool) -> None:
        page = self.page
        for y, numbers in self.late:
            page.row(y, INVOICE_COLUMNS, numbers)
        self.late.clear()
        page.rule(724)
        page.text(
            36,
            734,
            "Claims must be made within 5 days of receipt. Returns need authorization.",
            size=6.5,
        )
        page.text(
            576,
            734,
            f"Page {page.number}" if last else "Continued on next page",
            size=6.5,
            right=True,
        )

    def _totals(self, items: list[dict[str, object]]) -> None:
        tariff = sum(Decimal(i["extended"]) for i in items if i["code"] == "TRF-CCOI")
        goods = sum(Decimal(i["extended"]) for i in items) - tariff + unprinted(self.data)
        freight = Decimal(self.data["freight"])
        rows = [("Merchandise", goods), ("Tariff surcharge", tariff), ("Freight", freight)]
        self.y += 16
        self.page.rule(self.y - 10, x0=400, x1=576)
        for label, amount in [*rows, ("INVOICE TOTAL", goods + tariff + freight)]:
            bold = label == "INVOICE TOTAL"
            self.page.text(410, self.y, label, size=8, bold=bold)
            self.page.text(572, self.y, f"{amount:,.2f}", size=8, bold=bold, right=True)
            self.y += 12
