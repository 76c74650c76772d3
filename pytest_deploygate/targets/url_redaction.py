"""Takes out of a text what must not be shown: the query of addresses (signatures) and tokens."""

import re
from typing import Final

_QUERY: Final = re.compile(r"(https?://[^\s?'\"<>]+|/[^\s?'\"<>]*)\?[^\s'\"<>)]*")
_HARMLESS: Final = "https://console.cloud.google.com/"
"""Links to logs: their query says what to show and signs nothing."""
_TOKEN: Final = re.compile(
    r"(?i)\b(bearer\s+)[\w.~+/=-]+|\bya29\.[\w-]+|\beyJ[\w-]+\.[\w-]+\.[\w-]+"
)


def redact(text: str) -> str:
    """``text`` without the queries of URLs and paths, and without tokens."""
    stripped = _QUERY.sub(lambda m: m[0] if m[1].startswith(_HARMLESS) else f"{m[1]}?***", text)
    return _TOKEN.sub(lambda m: f"{m[1] or ''}***", stripped)


def strip_query(url: str) -> str:
    """``url`` without query and fragment, fit for messages and logs."""
    return url.partition("?")[0].partition("#")[0]
