"""Masks secrets in texts: known values, and texts with the shape of a secret.

Known values are configured secrets, environment variables whose name says that they are secret, passwords in URLs, and
tokens obtained during the run. The redactor knows each value in every form in which programs write it: quoted, escaped
for JSON, HTML and URLs, and in base64. It ignores short values: masking them would make most texts unreadable and
protect little. The shapes are those of :mod:`.secret_shapes`, which the source scan uses too (ADR 21).
"""

import base64
import html
import json
import re
import shlex
from collections.abc import Iterable, Iterator, Mapping
from typing import Final
from urllib.parse import quote, quote_plus, unquote

from pytest_deploygate.core.secret_shapes import mask_secrets

MASK: Final = "***"
LEAST: Final = 8
"""Shorter values are not masked."""
_ELLIPSIS: Final = "..."
_LEAST_PART: Final = 4
"""At least this many characters of a value, before or after an ellipsis, count as a part of it."""

_SECRET_NAME: Final = re.compile(
    r"(?i)(secret|token|passw(or)?d|passphrase|credential|api_?key|access_?key|private_?key|signing_?key|webhook)"
    r"|(^|_)(key|pat|auth|dsn|pass|sk|jwt|creds?)$|_pwd$"
)
_HEADERS: Final = re.compile(r"OTEL_EXPORTER_OTLP_([A-Z]+_)?HEADERS")
"""Variables with headers for a collector, ``name=value,...`` (OpenTelemetry, "OTLP Exporter Configuration"): keys."""
_PATH_NAME: Final = re.compile(r"(?i)(^|_)(file|path|dir|folder|socket|sock)$")
_FILE_OF_CREDENTIALS: Final = re.compile(r"(?i)\.(json|toml|ya?ml|ini|cfg|pem|key|p12|txt)$")
_QUERY: Final = re.compile(r"(https?://[^\s?'\"<>]+|/[^\s?'\"<>]*)\?[^\s'\"<>)]*")
_HARMLESS: Final = "https://console.cloud.google.com/"
"""Links to logs: their query is a filter, not a signature."""
_PASSWORD: Final = re.compile(r"\w://[^\s/:@]*:([^\s/@]+)@")


class Redactor:
    """Replaces secrets in texts with ``***``; learns further values during the run."""

    def __init__(self, values: Iterable[str] = ()) -> None:
        self._values: set[str] = set()
        self._forms: set[str] = set()
        self._literals: set[str] = set()
        """The forms that pytest may shorten: the value itself, and as a literal."""
        self._pattern: re.Pattern[str] | None = None
        self.learn(values)

    @property
    def values(self) -> tuple[str, ...]:
        """The secrets themselves, for another process that masks them; never for a file."""
        return tuple(self._values)

    def learn(self, values: Iterable[str]) -> None:
        """Mask these values from now on, also as written in URLs, JSON and Python literals."""
        for value in values:
            self._values.add(value)
            for part in (value, *(value.splitlines() if "\n" in value else ())):
                if len(part.strip()) >= LEAST:
                    self._literals |= {part, json.dumps(part)[1:-1], repr(part)[1:-1]}
                    self._forms |= {part, *_forms_of(part)}
                    self._pattern = None

    def __call__(self, text: str) -> str:
        """``text`` with its secrets masked."""
        if self._forms:
            if self._pattern is None:
                longest_first = sorted(self._forms, key=len, reverse=True)
                self._pattern = re.compile("|".join(map(re.escape, longest_first)))
            text = self._strip_partial_secrets(self._pattern.sub(MASK, text))
        return mask_secrets(text, MASK)

    def _strip_partial_secrets(self, text: str) -> str:
        """Mask the ends of values whose middle pytest left out in a long comparison."""
        if _ELLIPSIS not in text:
            return text
        first, *others = text.split(_ELLIPSIS)
        pieces = [first]
        for piece in others:
            before = pieces[-1]
            head = max(_overlap(before, form) for form in self._literals)
            tail = max(_overlap(form, piece) for form in self._literals)
            pieces[-1] = before[: len(before) - head] + MASK if head else before
            pieces.append(MASK + piece[tail:] if tail else piece)
        return _ELLIPSIS.join(pieces)


def _overlap(left: str, right: str) -> int:
    """Number of characters at the end of ``left`` that start ``right``; 0 if there are too few."""
    for length in range(min(len(left), len(right)), _LEAST_PART - 1, -1):
        if left.endswith(right[:length]):
            return length
    return 0


def strip_queries(text: str) -> str:
    """``text`` without queries of URLs and paths, which may be signatures, and with secret shapes masked."""
    stripped = _QUERY.sub(lambda m: m[0] if m[1].startswith(_HARMLESS) else f"{m[1]}?{MASK}", text)
    return mask_secrets(stripped, MASK)


def strip_query(url: str) -> str:
    """``url`` without query and fragment, safe for messages and logs."""
    return mask_secrets(url.partition("?")[0].partition("#")[0], MASK)


def _forms_of(value: str) -> Iterator[str]:
    """The forms in which programs write ``value``: in URLs, HTML, XML, JSON, Python, shells, and base64."""
    raw = value.encode("utf-8", errors="surrogateescape")  # a variable may hold any bytes
    for text in (quote(raw, safe=""), quote(raw), quote_plus(raw), quote_plus(raw, safe="/")):
        yield text
        yield re.sub("%..", lambda code: code[0].lower(), text)
    for text in (html.escape(value), html.escape(value, quote=False)):
        yield text
        yield text.replace("&#x27;", "&#39;")
        yield text.replace("&#x27;", "&apos;")
        yield text.replace("&#x27;", "'")
    for literal in (json.dumps(value), json.dumps(value, ensure_ascii=False), repr(value)):
        inner = literal[1:-1]
        yield inner
        # inside a text that is itself escaped
        yield json.dumps(inner)[1:-1]
        yield repr(inner)[1:-1]
        yield html.escape(inner)
    yield json.dumps(value)[1:-1].replace("/", "\\/")  # as in PHP and some JavaScript
    yield repr(raw)[2:-1]
    yield shlex.quote(value)
    yield from filter(lambda text: len(text) >= LEAST, _base64_forms(raw))


def _base64_forms(raw: bytes) -> Iterator[str]:
    """``raw`` inside a base64 text, at each of the three offsets: the characters that depend only on ``raw``."""
    for before in range(3):
        whole = base64.b64encode(bytes(before) + raw).decode()
        inner = whole[(before * 8 + 5) // 6 : (before + len(raw)) * 8 // 6]
        yield inner
        yield inner.translate({ord("+"): "-", ord("/"): "_"})
        yield quote(inner, safe="")


def secrets_among(variables: Mapping[str, str]) -> frozenset[str]:
    """Values of variables whose name says that they are secret, and passwords in URLs; not paths of files."""
    named = {
        value
        for name, value in variables.items()
        if _SECRET_NAME.search(name) and not _is_path(name, value)
    }
    for name, value in variables.items():
        if _HEADERS.fullmatch(name):
            named |= {unquote(pair.partition("=")[2].strip()) for pair in value.split(",")}
    return frozenset(named.union(*(_PASSWORD.findall(value) for value in variables.values())))


def _is_path(name: str, value: str) -> bool:
    """Whether ``value`` is the path of a file. The name must say so, because a password may start like a path."""
    if not value.startswith(("/", "./", "../", "~")):
        return False
    is_credentials = "credential" in name.lower() and _FILE_OF_CREDENTIALS.search(value) is not None
    return _PATH_NAME.search(name) is not None or is_credentials
