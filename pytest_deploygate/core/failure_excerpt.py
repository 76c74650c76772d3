"""What matters of a build or a start that failed: what, the exception and its place, where the rest is."""

import re
from typing import Final, NamedTuple

_EXCEPTION: Final = re.compile(
    r"^(?:[A-Za-z_][\w.]*\.)?[A-Za-z_]\w*(?:Error|Exception|Exit|Interrupt|Warning)\b.*$"
)
_ERROR_OF_PIP: Final = re.compile(r"^ERROR: .+$")
_OWN_FRAME: Final = re.compile(r'File "(?:[^"]*/)?workspace/(?P<file>[^"]+)", line (?P<line>\d+)')
"""A line of a traceback in the user's own source, which builds have in a folder ``workspace``."""
_REVISION: Final = re.compile(r"[Rr]evision '?(?P<name>[a-z][a-z0-9-]*-\d{5}-[a-z0-9]+)'?")


class FailureExcerpt(NamedTuple):
    """``what`` failed, ``error`` is the last line of the exception, ``place`` is ``FILE:LINE`` in the user's source.

    ``source`` is that line, ``revision`` the one whose log has the rest; each is empty where the message does not say.
    """

    what: str
    error: str = ""
    place: str = ""
    source: str = ""
    revision: str = ""

    @property
    def sentence(self) -> str:
        """All of it in one line."""
        where = f" ({self.place})" if self.place else ""
        return f"{self.what}: {self.error}{where}" if self.error else self.what


def excerpt_of(message: str) -> FailureExcerpt:
    """What to read of ``message``, which may end with a traceback or the tail of a build log."""
    first, *rest = message.splitlines() or [""]
    revision = _REVISION.search(first)
    name = revision["name"] if revision is not None else ""
    errors = [line.strip() for line in rest if _EXCEPTION.match(line) or _ERROR_OF_PIP.match(line)]
    if not errors:
        return FailureExcerpt(what=message, revision=name)
    place, source = "", ""
    for number, line in enumerate(rest):
        if frame := _OWN_FRAME.search(line):
            place = f"{frame['file']}:{frame['line']}"
            source = rest[number + 1].strip() if number + 1 < len(rest) else ""
    what = first.partition(": ")[0]
    return FailureExcerpt(what, errors[-1], place, source, name)
