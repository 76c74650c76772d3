"""docs/explanation/invariants.md names tests that exist."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TEST = r"`(tests/[\w/]+\.py)::(test_\w+)`"
LINE = re.compile(rf"^\| (\d+) \| .+ \| ({TEST}(?:, {TEST})*) \|$", re.MULTILINE)
PAGE = (ROOT / "docs" / "explanation" / "invariants.md").read_text(encoding="utf-8")
FOUND = [(found[1], found[2]) for found in LINE.finditer(PAGE)]
"""Number, and the tests that hold it."""
TESTS = sorted({test for _, tests in FOUND for test in re.findall(TEST, tests)})


def test_invariants_are_numbered() -> None:
    assert [int(number) for number, _ in FOUND] == list(range(1, len(FOUND) + 1))
    assert len(FOUND) >= 20


@pytest.mark.parametrize(("path", "name"), TESTS)
def test_invariant_is_held_by_a_test_that_exists(path: str, name: str) -> None:
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    assert name in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
