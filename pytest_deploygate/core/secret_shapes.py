"""The one list of secret shapes: redaction masks them in texts, the source scan refuses them (ADR 21).

A shape is tried only on texts that contain one of its hints, and compiled on its first try, because most texts contain
none. Vendor shapes follow the vendor's documentation or scanner. A name such as ``password`` counts only with a value
that looks machine-made. ADR 21 says why there is no library.
"""

import re
from collections.abc import Iterator
from functools import cache
from typing import Final, NamedTuple


class SecretShape(NamedTuple):
    """Shape of one kind of secret.

    Each match contains at least one of ``hints``, in lower case. The group ``secret`` of ``pattern`` must not be shown;
    without that group, the whole match. ``is_vague`` shapes count only if the secret looks machine-made.
    """

    looks_like: str
    hints: tuple[str, ...]
    pattern: str
    is_vague: bool = False
    is_only_masked: bool = False
    """Whether the source scan ignores it."""


class SecretMatch(NamedTuple):
    """A secret found in a text, at ``start`` to ``end``."""

    looks_like: str
    start: int
    end: int


_B64 = r"[A-Za-z0-9+/=]"
_END = r"(?![0-9A-Za-z_-])"
_NAMES = (
    r"(?:passw(?:or)?d|passphrase|_pass|pwd|secret(?:[_-]?(?:access[_-]?)?key)?|token|api[_-]?key|access[_-]?key"
    r"|account[_-]?key|private[_-]?key|signing[_-]?key|encryption[_-]?key|credentials?)"
)

