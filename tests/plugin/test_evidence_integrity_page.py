"""docs/explanation/evidence-integrity.md names tests that there are, and every case that is tested."""

import ast
import re

from tests.plugin.false_greens import FALSE_GREENS
from tests.plugin.plugin_project import REPOSITORY

FILE = REPOSITORY / "docs" / "explanation" / "evidence-integrity.md"
PAGE = FILE.read_text(encoding="utf-8")
ROWS = [
    line
    for line in PAGE.splitlines()
    if line.startswith("| ") and not line.startswith("| what happens")
]
NAMES = {re.sub(", (gate|project)$", "", case.name) for case in FALSE_GREENS}


def test_every_false_green_is_on_the_page_and_every_one_on_the_page_is_tested() -> None:
    held_off = "\n".join(row.rstrip(" |").rpartition(" | ")[2] for row in ROWS if "---" not in row)
    named = set(re.findall(r'"([^"]+)"', held_off))
    assert named - NAMES == set()
    assert NAMES - named == set()


def test_every_test_on_the_page_is_there() -> None:
    named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", PAGE)
    assert len(named) > 20
    for path, name in named:
        tree = ast.parse((REPOSITORY / path).read_text(encoding="utf-8"))
        assert name in {n.name for n in tree.body if isinstance(n, ast.FunctionDef)}, (
            f"{path}::{name}"
        )


def test_every_row_names_a_test() -> None:
    for row in ROWS:
        if "---" not in row:
            assert re.search(r'"[^"]+"|`tests/', row.rpartition(" | ")[2]), row
