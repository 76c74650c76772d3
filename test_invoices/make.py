"""Make the test invoices and their golden results: ``python test_invoices/make.py [--out DIR]``.

Input is ``data/*.toml``, what the documents print; output is the PDFs beside this file and ``fixtures/expected/``.
The same data always makes the same bytes, so a test can compare what is committed with what is made.
"""

from __future__ import annotations

import argparse
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

import draw_creative_coop
import draw_harpercollins
import expected
import others
import spoilt
import variants

if TYPE_CHECKING:
    from collections.abc import Callable

HERE = Path(__file__).resolve().parent

DRAWN: dict[str, Callable[[dict[str, object]], bytes]] = {
    "creative_coop_CS003837319": lambda data: draw_creative_coop.OrderConfirmation(data).draw(),
    "creative_coop_CI004848705": lambda data: draw_creative_coop.DrawnInvoice(data).draw(),
    "creative_coop_without_number": lambda data: draw_creative_coop.DrawnInvoice(data).draw(),
    "harpercollins_NS4435067": draw_harpercollins.draw,
    "onehundred80_1T25194476NCHR": others.onehundred80,
    "rifle_paper_3363053": others.rifle,
    "rifle_paper_J7XM9XQ3HB": others.rifle_split,
    "unknown_vendor": others.unknown,
    "summary_77389954": others.summary,
    "long_200_pages": others.long,
}


def load(name: str) -> dict[str, object]:
    """Read what the document ``name`` prints."""
    if (variant := variants.VARIANTS.get(name)) is not None:
        return variants.apply(variant, load(variant.base))
    with (HERE / "data" / f"{name}.toml").open("rb") as file:
        return tomllib.load(file)


def documents() -> dict[str, bytes]:
    """Return every document by file name."""
    drawn = DRAWN | {name: DRAWN[v.base] for name, v in variants.VARIANTS.items()}
    made = {f"{name}.pdf": draw(load(name)) for name, draw in drawn.items()}
    return made | {
        "scanned.pdf": spoilt.scanned(),
        "encrypted.pdf": spoilt.encrypted(),
        "truncated.pdf": spoilt.truncated(made["creative_coop_CS003837319.pdf"]),
        "blank.pdf": spoilt.blank(),
        "empty.pdf": b"",
        "text_file.pdf": spoilt.text(),
    }


def main() -> None:
    """Write documents and golden results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, help="write both kinds of file here instead")
    out = parser.parse_args().out
    invoices, golden = (out, out) if out else (HERE, HERE.parent / "fixtures" / "expected")
    for folder in (invoices, golden):
        folder.mkdir(parents=True, exist_ok=True)
    for name, content in documents().items():
        (invoices / name).write_bytes(content)
    for name, text in expected.documents(load).items():
        (golden / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
