"""The golden results: what the sheet must hold after each test invoice, written from the same data as the PDFs.

Nothing here reads a PDF, so golden results and any function that reads the documents are independent.
``row`` of a line item is the row of the sheet, columns B to G, as text; its order in ``line_items`` is the sheet's.
"""

from __future__ import annotations

import json
from decimal import Decimal
from typing import TYPE_CHECKING

from variants import VARIANTS

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import date

    from variants import DocumentVariant

    Data = dict[str, object]
    Item = dict[str, object]


def documents(load: Callable[[str], Data]) -> dict[str, str]:
    """Return the golden results by file name, as JSON text."""
    golden = {name: make(load(name)) for name, make in READABLE.items()} | UNREADABLE
    golden |= {name: _variant(load, name, it) for name, it in VARIANTS.items()}
    return {f"{name}.json": _text({"document": f"{name}.pdf", **it}) for name, it in golden.items()}


def _text(golden: object) -> str:
    return json.dumps(golden, indent=1, ensure_ascii=False) + "\n"


def _items(data: Data) -> list[Item]:
    return [dict(zip(data["columns"], values, strict=True)) for values in data["items"]]


def _plain(day: date) -> str:
    return f"{day.month}/{day.day}/{day.year}"


def _success(
    data: Data,
    *,
    profile: str,
    vendor: str,
    date_text: str,
    lines: list[Item],
    answer_vendor: str = "",
) -> Data:
    """Put a result together; ``lines`` hold the fields of a line item plus its ``text`` and ``price``."""
    for line in lines:
        number = line.setdefault("invoice_number", data["number"])
        text, price = line.pop("text"), line.pop("price")
        line["row"] = [date_text, vendor, number, text, price, str(line["quantity"])]
    return {
        "profile": profile,
        "outcome": {"kind": "success", "statuses": [200], "rows": len(lines)},
        "vendor": vendor,
        "invoice_number": data["number"],
        "date": data["date"].isoformat(),
        "date_text": date_text,
        "answer_vendor": answer_vendor or vendor,
        "line_items": lines,
    }


def _creative_coop(data: Data, lines: list[tuple[Item, int]]) -> Data:
    rows = [
        {
            "code": item["code"],
            "upc": item["upc"],
            "description": item["description"],
            "quantity": quantity,
            "unit_price": item["your_price"],
            "text": f"{item['code']} - UPC: 0{item['upc']} - {item['description']}",
            "price": f"${item['your_price']}",
        }
        for item, quantity in lines
        if quantity > 0
    ]
    rows.sort(key=lambda row: row["code"])
    day = _plain(data["date"])
    return _success(
        data, profile="creative_coop", vendor="Creative Co-op", date_text=day, lines=rows
    )


def _creative_coop_order(data: Data) -> Data:
    """An order confirmation counts what was shipped or, where nothing was yet, what was ordered."""
    return _creative_coop(data, [(i, i["shipped"] or i["ordered"]) for i in _items(data)])


def _creative_coop_invoice(data: Data) -> Data:
    """An invoice counts only what was shipped; tariff lines are no products."""
    products = [item for item in _items(data) if item["code"] != "TRF-CCOI"]
    return _creative_coop(data, [(item, item["shipped"]) for item in products])


def _harpercollins(data: Data) -> Data:
    """Half the list price as the sheet has always had it: the binary double, printed with two decimals.

    4.995 gives 5.00 and 14.995 gives 14.99, since the nearest double is above the one and below the other.
    """
    share = 1 - float(data["discount_percent"]) / 100
    rows = [
        {
            "code": item["isbn"],
            "upc": None,
            "description": item["title"],
            "quantity": item["quantity"],
            "unit_price": (price := f"{float(item['list_price']) * share:.2f}"),
            "text": f"{item['isbn']} - {item['title']}",
            "price": price,
        }
        for item in _items(data)
    ]
    rows.sort(key=lambda row: row["code"])
    day = f"{data['date']:%m/%d/%y}"
    return _success(
        data, profile="harpercollins", vendor="HarperCollins", date_text=day, lines=rows
    )


