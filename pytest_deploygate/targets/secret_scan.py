"""Finds texts that must not leave the machine, in source files and in plain variables.

Only shapes that are secrets by themselves are looked for (keys, tokens, catch URLs); a word such as
``password`` proves nothing and is left to reviews. A line that carries ``pragma: allowlist secret``
is known to be harmless.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

ALLOW: Final = "pragma: allowlist secret"
"""Marks a line as harmless, as detect-secrets reads it too."""

_SHAPES: Final[tuple[tuple[str, re.Pattern[str]], ...]] = (
    ("a private key", re.compile(r"-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?-----")),
    ("a Google service account key", re.compile(r"""["']type["']\s*:\s*["']service_account["']""")),
    ("a Google API key", re.compile(r"\bAIza[0-9A-Za-z_-]{35}(?![0-9A-Za-z_-])")),
    ("a Google access token", re.compile(r"\bya29\.[0-9A-Za-z_-]{20,}")),
    ("a Google OAuth client secret", re.compile(r"\bGOCSPX-[0-9A-Za-z_-]{20,}")),
    ("a Zapier catch URL", re.compile(r"https://hooks\.zapier\.com/hooks/(?:standard|catch)/\w+")),
    ("a Slack webhook", re.compile(r"https://hooks\.slack\.com/(?:services|workflows)/\w+")),
    ("a Slack token", re.compile(r"\bxox[abeoprs]-[0-9A-Za-z-]{10,}")),
    ("an AWS access key", re.compile(r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b")),
    ("a GitHub token", re.compile(r"\b(?:gh[opsur]_[0-9A-Za-z]{36,}|github_pat_\w{22,})")),
    ("a GitLab token", re.compile(r"\bglpat-[0-9A-Za-z_-]{20,}")),
    ("a Stripe key", re.compile(r"\b[rs]k_live_[0-9A-Za-z]{20,}")),
    ("an OpenAI or Anthropic key", re.compile(r"\bsk-(?:proj-|ant-)[0-9A-Za-z_-]{20,}")),
    ("a PyPI token", re.compile(r"\bpypi-AgEI[0-9A-Za-z_-]{50,}")),
)


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
    """Secrets in one file; binary files (with a NUL byte) are not looked into."""
    if b"\0" in content:
        return ()
    text = content.decode("utf-8", errors="replace")
    if not any(pattern.search(text) for _, pattern in _SHAPES):
        return ()
    return tuple(
        Find(where=name, line=number, looks_like=what)
        for number, line in enumerate(text.splitlines(), start=1)
        if ALLOW not in line
        for what, pattern in _SHAPES
        if pattern.search(line)
    )


def scan_variables(variables: Mapping[str, str], *, where: str) -> tuple[Find, ...]:
    """Plain variables whose value looks like a secret; ``where`` names their table."""
    return tuple(
        Find(where=f"{where}.{name}", line=0, looks_like=what)
        for name, value in variables.items()
        for what, pattern in _SHAPES
        if pattern.search(value)
    )
