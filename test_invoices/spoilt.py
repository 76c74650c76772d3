"""Documents without readable line items: scanned, encrypted, cut off, blank, empty, and no PDF at all."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

from layout import DrawnPage
from reportlab.lib.pagesizes import letter
from reportlab.lib.pdfencrypt import StandardEncryption
from reportlab.lib.utils import ImageReader

SCAN = Path(__file__).resolve().parent / "data" / "scan.jpg"


def scanned() -> bytes:
    """Return one page that is a picture, as a scanner makes it: there is no text in it."""
    page = DrawnPage(size=letter, title="Scan")
    # by its content: a path would give the picture a name that differs from checkout to checkout
    picture = ImageReader(BytesIO(SCAN.read_bytes()))
    page.canvas.drawImage(picture, 0, 0, width=letter[0], height=letter[1])
    return page.finish()


def encrypted() -> bytes:
    """Return an invoice that needs a password to be opened."""
    lock = StandardEncryption("open sesame", ownerPassword="owner", strength=128)
    page = DrawnPage(size=letter, title="Locked", encrypt=lock)
    page.text(36, 54, "Rifle Paper Co.", size=20, bold=True)
    page.text(36, 80, "Invoice # 3363054")
    return page.finish()


def truncated(whole: bytes) -> bytes:
    """Return the first part of a document, as a download that broke off leaves it: most pages are in it."""
    return whole[: len(whole) * 7 // 10]


def blank() -> bytes:
    """Return a PDF with one page and nothing on it."""
    return DrawnPage(size=letter, title="Blank").finish()


def text() -> bytes:
    """Return a text file that only its name makes a PDF."""
    return b"Dear customer,\nyour invoice CS003837319 is attached.\nXS9826A 191009727774 24 1.60 38.40\n"