def _onehundred80(data: Data) -> Data:
    rows = [
        {
            "code": item["code"],
            "upc": item["upc"],
            "description": item["description"],
            "quantity": item["quantity"],
            "unit_price": item["unit_price"],
            "text": f"{item['code']} - UPC: 0{item['upc']} - {item['description']}",
            "price": f"${item['unit_price']}",
        }
        for item in _items(data)
    ]
    return _success(
        data,
        profile="onehundred80",
        vendor="One Hundred 80 Degrees",
        answer_vendor="OneHundred80",
        date_text=f"{data['date']:%m/%d/%Y}",
        lines=rows,
    )


def _line(code: str, item: Item, price: str) -> Item:
    price = price.replace(",", "")
    return {
        "code": code,
        "upc": item.get("upc"),
        "description": item.get("description", item.get("title")),
        "quantity": item["quantity"],
        "unit_price": price,
        "text": f"{code} - {item.get('description', item.get('title'))}",
        "price": f"${price}",
    }


def _other(data: Data, profile: str, vendor: str) -> Data:
    """A vendor without a format of its own: rows as in the document."""
    lines = [_line(item["code"], item, item["unit_price"]) for item in _items(data)]
    return _success(
        data, profile=profile, vendor=vendor, date_text=_plain(data["date"]), lines=lines
    )


def _summary(data: Data) -> Data:
    """Several invoices in one document: each row has the number of its section, the price is amount / quantity."""
    lines = []
    for number in data["numbers"]:
        for item in _items(data | {"items": data[f"items_{number}"]}):
            price = Decimal(item["amount"]) / item["quantity"]
            lines.append(_line(item["isbn"], item, f"{price:.2f}") | {"invoice_number": number})
    both = data | {"number": ", ".join(data["numbers"])}
    day = _plain(data["date"])
    return _success(
        both, profile="unknown", vendor="Larkspur Book Services", date_text=day, lines=lines
    )


def _variant(load: Callable[[str], Data], name: str, variant: DocumentVariant) -> Data:
    """A document of doubt: rows are right only if the answer speaks of it, or if all of it can be read."""
    golden = READABLE[variant.base](load(name)) | {"note": variant.note}
    if variant.kind == "success":
        return golden
    rows = golden["outcome"]["rows"] if variant.is_whole else 0
    outcome = {"kind": variant.kind, "statuses": [200, 400, 422, 500], "rows": rows}
    return golden | {"profile": "doubtful", "outcome": outcome}


def _nothing(kind: str, statuses: list[int], note: str) -> Data:
    outcome = {"kind": kind, "statuses": statuses, "rows": 0}
    return {"profile": "unreadable", "note": note, "outcome": outcome}


UNREADABLE: dict[str, Data] = {
    "scanned": _nothing("warning", [200], "a picture of an invoice, without text"),
    "blank": _nothing("warning", [200], "one empty page"),
    "encrypted": _nothing("error", [400, 500], "needs a password"),
    "truncated": _nothing(
        "error", [400, 500], "most pages are there; some of the rows would be wrong"
    ),
    "empty": _nothing("error", [400], "no bytes"),
    "text_file": _nothing("error", [400, 500], "no PDF but by name"),
}

READABLE: dict[str, Callable[[Data], Data]] = {
    "creative_coop_CS003837319": _creative_coop_order,
    "creative_coop_CI004848705": _creative_coop_invoice,
    "creative_coop_without_number": lambda data: _creative_coop_invoice(
        data | {"number": data["number"] or "Unknown"}
    ),
    "harpercollins_NS4435067": _harpercollins,
    "onehundred80_1T25194476NCHR": _onehundred80,
    "rifle_paper_3363053": lambda data: _other(data, "rifle_paper", "Rifle Paper Co."),
    "rifle_paper_J7XM9XQ3HB": lambda data: _other(data, "rifle_paper", "Rifle Paper Co."),
    "unknown_vendor": lambda data: _other(
        data, "unknown", data.get("vendor", "Marlow & Finch Mercantile")
    ),
    "long_200_pages": lambda data: _other(data, "unknown", "Harbor Lane Wholesale"),
    "summary_77389954": _summary,
}
