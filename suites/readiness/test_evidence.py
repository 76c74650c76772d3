"""The yardstick itself is sound: every document has a valid golden result, whose numbers check."""

import json

import pytest

from pytest_deploygate.checks.contract import violations
from pytest_deploygate.checks.endpoint import Json
from suites.invoices import golden, header_sets, schema, vendors
from suites.support.known_defects import known_defects
from suites.support.profile import profile

NAMES = sorted(path.stem for path in profile().expected.glob("*.json"))


def test_every_document_has_a_golden_result() -> None:
    known = profile()
    assert sorted(path.stem for path in known.documents.glob(f"*{known.suffix}")) == NAMES
    assert len(NAMES) >= known.limit("least-documents")


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
    document = json.loads((profile().expected / f"{name}.json").read_text(encoding="utf-8"))
    assert violations(document, schema(profile().expected_schema)) == ()
    if golden(name).kind != "doubtful":
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
    known = profile()
    order = golden(known.roles.order)
    assert len(order.records) >= known.limit("least-items")
    prices = {str(record["price"]) for record in order.records}
    assert len(prices) >= known.limit("least-distinct-prices")
    real = known.facts_of(known.roles.order).line
    (found,) = [record for record in order.records if record["code"] == real["code"]]
    assert (found["price"], found["quantity"]) == (real["price"], real["quantity"])


def test_documents_of_the_profile_are_there() -> None:
    roles = profile().roles
    named = {roles.order, roles.delivery, roles.small, roles.truncated, *profile().facts}
    named |= {*roles.unreadable, *roles.various, *roles.at_once, *roles.series}
    assert named <= set(NAMES)


def test_known_defects_can_be_read() -> None:
    assert all(defect.reason for defect in known_defects())


def test_header_sets_of_zapier_are_there() -> None:
    needed = {"webhooks_post_file"}
    if profile().url_fields:
        needed |= {"webhooks_post_form", "webhooks_post_json"}
    assert needed <= set(header_sets())


def test_answer_schema_refuses_what_is_no_answer() -> None:
    bad: tuple[Json, ...] = (None, [], {}, {"message": "x"}, {"warning": "x", "error": "y"})
    for document in bad:
        assert violations(document, schema(profile().answer_schema)), document
