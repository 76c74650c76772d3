"""Make the test invoices and their golden results: ``python test_invoices/make.py [--out DIR]``.

Input is ``data/*.toml``, what the documents print; output is the PDFs beside this file and ``fixtures/expected/``.
The same data always makes the same bytes, so a test can compare what is committed with what is made.
"""

from __future__ import annotations

import argparse
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

import creative_coop
import expected
import harpercollins

if TYPE_CHECKING:
    from collections.abc import Callable

HERE = Path(__file__).resolve().parent

DRAWN: dict[str, Callable[[dict[str, object]], bytes]] = {
    "creative_coop_CS003837319": lambda data: creative_coop.OrderConfirmation(data).draw(),
    "creative_coop_CI004848705": lambda data: creative_coop.Invoice(data).draw(),
    "harpercollins_NS4435067": harpercollins.draw,
}


def load(name: str) -> dict[str, object]:
    """Read what the document ``name`` prints."""
    with (HERE / "data" / f"{name}.toml").open("rb") as file:
        return tomllib.load(file)


def documents() -> dict[str, bytes]:
    """Return every document by file name."""
    return {f"{name}.pdf": draw(load(name)) for name, draw in DRAWN.items()}


def main() -> None:
    """Write documents and golden results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, help="write both kinds of file here instead")
    out = parser.parse_args().out
    invoices, golden = (out, out) if out else (HERE, HERE.parent / "fixtures" / "expected")
    for name, content in documents().items():
        (invoices / name).write_bytes(content)
    for name, text in expected.documents(load).items():
        (golden / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