SHAPES: Final = (
    SecretShape(
        "a private key",
        ("private key",),
        r"-----BEGIN (?P<kind>(?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?)-----.*?-----END (?P=kind)-----",
        is_only_masked=True,
    ),
    SecretShape(
        "a private key",
        ("private key",),
        r"-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?-----(?:\s|\\+[nr]|[\w-]+: [^\n]*\n)*"
        rf"{_B64}{{32,}}(?:{_B64}|\s|\\+[nr])*(?:-----END [A-Z0-9 ]+-----)?",
    ),
    SecretShape(
        "a private key in base64",
        ("ls0tls1crudjti",),
        # "-----BEGIN ", then a kind of private key; what follows for a certificate or a public key differs
        r"\bLS0tLS1CRUdJTi(?:BQUklWQVRF|BSU0EgUFJJVkFURS|BFQyBQUklWQVRF|BPUEVOU1NIIFBSSVZBVE|BFTkNSWVBURUQgUFJJVkFURS"
        rf"|BEU0EgUFJJVkFURS){_B64}{{40,}}",
    ),
    SecretShape(
        "a signature or key in an address",
        ("sig", "token", "key=", "credential", "password=", "secret="),
        r"(?i)[?&;](?:x-(?:goog|amz)-(?:signature|credential|security-token)|signature|sig|token|access_token"
        r"|id_token|api_?key|key|password|secret)=(?P<secret>[^&;\s\"'<>)\]]+)",
        is_vague=True,
    ),
    SecretShape(
        "a bearer token or a password in a header",
        ("bearer", "basic"),
        r"(?i)\b(?:bearer|basic)\s+(?P<secret>[\w.~+/=-]{8,})",
        is_vague=True,
    ),
    SecretShape(
        "who calls, in an address", ("://",), r"://(?P<secret>[^\s/@\"']+)@", is_only_masked=True
    ),
    SecretShape(
        "a password in an address",
        ("://",),
        r"\w://[^\s/:@\"']*:(?P<secret>[^\s/@\"'{}$<>]+)@",
        is_vague=True,
    ),
    SecretShape(
        "a JSON Web Token",
        ("eyj",),
        r"\beyJ[\w-]+\.[\w-]+\.[\w-]+(?=[^\w.-]|\.?$|\.\s)|\beyJ[\w-]+\.[\w-]+\.[\w-]+",
    ),
    SecretShape("a Google API key", ("aiza",), rf"\bAIza[0-9A-Za-z_-]{{35}}{_END}"),
    SecretShape("a Google access token", ("ya29.",), r"\bya29\.[\w-]+"),
    SecretShape("a Google OAuth client secret", ("gocspx-",), r"\bGOCSPX-[0-9A-Za-z_-]{20,}"),
    SecretShape("a Google refresh token", ("1//0",), r"\b1//0[0-9A-Za-z_-]{30,}"),
    SecretShape("a Firebase server key", (":apa91b",), r"\b[\w-]{11}:APA91b[\w-]{100,}"),
    SecretShape("an AWS access key", ("akia", "asia"), r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b"),
    SecretShape(
        "an Azure storage key", ("accountkey=",), rf"(?i)accountkey=(?P<secret>{_B64}{{60,}})"
    ),
    SecretShape("a DigitalOcean token", ("do",), r"\bdo[opr]_v1_[0-9a-f]{64}\b"),
    SecretShape("a Cloudflare CA key", ("v1.0-",), r"\bv1\.0-[0-9a-f]{24}-[0-9a-f]{146}\b"),
    SecretShape("a Heroku key", ("hrku-",), r"\bHRKU-[0-9A-Za-z_-]{30,}"),
    SecretShape("a Databricks token", ("dapi",), r"\bdapi[0-9a-f]{32}\b"),
    SecretShape("a Vault token", ("hvs.", "hvb."), r"\bhv[sb]\.[0-9A-Za-z_-]{24,}"),
    SecretShape(
        "a Terraform Cloud token",
        (".atlasv1.",),
        r"\b[0-9A-Za-z]{14}\.atlasv1\.[0-9A-Za-z_=-]{60,}",
    ),
    SecretShape("a Fly.io token", ("fo1_",), r"\bfo1_[\w-]{43}"),
    SecretShape(
        "a GitHub token",
        ("gho_", "ghp_", "ghs_", "ghu_", "ghr_", "github_pat_"),
        r"\b(?:gh[opsur]_[0-9A-Za-z]{36,}|github_pat_\w{22,})",
    ),
    SecretShape(
        "a GitLab token",
        ("glpat-", "gldt-", "glrt-", "glptt-", "glcbt-", "glsoat-", "gloas-"),
        r"\bgl(?:pat|dt|rt|ptt|cbt|soat|oas)-[0-9A-Za-z_-]{20,}",
    ),
    SecretShape("a Slack token", ("xox", "xapp-"), r"\b(?:xox[abeoprs]|xapp)-[0-9A-Za-z-]{10,}"),
    SecretShape(
        "a Slack webhook",
        ("hooks.slack",),
        r"https://hooks\.slack\.com/(?P<secret>(?:services|workflows|triggers)/\w+(?:/\w+)*)",
    ),
    SecretShape(
        "a Zapier catch URL",
        ("hooks.zapier",),
        r"https://hooks\.zapier\.com/(?P<secret>hooks/(?:standard|catch)/\w+(?:/\w+)*)",
    ),
    SecretShape(
        "a Discord webhook",
        ("/api/webhooks/",),
        r"https://discord(?:app)?\.com/api/webhooks/(?P<secret>\d+/[\w-]{20,})",
    ),
    SecretShape(
        "a Teams webhook",
        ("/webhookb2/",),
        r"webhook\.office\.com/(?P<secret>webhookb2/[\w@-]{20,}[\w/@-]*)",
    ),
    SecretShape("a Docker token", ("dckr_",), r"\bdckr_[po]at_[\w-]{20,}"),
    SecretShape(
        "a password of a .netrc file",
        ("machine",),
        r"\bmachine\s+\S+\s+(?:login\s+\S+\s+)?password\s+(?P<secret>\S{8,})",
        is_vague=True,
    ),
    SecretShape("an npm token", ("npm_",), r"\bnpm_[0-9A-Za-z]{36}\b"),
    SecretShape(
        "an npm token", (":_auth",), r":_auth(?:Token)?\s*=\s*\"?(?P<secret>[\w.~+/=-]{8,})"
    ),
    SecretShape("a PyPI token", ("pypi-agei",), r"\bpypi-AgEI[0-9A-Za-z_-]{50,}"),
    SecretShape("a Hugging Face token", ("hf_",), r"\bhf_[0-9A-Za-z]{30,}\b"),
    SecretShape(
        "an OpenAI or Anthropic key", ("sk-",), r"\bsk-(?:proj-|ant-|svcacct-)[0-9A-Za-z_-]{20,}"
    ),
    SecretShape("an OpenAI key", ("t3blbkfj",), r"\bsk-[0-9A-Za-z]{20}T3BlbkFJ[0-9A-Za-z]{20}"),
    SecretShape("a SendGrid key", ("sg.",), r"\bSG\.[\w-]{16,32}\.[\w-]{16,64}"),
    SecretShape("a Stripe key", ("k_live_",), r"\b[rs]k_live_[0-9A-Za-z]{20,}"),
    SecretShape("a webhook's signing secret", ("whsec_",), r"\bwhsec_[0-9A-Za-z+/=]{24,}"),
    SecretShape("a Twilio key", ("sk", "ac"), r"\b(?:SK|AC)[0-9a-f]{32}\b"),
    SecretShape("a Mailchimp key", ("-us",), r"\b[0-9a-f]{32}-us\d{1,2}\b"),
    SecretShape("a Mailgun key", ("key-",), r"\bkey-[0-9a-f]{32}\b"),
    SecretShape("a Telegram bot token", (":aa",), rf"\b\d{{8,10}}:AA[\w-]{{33}}{_END}"),
    SecretShape("a Shopify token", ("shp",), r"\bshp(?:at|ca|pa|ss)_[0-9a-f]{32}\b"),
    SecretShape("a Square secret", ("sq0",), r"\bsq0(?:csp|atp)-[\w-]{22,}"),
    SecretShape(
        "a Sentry DSN", ("@",), r"https://(?P<secret>[0-9a-f]{32})(?::[0-9a-f]{32})?@[\w.-]+/\d+"
    ),
    SecretShape("a New Relic key", ("nrak-",), r"\bNRAK-[0-9A-Z]{27}\b"),
    SecretShape(
        "a Grafana token",
        ("glsa_", "glc_"),
        r"\b(?:glsa_[0-9A-Za-z]{32}_[0-9a-f]{8}|glc_[\w+/=]{32,})",
    ),
    SecretShape("a Linear key", ("lin_api_",), r"\blin_api_[0-9A-Za-z]{32,}"),
    SecretShape("a Postman key", ("pmak-",), r"\bPMAK-[0-9a-f]{24}-[0-9a-f]{34}\b"),
    SecretShape("an age key", ("age-secret-key-",), r"\bAGE-SECRET-KEY-1[0-9A-Z]{50,}"),
    SecretShape(
        "a password, key or token by its name",
        ("pass", "pwd", "secret", "token", "key", "credential"),
        rf"(?i){_NAMES}[\"']?\s*(?::=|=>|[:=])\s*(?:(?P<quote>[\"'])(?P<secret>[^\"'\s]{{8,}})(?P=quote)"
        r"|(?P<bare>[^\s\"',;#<>{}()\[\]$\\]{8,})[ \t]*(?=[,;#\r\n]|$))",
        is_vague=True,
    ),
)
_NAMED: Final = SHAPES[-1]
_HINTS: Final = tuple((hint, shape) for shape in SHAPES for hint in shape.hints)

_PLACEHOLDER: Final = re.compile(
    r"(?i)example|change[_-]?me|your[_-]|placeholder|dummy|redacted|replace|x{6}|0{8}|\*{3}|\.{3}|<|>|\$\{|\{\{|%\("
)
_LEAST_DISTINCT: Final = 5
"""A secret of at least eight characters has at least this many different characters."""
_ROW: Final = "12345678"
_HAS_DIGIT: Final = re.compile(r"\d")
_PART: Final = re.compile(r"[A-Za-z]+|\d+")
_NAME_OR_PATH: Final = re.compile(
    r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)+$|[.~]*(/[\w.-]{1,20}){2,}$|[.~]{1,2}/|https?:|projects/"
)
"""A dotted name, a path, or the start of a URL or resource name."""
_ODD: Final = re.compile(r"[!@#%^&*]")


