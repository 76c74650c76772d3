"""docs/explanation/invariants.md names tests that exist."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LINE = re.compile(r"^\| (\d+) \| .+ \| `(tests/[\w/]+\.py)::(test_\w+)` \|$", re.MULTILINE)
FOUND = LINE.findall((ROOT / "docs" / "explanation" / "invariants.md").read_text(encoding="utf-8"))


def test_invariants_are_numbered() -> None:
    assert [int(number) for number, _, _ in FOUND] == list(range(1, len(FOUND) + 1))
    assert len(FOUND) >= 20


@pytest.mark.parametrize(("path", "name"), sorted({(path, name) for _, path, name in FOUND}))
def test_invariant_is_held_by_a_test_that_exists(path: str, name: str) -> None:
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    assert name in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
