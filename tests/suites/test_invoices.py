"""The test invoices and golden results: made by their script, valid, and complete."""

import json
import shutil
import subprocess
import sys
import tomllib
from decimal import Decimal
from pathlib import Path
from typing import cast

import jsonschema
import pytest

from tests.suites.invoice_function import EXPECTED, INVOICES, ROOT, SCHEMAS, golden

NAMES = sorted(path.stem for path in EXPECTED.glob("*.json"))
READABLE = [name for name in NAMES if "line_items" in golden(name)]


def items(name: str) -> list[dict[str, object]]:
    return cast("list[dict[str, object]]", golden(name)["line_items"])


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a copy of the script makes, in another place and called from elsewhere."""
    copy = tmp_path_factory.mktemp("elsewhere") / "invoices of 2025"
    shutil.copytree(INVOICES, copy, ignore=shutil.ignore_patterns("*.pdf", "__pycache__"))
    out = tmp_path_factory.mktemp("made") / "out"
    command = [sys.executable, str(copy / "make.py"), f"--out={out}"]
    subprocess.run(command, check=True, timeout=120, cwd=out.parent)
    return out


def test_committed_documents_are_the_bytes_that_the_script_makes(made: Path) -> None:
    committed = {path.name: path.read_bytes() for path in INVOICES.glob("*.pdf")}
    assert {path.name: path.read_bytes() for path in made.glob("*.pdf")} == committed


def test_committed_golden_results_are_what_the_script_makes(made: Path) -> None:
    committed = {path.name: path.read_text("utf-8") for path in EXPECTED.glob("*.json")}
    assert {path.name: path.read_text("utf-8") for path in made.glob("*.json")} == committed


@pytest.mark.parametrize("name", NAMES)
def test_golden_result_keeps_to_its_schema(name: str) -> None:
    schema = json.loads((SCHEMAS / "expected.schema.json").read_text())
    jsonschema.Draft202012Validator(
        schema, format_checker=jsonschema.Draft202012Validator.FORMAT_CHECKER
    ).validate(golden(name))


def test_every_document_has_a_golden_result_and_a_profile() -> None:
    profiles = tomllib.loads((ROOT / "fixtures" / "vendors.toml").read_text())
    by_profile = {name: key for key, it in profiles.items() for name in it["documents"]}
    assert sorted(path.stem for path in INVOICES.glob("*.pdf")) == NAMES
    assert by_profile == {name: golden(name)["profile"] for name in NAMES}
    accuracy = {key: it["accuracy"] for key, it in profiles.items() if "accuracy" in it}
    assert accuracy == {
        "creative_coop": "0.90",
        "harpercollins": "0.95",
        "onehundred80": "0.85",
        "rifle_paper": "0.80",
    }


@pytest.mark.parametrize(
    "reader",
    [
        *("creative_coop", "harpercollins", "onehundred80"),
        *("rifle_paper", "rifle_paper_split", "generic"),
    ],
)
@pytest.mark.parametrize(
    "kinds",
    [
        ("credit",),
        ("decimal_quantity",),
        ("foreign_currency",),
        ("unreadable_code", "missing_quantity"),
        ("higher_total",),
    ],
    ids=lambda kinds: kinds[0],
)
def test_every_reader_has_a_document_of_every_doubt(reader: str, kinds: tuple[str, ...]) -> None:
    found = [name for kind in kinds if (name := f"{kind}_{reader}") in NAMES]
    assert found
    assert {golden(name)["profile"] for name in found} == {"doubtful"}


def weighted_sum(digits: str, odd: int, even: int) -> int:
    return sum(int(d) * (odd if at % 2 == 0 else even) for at, d in enumerate(digits))


@pytest.mark.parametrize("name", READABLE)
def test_check_digits_of_upcs_and_isbns_are_valid(name: str) -> None:
    for item in items(name):
        if item["upc"]:
            assert weighted_sum(str(item["upc"]), 3, 1) % 10 == 0, item
        if str(item["code"]).startswith("978"):
            assert weighted_sum(str(item["code"]), 1, 3) % 10 == 0, item


def test_order_confirmation_is_as_large_and_as_varied_as_the_real_one() -> None:
    found = items("creative_coop_CS003837319")
    first = next(item for item in found if item["code"] == "XS9826A")
    assert (first["quantity"], first["unit_price"], first["upc"]) == (24, "1.60", "191009727774")
    assert len(found) == 135
    assert len({item["unit_price"] for item in found}) >= 38
    assert len({item["quantity"] for item in found}) >= 9
    assert [item["code"] for item in found] == sorted(str(item["code"]) for item in found)


def test_known_sums_are_those_of_the_real_documents() -> None:
    def total(name: str) -> Decimal:
        lines = (
            (Decimal(str(it["unit_price"])), Decimal(str(it["quantity"]))) for it in items(name)
        )
        return sum((price * quantity for price, quantity in lines), Decimal(0))

    books = items("harpercollins_NS4435067")
    assert (len(books), sum(int(str(it["quantity"])) for it in books)) == (23, 63)
    assert total("harpercollins_NS4435067") == Decimal("463.85")
    assert len(items("creative_coop_CI004848705")) == 28
    assert total("creative_coop_CI004848705") == Decimal("1858.40")