def is_placeholder(value: str) -> bool:
    """Whether ``value`` is a placeholder for a secret, as in examples."""
    return len(set(value)) < _LEAST_DISTINCT or _PLACEHOLDER.search(value) is not None


def is_machine_made(value: str) -> bool:
    """Whether ``value`` looks like a password or key, not like a word, a name, a path or an expression."""
    if is_placeholder(value) or _ROW in value or _NAME_OR_PATH.match(value):
        return False
    parts = [part for part in re.split(r"[\W_]+", value) if part]
    if all(_PART.fullmatch(part) for part in parts):  # only words and numbers, as in a name
        return len(_ODD.findall(value)) > 1 and _HAS_DIGIT.search(value) is not None
    return _HAS_DIGIT.search(value) is not None


def find_secrets(text: str) -> Iterator[SecretMatch]:
    """Secrets in ``text`` that a source must not contain, in the order of the shapes."""
    for shape, found in _matches(text):
        if shape.is_only_masked:
            continue
        start, end = _span(found)
        value = text[start:end]
        if not (is_machine_made(value) if shape.is_vague else not is_placeholder(value)):
            continue
        yield SecretMatch(shape.looks_like, start, end)


def mask_secrets(text: str, mask: str) -> str:
    """``text`` with ``mask`` in place of each secret; names and surrounding text stay readable."""
    for shape in _shapes_hinted_at(text):
        text = _compile(shape.pattern).sub(
            lambda found, shape=shape: _mask(found, shape, mask),  # type: ignore[misc]
            text,
        )
    return text


def _mask(found: re.Match[str], shape: SecretShape, mask: str) -> str:
    start, end = _span(found)
    if shape is _NAMED and not is_machine_made(found.string[start:end]):
        return found[0]
    return found.string[found.start() : start] + mask + found.string[end : found.end()]


def _matches(text: str) -> Iterator[tuple[SecretShape, re.Match[str]]]:
    for shape in _shapes_hinted_at(text):
        for found in _compile(shape.pattern).finditer(text):
            yield shape, found


def _shapes_hinted_at(text: str) -> list[SecretShape]:
    """Shapes that ``text`` may hold, in their order."""
    lowered = text.lower()
    return list(dict.fromkeys(shape for hint, shape in _HINTS if hint in lowered))


def _span(found: re.Match[str]) -> tuple[int, int]:
    groups = found.re.groupindex
    if "secret" not in groups:
        return found.span()
    return found.span("secret") if found["secret"] is not None else found.span("bare")


@cache
def _compile(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern, re.DOTALL)
