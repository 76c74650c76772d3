"""Finds texts that must not leave the machine, in source files and in plain variables.

What a secret looks like: :mod:`pytest_deploygate.core.secret_shapes`. A line that carries ``pragma: allowlist secret``
is known to be harmless, and so is a file that the settings name with a reason (``allowed-secrets``).
"""

import codecs
import fnmatch
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from pytest_deploygate.core.secret_shapes import find_secrets

ALLOW: Final = "pragma: allowlist secret"
"""Marks a line as harmless, as detect-secrets reads it too."""
_MARKS: Final = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_LOOKED_AT_BYTES: Final = 4096
"""How much of a file tells how its text is encoded."""
_MOSTLY: Final = 0.4
"""Of Latin text in UTF-16 half of the bytes are NUL, all of them at odd or all at even places."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Find:
    """A text that looks like a secret; ``line`` counts from 1 and is 0 for a variable."""

    where: str
    line: int
    looks_like: str

    def __str__(self) -> str:
        place = f"{self.where}:{self.line}" if self.line else self.where
        return f"{place} looks like {self.looks_like}"


def scan_file(name: str, content: bytes) -> tuple[Find, ...]:
    """Secrets in one file; what is no text, in UTF-8 or UTF-16, is not looked into."""
    text = _decode(content)
    if text is None:
        return ()
    finds: dict[Find, None] = {}
    for found in find_secrets(text):
        if ALLOW not in _line_at(text, found.start):
            line = text.count("\n", 0, found.start) + 1
            finds[Find(where=name, line=line, looks_like=found.looks_like)] = None
    return tuple(sorted(finds, key=lambda find: find.line))


def scan_variables(variables: Mapping[str, str], *, where: str) -> tuple[Find, ...]:
    """Plain variables whose name and value look like a secret; ``where`` names their table."""
    return tuple(
        Find(where=f"{where}.{name}", line=0, looks_like=found.looks_like)
        for name, value in variables.items()
        for found in list(find_secrets(f'{name}="{value}"' if '"' not in value else value))[:1]
    )


def split_allowed(
    finds: Iterable[Find], allowed: Mapping[str, str]
) -> tuple[tuple[tuple[str, str], ...], tuple[Find, ...]]:
    """Those of ``finds`` that ``allowed`` (reasons by path) lets pass, each with its reason, and the others."""
    passed: list[tuple[str, str]] = []
    refused: list[Find] = []
    for find in finds:
        reason = next(
            (why for p, why in allowed.items() if fnmatch.fnmatchcase(find.where, p)), None
        )
        if reason is None:
            refused.append(find)
        else:
            passed.append((str(find), reason))
    return tuple(passed), tuple(refused)


def _decode(content: bytes) -> str | None:
    for mark, encoding in _MARKS:
        if content.startswith(mark):
            return content.decode(encoding, errors="replace")
    begin = content[:_LOOKED_AT_BYTES]
    if b"\0" not in begin:
        return None if b"\0" in content else content.decode("utf-8", errors="replace")
    for first, encoding in ((0, "utf-16-be"), (1, "utf-16-le")):
        if begin[first::2].count(0) > _MOSTLY * len(begin) and not begin[1 - first :: 2].count(0):
            return content.decode(encoding, errors="replace")
    return None


def _line_at(text: str, start: int) -> str:
    end = text.find("\n", start)
    return text[text.rfind("\n", 0, start) + 1 : end if end >= 0 else len(text)]
