"""The ways in which Zapier calls an invoice function, byte for byte.

Header sets are data (``fixtures/zapier/*.json``): ``body`` says ``multipart``, ``form`` or ``json``, ``headers`` are
sent as they are, ``boundary`` is the pattern of a multipart boundary.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, unique
from pathlib import Path
from urllib.parse import urlencode

from pytest_deploygate.checks.probe import Answer, Probe
from pytest_deploygate.core.errors import ConfigError


@unique
class BodyKind(Enum):
    """How the body of a call is written."""

    MULTIPART = "multipart"
    FORM = "form"
    JSON = "json"


@dataclass(frozen=True, slots=True, kw_only=True)
class HeaderSet:
    """Headers of one kind of Zapier's calls. In a multipart one ``{boundary}`` stands for the boundary."""

    name: str
    body: BodyKind
    headers: Mapping[str, str]
    boundary: str = ""
    """Pattern in which ``{digits}`` stands for 24 digits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ZapierCall:
    """A POST, ready to be sent."""

    name: str
    headers: Mapping[str, str]
    body: bytes

    def send(self, probe: Probe) -> Answer:
        """Send it once.

        Raises:
            WouldWrite, ProbeFailed: see :class:`~pytest_deploygate.checks.probe.Probe`.
        """
        return probe.post(data=self.body, headers=self.headers)


def load_header_sets(directory: Path) -> Mapping[str, HeaderSet]:
    """Header sets of a directory by file name without ``.json``.

    Raises:
        ConfigError: a file is no header set, or there is none.
    """
    found: dict[str, HeaderSet] = {}
    for path in sorted(directory.glob("*.json")):
        try:
            document = json.loads(path.read_text(encoding="utf-8"))
            found[path.stem] = HeaderSet(
                name=path.stem,
                body=BodyKind(document["body"]),
                headers={str(k): str(v) for k, v in document["headers"].items()},
                boundary=str(document.get("boundary", "")),
            )
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise ConfigError(f"no header set in {path}: {error}", hint="correct it") from error
    if not found:
        raise ConfigError(f"there is no header set in {directory}", hint="restore the fixtures")
    return found


def file_call(
    headers: HeaderSet,
    *,
    file_name: str,
    content: bytes,
    field: str = "invoice_file",
    content_type: str = "application/pdf",
) -> ZapierCall:
    """Multipart form with the document in ``field``. ``file_name`` is sent as UTF-8."""
    digits = str(int(hashlib.sha256(content).hexdigest(), 16))[:24]
    boundary = headers.boundary.replace("{digits}", digits)
    quoted = file_name.replace('"', "%22").replace("\r", "%0D").replace("\n", "%0A")
    head = (
        f"--{boundary}\r\n"
        f'Content-Disposition: form-data; name="{field}"; filename="{quoted}"\r\n'
        f"Content-Type: {content_type}\r\n\r\n"
    )
    return ZapierCall(
        name=f"{headers.name}: {field}",
        headers={k: v.replace("{boundary}", boundary) for k, v in headers.headers.items()},
        body=head.encode() + content + f"\r\n--{boundary}--\r\n".encode(),
    )


def url_call(headers: HeaderSet, url: str, *, field: str = "file_url") -> ZapierCall:
    """Form or JSON that names the document's URL in ``field`` (``file_url``, or ``invoice_file`` in a form)."""
    document = {field: url}
    is_json = headers.body is BodyKind.JSON
    text = json.dumps(document) if is_json else urlencode(document)
    return ZapierCall(
        name=f"{headers.name}: {field}", headers=dict(headers.headers), body=text.encode()
    )
