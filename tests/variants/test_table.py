"""The page about wrong functions says what the tests do."""

from tests.variants.mutation_page import PAGE, render
from tests.variants.test_wrong_functions import SAMPLE
from tests.variants.wrong_functions import WRONG_FUNCTIONS


def test_page_lists_every_wrong_function() -> None:
    assert PAGE.read_text(encoding="utf-8") == render(), (
        "run python tests/variants/mutation_page.py"
    )


def test_there_are_enough_and_every_gate_has_some() -> None:
    assert len(WRONG_FUNCTIONS) >= 50
    assert len({wrong.name for wrong in WRONG_FUNCTIONS}) == len(WRONG_FUNCTIONS)
    assert {wrong.gate for wrong in WRONG_FUNCTIONS} == {
        *("readiness", "health", "creative_coop", "vendor_regression", "zapier"),
        *("performance", "rollback_checks"),
    }


def test_sample_has_one_of_each_gate() -> None:
    gates = [wrong.gate for wrong in WRONG_FUNCTIONS if wrong.name in SAMPLE]
    assert len(gates) == len(SAMPLE)
    assert sorted(gates) == sorted({wrong.gate for wrong in WRONG_FUNCTIONS})
