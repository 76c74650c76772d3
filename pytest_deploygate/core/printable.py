"""Makes texts of other people fit to print: of checks, of the platform, of whoever gave a reason.

Printed as it is, such a text may steer the terminal, or have a line of its own that the CI service takes for a command:
GitHub Actions reads ``::error::...`` at the beginning of a line and ``##[...]`` anywhere, Azure ``##vso[...]``.
"""

import re
from typing import Final

_STEERS: Final = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]"
)
"""Control characters but tab and line feed, separators of lines, turns of the writing direction, what is invisible."""
_COMMAND: Final = re.compile(r"^(?=[^\S\n]*::)|(?<=#)(?=#(?:\[|vso\[))", re.MULTILINE)
_COMMAND_MARK: Final = "| "


def printable(text: str) -> str:
    """``text`` without what would steer a terminal or a CI service; its lines stay lines."""
    return _COMMAND.sub(_COMMAND_MARK, _STEERS.sub("?", text))


def one_line(text: str) -> str:
    """``text`` on one line: white space, also line feeds, becomes one space."""
    return printable(" ".join(text.split()))
