"""The yardstick itself is sound: every document has a valid golden result, whose numbers check."""

import json

import pytest

from pytest_deploygate.checks.contract import violations
from pytest_deploygate.checks.endpoint import Json
from suites.invoices import DOCUMENTS, EXPECTED, ORDER, golden, header_sets, schema, vendors

NAMES = sorted(path.stem for path in EXPECTED.glob("*.json"))


def test_every_document_has_a_golden_result() -> None:
    assert sorted(path.stem for path in DOCUMENTS.glob("*.pdf")) == NAMES
    assert len(NAMES) >= 15


def test_every_golden_result_belongs_to_one_vendor() -> None:
    listed = [document for vendor in vendors() for document in vendor.documents]
    assert sorted(listed) == NAMES
    assert {
        vendor.key
        for vendor in vendors()
        for d in vendor.documents
        if golden(d).profile != vendor.key
    } == set()


@pytest.mark.parametrize("name", NAMES)
def test_golden_result_keeps_its_schema(name: str) -> None:
    document = json.loads((EXPECTED / f"{name}.json").read_text(encoding="utf-8"))
    assert violations(document, schema("expected")) == ()
    assert len(golden(name).records) == document["outcome"]["rows"]


@pytest.mark.parametrize("name", NAMES)
def test_golden_upcs_and_isbns_have_right_check_digits(name: str) -> None:
    for record in golden(name).records:
        upc, code = record["upc"], str(record["code"])
        if upc:
            digits = [int(digit) for digit in str(upc)]
            assert (3 * sum(digits[::2]) + sum(digits[1::2])) % 10 == 0, record
        if len(code) == 13 and code.startswith(("978", "979")):
            digits = [int(digit) for digit in code]
            assert (sum(digits[::2]) + 3 * sum(digits[1::2])) % 10 == 0, record


def test_the_big_order_is_big_enough_to_judge_by() -> None:
    order = golden(ORDER)
    assert len(order.records) >= 130
    assert len({str(record["price"]) for record in order.records}) >= 20
    (real,) = [record for record in order.records if record["code"] == "XS9826A"]
    assert (real["price"], real["quantity"]) == ("1.60", 24)


def test_header_sets_of_zapier_are_there() -> None:
    assert {"webhooks_post_file", "webhooks_post_form", "webhooks_post_json"} <= set(header_sets())


def test_answer_schema_refuses_what_is_no_answer() -> None:
    bad: tuple[Json, ...] = (None, [], {}, {"message": "x"}, {"warning": "x", "error": "y"})
    for document in bad:
        assert violations(document, schema("answer")), document
