"""What the suites know of invoices: golden results, and what a posting came to.

Nothing here is believed because an answer says it: a :class:`Posting` holds the rows that the sheet really gained.
"""

import json
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from fractions import Fraction
from functools import cache
from pathlib import Path

from pytest_deploygate.checks.accuracy import AccuracyReport, Record, compare
from pytest_deploygate.checks.contract import Violation, load_schema, violations
from pytest_deploygate.checks.deployment import Deployment
from pytest_deploygate.checks.endpoint import Json
from pytest_deploygate.checks.probe import Answer
from suites.support.rows import InvoiceLine, SheetRow, parse_day, parse_line
from suites.support.sheet import SheetReader
from suites.support.zapier import Call, HeaderSet, file_call, load_header_sets

ROOT = Path(__file__).resolve().parents[1]
DOCUMENTS = ROOT / "test_invoices"
EXPECTED = ROOT / "fixtures" / "expected"
SCHEMAS = ROOT / "fixtures" / "schemas"

ORDER = "creative_coop_CS003837319"
DELIVERY = "creative_coop_CI004848705"
SMALL = "harpercollins_NS4435067"
NO_STATISTICS = (
    "checks cannot ask this platform for memory in time; where the trigger memory_exhaustion judges it, let the gate "
    'do without: [tool.deploygate.environments.NAME.gates] GATE = { skips = "allow" }'
)
SPREADSHEET, TAB = "GOOGLE_SHEETS_SPREADSHEET_ID", "GOOGLE_SHEETS_SHEET_NAME"


@dataclass(frozen=True, slots=True, kw_only=True)
class Golden:
    """What one document must come to; ``records`` are as line items are compared, in the order of the sheet."""

    name: str
    profile: str
    kind: str
    """``success``, ``warning`` or ``error``."""
    statuses: tuple[int, ...]
    vendor: str
    answer_vendor: str
    invoice_number: str
    day: date | None
    records: tuple[Record, ...]
    """With the UPC only where the sheet shows it."""
    numbers: tuple[str, ...]
    """Invoice number of each record: a summary has several."""

    @property
    def document(self) -> bytes:
        """The PDF."""
        return (DOCUMENTS / f"{self.name}.pdf").read_bytes()

    @property
    def total(self) -> Decimal:
        """Sum of price x quantity."""
        return total_of(self.records)


@dataclass(frozen=True, slots=True, kw_only=True)
class Vendor:
    """A vendor profile; ``accuracy`` is the least accuracy, None where rows or an honest warning are enough."""

    key: str
    name: str
    accuracy: Fraction | None
    documents: tuple[str, ...]


@cache
def golden(name: str) -> Golden:
    """The golden result of the document ``name``."""
    found = json.loads((EXPECTED / f"{name}.json").read_text(encoding="utf-8"))
    items = found.get("line_items", [])
    return Golden(
        name=name,
        profile=found["profile"],
        kind=found["outcome"]["kind"],
        statuses=tuple(found["outcome"]["statuses"]),
        vendor=found.get("vendor", ""),
        answer_vendor=found.get("answer_vendor", ""),
        invoice_number=found.get("invoice_number", ""),
        day=date.fromisoformat(found["date"]) if "date" in found else None,
        records=tuple(
            {
                "code": item["code"],
                "upc": item["upc"] if "UPC:" in item["row"][3] else None,
                "description": item["description"],
                "price": item["unit_price"],
                "quantity": item["quantity"],
            }
            for item in items
        ),
        numbers=tuple(item["invoice_number"] for item in items),
    )


@cache
def vendors() -> tuple[Vendor, ...]:
    """All vendor profiles."""
    profiles = tomllib.loads((ROOT / "fixtures" / "vendors.toml").read_text(encoding="utf-8"))
    return tuple(
        Vendor(
            key=key,
            name=profile["name"],
            accuracy=Fraction(profile["accuracy"]) if "accuracy" in profile else None,
            documents=tuple(profile["documents"]),
        )
        for key, profile in profiles.items()
    )


