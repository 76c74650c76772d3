"""Writes the table of ``docs/explanation/mutation-coverage.md``: ``python tests/variants/mutation_page.py``."""

from pathlib import Path

from tests.variants.wrong_functions import WRONG_FUNCTIONS

PAGE = Path(__file__).resolve().parents[2] / "docs" / "explanation" / "mutation-coverage.md"
_HEAD = """# Which gate catches which wrong function

Each row is a small patch of `fixtures/process_invoice`. `tests/variants/` applies it, runs the
suite of the gate against the patched function, and fails unless one of the checks fails; where the
row says "each", unless each of them does. The same checks must pass with the unpatched function,
and the unchanged suites must pass with a second function by another author that follows only the
HTTP and sheet contract. "Since" names the incident or the measured defect of the original function
that the row repeats.

| gate | what is wrong | checks (`-k`) | since |
| --- | --- | --- | --- |
"""


def render() -> str:
    """The whole page."""
    rows = (
        f"| {w.gate} | {w.name} | {'each: ' if w.is_each else ''}`{w.check}` | {w.since} |"
        for w in WRONG_FUNCTIONS
    )
    return _HEAD + "\n".join(rows) + "\n"


if __name__ == "__main__":
    PAGE.write_text(render(), encoding="utf-8")
