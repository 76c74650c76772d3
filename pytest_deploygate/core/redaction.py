"""Takes secrets out of texts: values that are known, and what is a secret by its shape.

Known values are those of configured secrets, of environment variables whose name says so, and tokens that were
obtained meanwhile. Short values are left alone: they would blacken half of every text and protect little.
"""

import json
import re
from collections.abc import Iterable, Mapping
from typing import Final
from urllib.parse import quote

MASK: Final = "***"
LEAST: Final = 8
"""Values shorter than this are not looked for."""
_ELLIPSIS: Final = "..."
_LEAST_PART: Final = 4
"""So many characters of a value before or behind an ellipsis are taken for a part of it."""

_SECRET_NAME: Final = re.compile(
    r"(?i)(secret|token|passw(or)?d|passphrase|credential|api_?key|access_?key|private_?key|signing_?key|webhook)"
    r"|(^|_)(key|pat|auth|dsn)$"
)
_SHAPES: Final = (
    # the signature of a signed address, and keys that travel in a query
    (
        re.compile(
            r"(?i)([?&;](?:x-(?:goog|amz)-(?:signature|credential|security-token)|signature|sig|token|access_token"
            r"|id_token|api_?key|key|password|secret)=)[^&;\s\"'<>)\]]+"
        ),
        rf"\1{MASK}",
    ),
    (re.compile(r"(?i)\b((?:bearer|basic)\s+)[\w.~+/=-]{8,}"), rf"\1{MASK}"),
    (re.compile(r"\bya29\.[\w-]+|\beyJ[\w-]+\.[\w-]+\.[\w-]+"), MASK),
    (re.compile(r"://[^\s/@\"']+@"), f"://{MASK}@"),
    (
        re.compile(
            r"-----BEGIN (?P<kind>(?:[A-Z0-9]+ )*PRIVATE KEY)-----.*?-----END (?P=kind)-----",
            re.DOTALL,
        ),
        MASK,
    ),
)


class Redactor:
    """Replaces secrets in texts by ``***``; learns further values as they become known."""

    def __init__(self, values: Iterable[str] = ()) -> None:
        self._forms: set[str] = set()
        self._pattern: re.Pattern[str] | None = None
        self.learn(values)

    def learn(self, values: Iterable[str]) -> None:
        """Look for these values from now on, also as they stand in URLs, JSON and Python literals."""
        before = len(self._forms)
        for value in values:
            for part in (value, *(value.splitlines() if "\n" in value else ())):
                if len(part.strip()) >= LEAST:
                    self._forms |= {
                        part,
                        quote(part, safe=""),
                        json.dumps(part)[1:-1],
                        repr(part)[1:-1],
                    }
        if len(self._forms) != before:
            longest_first = sorted(self._forms, key=len, reverse=True)
            self._pattern = re.compile("|".join(map(re.escape, longest_first)))

    def __call__(self, text: str) -> str:
        """``text`` without the secrets in it."""
        if self._pattern is not None:
            text = self._without_parts(self._pattern.sub(MASK, text))
        for shape, mask in _SHAPES:
            text = shape.sub(mask, text)
        return text

    def _without_parts(self, text: str) -> str:
        """``text`` without the ends of values whose middle was left out, as pytest does in long comparisons."""
        if _ELLIPSIS not in text:
            return text
        first, *others = text.split(_ELLIPSIS)
        pieces = [first]
        for piece in others:
            before = pieces[-1]
            head = max(_overlap(before, form) for form in self._forms)
            tail = max(_overlap(form, piece) for form in self._forms)
            pieces[-1] = before[: len(before) - head] + MASK if head else before
            pieces.append(MASK + piece[tail:] if tail else piece)
        return _ELLIPSIS.join(pieces)


def _overlap(left: str, right: str) -> int:
    """How many characters at the end of ``left`` are the beginning of ``right``; 0 if too few to tell."""
    for length in range(min(len(left), len(right)), _LEAST_PART - 1, -1):
        if left.endswith(right[:length]):
            return length
    return 0


def secrets_among(variables: Mapping[str, str]) -> frozenset[str]:
    """Values of those variables whose name says that they are secret; paths of files are none."""
    return frozenset(
        value
        for name, value in variables.items()
        if _SECRET_NAME.search(name) and not value.startswith(("/", "./", "~"))
    )
