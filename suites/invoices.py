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
from typing import TypeAlias

from pytest_deploygate.checks.accuracy import AccuracyReport, Record
from pytest_deploygate.checks.contract import Violation, load_schema, violations
from pytest_deploygate.checks.deployment import Deployment
from pytest_deploygate.checks.endpoint import Json
from pytest_deploygate.checks.probe import Answer
from suites.support.json_sink import RecordReader
from suites.support.profile import SinkKind, profile
from suites.support.rows import Cell, InvoiceLine, SheetRow, compare_lines, parse_day, parse_line
from suites.support.sheet_reader import SheetReader
from suites.support.zapier import HeaderSet, ZapierCall, file_call, load_header_sets

Sink: TypeAlias = SheetReader | RecordReader
"""Where the function writes."""
NO_STATISTICS = (
    "checks cannot ask this platform for memory in time; where the trigger memory_exhaustion judges it, let the gate "
    'do without: [tool.deploygate.environments.NAME.gates] GATE = { skips = "allow" }'
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Golden:
    """What one document must come to; ``records`` are as line items are compared, in the order of the sheet."""

    name: str
    profile: str
    kind: str
    """``success``, ``warning``, ``error`` or ``doubtful``: one of the others, or rows with warnings."""
    rows: int
    """Rows that may be written without a warning."""
    statuses: tuple[int, ...]
    vendor: str
    answer_vendor: str
    invoice_number: str
    day: date | None
    records: tuple[Record, ...]
    """With the UPC only where the sink shows it."""
    numbers: tuple[str, ...]
    """Invoice number of each record: a summary has several."""

    @property
    def document(self) -> bytes:
        """Its bytes."""
        return document_path(self.name).read_bytes()

    @property
    def total(self) -> Decimal:
        """Sum of price x quantity."""
        return total_of(self.records)


@dataclass(frozen=True, slots=True, kw_only=True)
class VendorProfile:
    """A vendor profile; ``accuracy`` is the least accuracy, None where rows or an honest warning are enough."""

    key: str
    name: str
    accuracy: Fraction | None
    documents: tuple[str, ...]


@cache
def golden(name: str) -> Golden:
    """The golden result of the document ``name``."""
    found = json.loads((profile().expected / f"{name}.json").read_text(encoding="utf-8"))
    has_upc = profile().sink.layout.has_upc
    items = found.get("line_items", [])
    return Golden(
        name=name,
        profile=found["profile"],
        kind=found["outcome"]["kind"],
        rows=found["outcome"]["rows"],
        statuses=tuple(found["outcome"]["statuses"]),
        vendor=found.get("vendor", ""),
        answer_vendor=found.get("answer_vendor", ""),
        invoice_number=found.get("invoice_number", ""),
        day=date.fromisoformat(found["date"]) if "date" in found else None,
        records=tuple(
            {
                "code": item["code"],
                "upc": item["upc"]
                if has_upc or any("UPC:" in cell for cell in item.get("row", ()))
                else None,
                "description": item["description"],
                "price": item["unit_price"],
                "quantity": item["quantity"],
            }
            for item in items
        ),
        numbers=tuple(item["invoice_number"] for item in items)
        or ((found["invoice_number"],) if "invoice_number" in found else ()),
    )


@cache
def vendors() -> tuple[VendorProfile, ...]:
    """All vendor profiles."""
    profiles = tomllib.loads(profile().vendors.read_text(encoding="utf-8"))
    return tuple(
        VendorProfile(
            key=key,
            name=it["name"],
            accuracy=Fraction(it["accuracy"]) if "accuracy" in it else None,
            documents=tuple(it["documents"]),
        )
        for key, it in profiles.items()
    )


@cache
def header_sets() -> Mapping[str, HeaderSet]:
    """Zapier's header sets."""
    return load_header_sets(profile().header_sets)


def upload(document: str, *, file_name: str = "") -> ZapierCall:
    """The document ``document`` as Zapier uploads it."""
    return file_call(
        header_sets()["webhooks_post_file"],
        file_name=file_name or document_path(document).name,
        content=golden(document).document,
        field=profile().file_field,
        content_type=profile().media_type,
    )


def document_path(document: str) -> Path:
    """File of a document."""
    return profile().documents / f"{document}{profile().suffix}"


@cache
def schema(path: Path) -> Mapping[str, Json]:
    """The JSON Schema in the file ``path``."""
    return load_schema(path)


def refusal_problem(answer: Answer, name: str) -> str:
    """What is wrong with an answer that should be the refusal ``name``; empty if nothing is."""
    wanted = profile().refusals[name]
    if (answer.status, answer.json) == (wanted.status, wanted.body):
        return ""
    return f"{answer.status} {answer.text}, not {wanted.status} {wanted.body}"


def count_said(answer: Answer) -> int | None:
    """How many rows were added by the answer's own word, None if it has none."""
    said = (answer.value(name) for name in profile().answer.counts)
    return next((count for count in said if isinstance(count, int)), None)


def warnings_of(answer: Answer) -> list[str]:
    """What a successful answer says may be missing or wrong in its rows."""
    found = answer.value(profile().answer.warnings)
    return [str(one) for one in found] if isinstance(found, list) else []


def contract_violations(answer: Answer) -> tuple[Violation, ...]:
    """Where an answer breaks the contract that every answer of the function keeps."""
    return violations(answer.json, schema(profile().answer_schema))


def total_of(records: Sequence[Record]) -> Decimal:
    """Sum of price x quantity; a record without a number counts nothing."""
    products = (
        Decimal(str(r["price"])) * Decimal(str(r["quantity"]))
        for r in records
        if r["price"] is not None and r["quantity"] is not None
    )
    return sum(products, Decimal(0))


_TEXTS = ("vendor", "number", "item", "code", "description", "upc")
_NUMBERS = ("price", "quantity")


def cell_of(row: SheetRow, column: str) -> Cell:
    """The cell of a column."""
    layout = profile().sink.layout
    return row.cells[layout.before + layout.columns.index(column)]


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
        layout = profile().sink.layout
        return tuple(parse_line(row, layout) for row in self.rows)

    @property
    def records(self) -> list[Record]:
        """The rows as they are compared."""
        return [line.as_record() for line in self.lines]

    def accuracy(self) -> AccuracyReport:
        """The rows held against the golden line items."""
        return compare_lines(self.golden.records, self.records)

    def wrong_places(self) -> list[str]:
        """What is wrong with the columns: one sentence a row."""
        return [f"row {row.number}: {row.cells}" for row in self.rows if not row.is_in_place]

    def wrong_headers(self) -> list[str]:
        """Where date, vendor or number differ from the document, or a date is not shown as one."""
        numbers = set(self.golden.numbers)
        found = []
        for row, line, shown in zip(self.rows, self.lines, self.shown, strict=True):
            day = str(cell_of(shown, "date"))
            if line.day != self.golden.day or parse_day(day) != line.day:
                found.append(f"row {row.number}: date {cell_of(row, 'date')!r}, shown as {day!r}")
            if line.vendor != self.golden.vendor:
                found.append(f"row {row.number}: vendor {line.vendor!r}")
            if line.invoice_number not in numbers:
                found.append(f"row {row.number}: number {line.invoice_number!r}")
            texts = [cell_of(row, name) for name in _TEXTS if name in profile().sink.layout.columns]
            if not all(isinstance(cell, str) for cell in texts):
                found.append(f"row {row.number}: a text became a number: {texts}")
        return found

    def wrong_types(self) -> list[str]:
        """Prices and quantities that are no numbers, or are more precise than cents and pieces."""
        found = []
        for row, line in zip(self.rows, self.lines, strict=True):
            is_price = line.price is not None and line.price == round(line.price, 2)
            is_count = line.quantity is not None and line.quantity == int(line.quantity)
            cells = [cell_of(row, name) for name in _NUMBERS]
            is_number = all(isinstance(cell, (int, float)) for cell in cells)
            if not (is_price and is_count and is_number):
                found.append(f"row {row.number}: price and quantity {cells}")
        return found

    def wrong_names(self) -> list[str]:
        """Where the answer names another vendor, number or date than the document."""
        names, truth = profile().answer, self.golden
        said = {name: self.answer.value(name) for name in (names.vendor, names.number, names.date)}
        found = [f"{name} {said[name]!r}" for name in said if not isinstance(said[name], str)]
        if said[names.vendor] != truth.answer_vendor:
            found.append(f"vendor {said[names.vendor]!r}, not {truth.answer_vendor!r}")
        if said[names.number] != truth.invoice_number:
            found.append(f"number {said[names.number]!r}, not {truth.invoice_number!r}")
        if parse_day(str(said[names.date])) != truth.day:
            found.append(f"date {said[names.date]!r}, not {truth.day}")
        return found

    @property
    def is_error(self) -> bool:
        """Whether the answer is an error."""
        return self.answer.status >= 400

    @property
    def is_warning(self) -> bool:
        """Whether the answer says that nothing was found."""
        return self.answer.value(profile().answer.warning) is not None

    def dishonesty(self) -> str:
        """What the answer says that is not so; empty if it tells of the rows as they are.

        Success means that all rows are there, each once; an error or a warning that there are none. An error may say
        that this is not known.
        """
        if violated := contract_violations(self.answer):
            return f"breaks the contract: {violated}"
        text = f"HTTP {self.answer.status} {self.answer.text[:300]}"
        if self.is_error or self.is_warning:
            is_unsure = self.is_error and profile().answer.unsure in self.answer.text
            return "" if is_unsure or not self.rows else f"{len(self.rows)} rows, and {text}"
        if count_said(self.answer) != len(self.rows):
            return f"{len(self.rows)} rows, and {text}"
        return "" if self.is_faithful() or warnings_of(self.answer) else f"wrong rows, and {text}"

    def is_faithful(self) -> bool:
        """Whether the rows are the golden ones, each once, in place, with the right headers."""
        is_placed = not self.wrong_places() and not self.wrong_headers()
        return is_placed and self.accuracy().is_perfect


def sink_of(deployment: Deployment, variables: Mapping[str, str], *, may_write: bool) -> Sink:
    """Where a function with these environment variables writes."""
    sink = profile().sink
    service, place = service_of(deployment), [variables[name] for name in sink.place]
    if sink.kind is SinkKind.SHEET:
        spreadsheet, tab = place
        return SheetReader(
            service,
            spreadsheet,
            tab,
            token=deployment.access_token,
            may_write=may_write,
            layout=sink.layout,
        )
    (collection,) = place
    return RecordReader(
        service,
        collection,
        token=deployment.access_token,
        may_write=may_write,
        layout=sink.layout,
        fields=sink.fields,
    )


def service_of(deployment: Deployment) -> str:
    """Base URL of the sink's service."""
    return deployment.services[profile().sink.service]