@cache
def header_sets() -> Mapping[str, HeaderSet]:
    """Zapier's header sets."""
    return load_header_sets(ROOT / "fixtures" / "zapier")


def upload(document: str, *, file_name: str = "") -> Call:
    """The document ``document`` as Zapier uploads it."""
    return file_call(
        header_sets()["webhooks_post_file"],
        file_name=file_name or f"{document}.pdf",
        content=golden(document).document,
    )


@cache
def schema(name: str) -> Mapping[str, Json]:
    """The JSON Schema ``name`` of the fixtures."""
    return load_schema(SCHEMAS / f"{name}.schema.json")


def contract_violations(answer: Answer) -> tuple[Violation, ...]:
    """Where an answer breaks the contract that every answer of the function keeps."""
    return violations(answer.json, schema("answer"))


def total_of(records: Sequence[Record]) -> Decimal:
    """Sum of price x quantity; a record without a number counts nothing."""
    products = (
        Decimal(str(r["price"])) * Decimal(str(r["quantity"]))
        for r in records
        if r["price"] is not None and r["quantity"] is not None
    )
    return sum(products, Decimal(0))


@dataclass(frozen=True, slots=True, kw_only=True)
class Posting:
    """One POST and what the sheet gained by it."""

    document: str
    answer: Answer
    rows: tuple[SheetRow, ...]
    shown: tuple[SheetRow, ...]
    """The same rows as a person sees them."""

    @property
    def golden(self) -> Golden:
        """What it should have come to."""
        return golden(self.document)

    @property
    def lines(self) -> tuple[InvoiceLine, ...]:
        """The rows as invoice lines."""
        return tuple(parse_line(row) for row in self.rows)

    @property
    def records(self) -> list[Record]:
        """The rows as they are compared."""
        return [line.as_record() for line in self.lines]

    def accuracy(self) -> AccuracyReport:
        """The rows held against the golden line items."""
        return compare(self.golden.records, self.records)

    def wrong_places(self) -> list[str]:
        """What is wrong with the columns: one sentence a row."""
        return [f"row {row.number}: {row.cells}" for row in self.rows if not row.is_in_place]

    def wrong_headers(self) -> list[str]:
        """Where date, vendor or number differ from the document, or a date is not shown as one."""
        numbers = set(self.golden.numbers)
        found = []
        for row, line, shown in zip(self.rows, self.lines, self.shown, strict=True):
            day = str(shown.cells[1])
            if line.day != self.golden.day or parse_day(day) != line.day:
                found.append(f"row {row.number}: date {row.cells[1]!r}, shown as {day!r}")
            if line.vendor != self.golden.vendor:
                found.append(f"row {row.number}: vendor {line.vendor!r}")
            if line.invoice_number not in numbers:
                found.append(f"row {row.number}: number {line.invoice_number!r}")
        return found

    def wrong_types(self) -> list[str]:
        """Prices and quantities that are no numbers, or are more precise than cents and pieces."""
        found = []
        for row, line in zip(self.rows, self.lines, strict=True):
            is_price = line.price is not None and line.price == round(line.price, 2)
            is_count = line.quantity is not None and line.quantity == int(line.quantity)
            is_number = all(isinstance(cell, (int, float)) for cell in row.cells[5:7])
            if not (is_price and is_count and is_number):
                found.append(f"row {row.number}: price {row.cells[5]!r}, quantity {row.cells[6]!r}")
        return found

    def is_faithful(self) -> bool:
        """Whether the rows are the golden ones, each once, in place, with the right headers."""
        is_placed = not self.wrong_places() and not self.wrong_headers()
        return is_placed and self.accuracy().is_perfect


def sheet_of(
    deployment: Deployment, variables: Mapping[str, str], *, may_write: bool
) -> SheetReader:
    """The tab that a function with these environment variables writes to."""
    return SheetReader(
        deployment.services["sheets"],
        variables[SPREADSHEET],
        variables[TAB],
        token=deployment.access_token,
        may_write=may_write,
    )
