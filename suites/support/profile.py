"""What the suites know of the function that they judge: documents, vendors, columns, sink, contract, limits.

All of it is data in one file of ``fixtures/``, which pytest's setting ``suite_profile`` names. Suites ask
:func:`profile`; nothing of one function is written in them.
"""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum, unique
from fractions import Fraction
from pathlib import Path
from typing import Any

from pytest_deploygate.core.errors import ConfigError
from suites.support.rows import RowLayout

ROOT = Path(__file__).resolve().parents[2]
DEFAULT = "fixtures/process_invoice.toml"


@unique
class SinkKind(Enum):
    """Where the function writes: the tab of a spreadsheet, or a collection of JSON records."""

    SHEET = "sheet"
    RECORDS = "records"


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpectedRefusal:
    """How a request that is refused is answered."""

    status: int
    body: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerFields:
    """Names of the fields of an answer; ``counts`` are those of which one says how many rows were added."""

    vendor: str
    number: str
    date: str
    counts: tuple[str, ...]
    range: str
    error: str
    warning: str
    warnings: str
    unsure: str
    """Words of an error after which rows may be there all the same."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SinkProfile:
    """Where rows go, and in which columns."""

    kind: SinkKind
    service: str
    endpoint_variable: str
    place: tuple[str, ...]
    """Variables that name the place: spreadsheet and tab, or collection."""
    layout: RowLayout
    fields: Mapping[str, str]
    """Names of a record's fields, by column."""
    unwritable_variant: str
    """Verification variant that writes to a place where nobody may write."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentFacts:
    """What is known of one document beside its golden result; what is None or empty is not."""

    rows: int | None = None
    pieces: int | None = None
    code: re.Pattern[str] | None = None
    never: tuple[str, ...] = ()
    """Texts, in lower case, that no row may hold."""
    line: Mapping[str, Any] = field(default_factory=dict)
    """A line that must be there with exactly these values."""
    order: str = ""
    """``code``: rows are sorted by it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Roles:
    """Documents by what suites need them for."""

    order: str
    delivery: str
    small: str
    truncated: str
    unreadable: tuple[str, ...]
    various: tuple[str, ...]
    at_once: tuple[str, ...]
    series: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """One function as the suites see it; paths are absolute."""

    name: str
    entry_point: str
    runtime: str
    documents: Path
    suffix: str
    media_type: str
    expected: Path
    vendors: Path
    answer_schema: Path
    expected_schema: Path
    header_sets: Path
    is_offline: bool
    """Whether the function reads documents by itself, so that its accuracy is known before anything is deployed."""
    file_field: str
    url_fields: tuple[str, ...]
    answer: AnswerFields
    refusals: Mapping[str, ExpectedRefusal]
    required_variables: tuple[str, ...]
    sink: SinkProfile
    roles: Roles
    facts: Mapping[str, DocumentFacts]
    limits: Mapping[str, Fraction]

    def limit(self, name: str) -> Fraction:
        """The limit of that name.

        Raises:
            ConfigError: the file has none.
        """
        if name not in self.limits:
            raise ConfigError(
                f"the suite profile {self.name} has no limit {name}", hint="add it under [limits]"
            )
        return self.limits[name]

    def facts_of(self, document: str) -> DocumentFacts:
        """What is known of a document."""
        return self.facts.get(document, DocumentFacts())


def load_profile(path: Path) -> Profile:
    """Read a suite profile.

    Raises:
        ConfigError: the file is missing, is not TOML, or lacks a key.
    """
    try:
        return _profile(tomllib.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, KeyError, TypeError, ZeroDivisionError) as error:
        raise ConfigError(
            f"{path} is no suite profile: {type(error).__name__}: {error}",
            hint=f"compare it with {DEFAULT}",
        ) from error


_PATHS = (
    *("documents", "expected", "vendors"),
    *("answer_schema", "expected_schema", "header_sets"),
)


def _profile(table: Mapping[str, Any]) -> Profile:
    answer, sink, roles = table["answer"], table["sink"], table["roles"]
    return Profile(
        name=table["name"],
        entry_point=table["entry-point"],
        runtime=table["runtime"],
        suffix=table["suffix"],
        media_type=table["media-type"],
        is_offline=bool(table["offline"]),
        file_field=table["request"]["file-field"],
        url_fields=tuple(table["request"]["url-fields"]),
        answer=AnswerFields(**{**answer, "counts": tuple(answer["counts"])}),
        refusals={name: ExpectedRefusal(**it) for name, it in table["refusals"].items()},
        required_variables=tuple(table["configuration"]["required"]),
        sink=SinkProfile(
            kind=SinkKind(sink["kind"]),
            service=sink["service"],
            endpoint_variable=sink["endpoint-variable"],
            place=tuple(sink["place"]),
            layout=RowLayout(columns=tuple(sink["columns"]), first=sink.get("first-column", "B")),
            fields=dict(sink.get("fields", {})),
            unwritable_variant=sink["unwritable-variant"],
        ),
        roles=_roles(roles),
        facts={name: _facts(it) for name, it in table.get("facts", {}).items()},
        limits={name: Fraction(value) for name, value in table["limits"].items()},
        **{name: ROOT / table[name.replace("_", "-")] for name in _PATHS},
    )


def _roles(table: Mapping[str, Any]) -> Roles:
    return Roles(
        order=table["order"],
        delivery=table["delivery"],
        small=table["small"],
        truncated=table["truncated"],
        unreadable=tuple(table["unreadable"]),
        various=tuple(table["various"]),
        at_once=tuple(table["at-once"]),
        series=tuple(table["series"]),
    )


def _facts(table: Mapping[str, Any]) -> DocumentFacts:
    known = dict(table) | {"never": tuple(table.get("never", ()))}
    if "code" in known:
        known["code"] = re.compile(known["code"])
    return DocumentFacts(**known)


_chosen: list[Profile] = []


def use_profile(path: Path) -> None:
    """Judge by the profile at ``path`` from now on; to be called before suites are imported."""
    _chosen[:] = [load_profile(path)]


def profile() -> Profile:
    """The profile of this session."""
    if not _chosen:
        use_profile(ROOT / DEFAULT)
    return _chosen[0]
