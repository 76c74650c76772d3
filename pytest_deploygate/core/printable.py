"""Makes foreign texts safe to print: output of checks, answers of the platform, reasons of operators.

An unchanged text may contain control sequences for the terminal, or a line that the CI service reads as a command:
GitHub Actions reads ``::error::...`` at the start of a line and ``##[...]`` anywhere, Azure ``##vso[...]``.
"""

import re
from typing import Final

_STEERS: Final = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]"
)
"""Control characters except tab and line feed, line separators, writing direction marks, invisible characters."""
_COMMAND: Final = re.compile(r"^(?=[^\S\n]*::)|(?<=#)(?=#(?:\[|vso\[))", re.MULTILINE)
_COMMAND_MARK: Final = "| "


def printable(text: str) -> str:
    """``text`` without control sequences for terminals and CI services; line breaks stay."""
    return without_commands(_STEERS.sub("?", text))


def without_commands(text: str) -> str:
    """``text`` without what CI services read as a command; colours and other control sequences stay."""
    return _COMMAND.sub(_COMMAND_MARK, text)


def one_line(text: str) -> str:
    """``text`` on one line: each run of white space, including line feeds, becomes one space."""
    return printable(" ".join(text.split()))
