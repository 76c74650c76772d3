"""Drawing helpers of the test invoices: a page measured from its top left corner, and a table that flows.

Everything here is deterministic: reportlab runs in its invariant mode, streams are not compressed (what zlib
writes differs between builds of it), and only the 14 standard fonts are used.
"""

from __future__ import annotations

import io
import re
from dataclasses import dataclass
from decimal import Decimal

from reportlab.lib.colors import Color
from reportlab.pdfbase.pdfmetrics import stringWidth
from reportlab.pdfgen.canvas import Canvas

GREY = Color(0.45, 0.45, 0.45)
PALE = Color(0.91, 0.91, 0.89)
BLACK = Color(0, 0, 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One column: its label and the x of its text, which is the right edge when ``right`` is set."""

    label: str
    x: float
    right: bool = False


class DrawnPage:
    """A canvas whose y runs downward from the top edge, in points."""

    def __init__(self, *, size: tuple[float, float], title: str, encrypt: object = None) -> None:
        """Start a document of pages of ``size`` (width, height)."""
        self.width, self.height = size
        self._buffer = io.BytesIO()
        self.canvas = Canvas(
            self._buffer, pagesize=size, invariant=1, pageCompression=0, encrypt=encrypt
        )
        self.canvas.setTitle(title)
        self.canvas.setAuthor("test invoice")
        self.canvas.setCreator("make.py")
        self.canvas.setProducer("reportlab")
        self.number = 1

    def text(
        self,
        x: float,
        y: float,
        words: object,
        *,
        size: float = 8,
        bold: bool = False,
        right: bool = False,
        colour: Color = BLACK,
    ) -> None:
        """Write ``words`` with the baseline at ``y``; ``right`` puts the end of the text at ``x``."""
        self.canvas.setFont("Helvetica-Bold" if bold else "Helvetica", size)
        self.canvas.setFillColor(colour)
        draw = self.canvas.drawRightString if right else self.canvas.drawString
        draw(x, self.height - y, str(words))

    def block(self, x: float, y: float, lines: list[str], *, size: float = 8, **how: bool) -> None:
        """Write lines below each other."""
        for row, line in enumerate(lines):
            self.text(x, y + row * size * 1.3, line, size=size, **how)

    def rule(
        self, y: float, *, x0: float = 36, x1: float | None = None, width: float = 0.6
    ) -> None:
        """Draw a horizontal line."""
        self.canvas.setLineWidth(width)
        self.canvas.setStrokeColor(BLACK)
        end = self.width - 36 if x1 is None else x1
        self.canvas.line(x0, self.height - y, end, self.height - y)

    def band(self, y: float, height: float, *, x0: float = 36, x1: float | None = None) -> None:
        """Fill a pale band, as behind column labels."""
        end = self.width - 36 if x1 is None else x1
        self.canvas.setFillColor(PALE)
        self.canvas.rect(x0, self.height - y - height, end - x0, height, stroke=0, fill=1)

    def grid(self, x: float, y: float, cells: list[tuple[str, str, float]]) -> None:
        """Draw boxes side by side, each with a small label over its value: (label, value, width)."""
        for label, value, width in cells:
            self.canvas.setLineWidth(0.5)
            self.canvas.setStrokeColor(GREY)
            self.canvas.rect(x, self.height - y - 26, width, 26, stroke=1, fill=0)
            self.text(x + 4, y + 9, label, size=6.5, colour=GREY)
            self.text(x + 4, y + 21, value, size=9)
            x += width

    def labels(self, y: float, columns: dict[str, Column], *, size: float = 7) -> None:
        """Write the column labels on a pale band."""
        self.band(y - 9, 14)
        for column in columns.values():
            self.text(column.x, y, column.label, size=size, bold=True, right=column.right)

    def row(
        self, y: float, columns: dict[str, Column], values: dict[str, object], size: float = 7.5
    ) -> None:
        """Write one row of a table; columns without a value stay blank."""
        for name, column in columns.items():
            if values.get(name, "") != "":
                self.text(column.x, y, values[name], size=size, right=column.right)

    def turn(self) -> None:
        """Begin the next page."""
        self.canvas.showPage()
        self.number += 1

    def finish(self) -> bytes:
        """Close the document and return its bytes."""
        self.canvas.showPage()
        self.canvas.save()
        return _without_banners(self._buffer.getvalue())


def _without_banners(pdf: bytes) -> bytes:
    """Replace the comments that differ between releases of reportlab, and move the cross references along."""
    body, table = pdf.rsplit(b"\nxref\n", 1)
    shorter = re.sub(rb"(%\x93\x8c\x8b\x9e) ReportLab [^\n]*", rb"\1", body, count=1)
    moved = len(shorter) - len(body)

    def move(found: re.Match[bytes]) -> bytes:
        return b"%010d" % (int(found[1]) + moved) + found[2]

    table = re.sub(rb"(\d{10})( 00000 n)", move, table)
    table = re.sub(rb"% ReportLab [^\n]*", b"% digest", table)
    start = b"startxref\n%d\n" % (len(shorter) + 1)
    return shorter + b"\nxref\n" + re.sub(rb"startxref\n\d+\n", start, table)


def printed(data: dict[str, object], code: object) -> dict[str, object]:
    """Return what the line of ``code`` prints instead of its true values."""
    return data.get("printed", {}).get(code, {})


def unprinted(data: dict[str, object]) -> Decimal:
    """Return what the totals count although no line prints it."""
    return Decimal(data.get("unprinted", "0"))


def wrap(words: str, width: float, *, size: float) -> list[str]:
    """Break ``words`` between words into lines no wider than ``width`` points."""
    lines: list[str] = []
    for word in words.split():
        longer = f"{lines[-1]} {word}" if lines else word
        if lines and stringWidth(longer, "Helvetica", size) <= width:
            lines[-1] = longer
        else:
            lines.append(word)
    return lines
