"""HTTP client of the checks: always times out, never repeats a POST, and never writes to a read-only endpoint.

The client decides on the final bytes of a request. To a read-only endpoint it sends only GET, HEAD and OPTIONS, and
POST with an empty body, an empty JSON object, or a body that the caller named as harmless. Neither the token nor the
query of a URL ever appears in a message, a ``repr`` or the last line of a traceback.
"""

import json
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from enum import Enum, unique
from ipaddress import ip_address
from typing import TypeAlias, TypedDict, Unpack, assert_never
from urllib.parse import urlsplit, urlunsplit

import requests
import urllib3
from requests.auth import AuthBase
from requests.structures import CaseInsensitiveDict

from pytest_deploygate.checks.connections import adapter_of, traceparent_of_check
from pytest_deploygate.checks.endpoint import Endpoint, Json
from pytest_deploygate.core.errors import DeployGateError
from pytest_deploygate.core.identifiers import Secret
from pytest_deploygate.core.trace_context import HEADER

Body: TypeAlias = bytes | str | Mapping[str, str]
"""The raw body, or the fields of a form."""
Parameters: TypeAlias = Mapping[str, str | int | float | Sequence[str]]
"""The query of a URL; a list gives a parameter several values."""
Files: TypeAlias = Mapping[str, bytes | tuple[str, bytes] | tuple[str, bytes, str]]
"""Parts of a multipart form: field name to content, (file name, content), or (file name, content, content type)."""


class RequestOptions(TypedDict, total=False):
    """What a request carries, as in requests: raw ``data`` or a form, a ``json`` document, or ``files``."""

    data: Body | None
    json: Json
    params: Parameters | None
    files: Files | None
    headers: Mapping[str, str] | None
    follow_redirects: bool


CONNECT_TIMEOUT_S = 5.0
READ_TIMEOUT_S = 125.0
"""Timeout for the next bytes of an answer, and for the whole answer: just above 120 s, which is long for a function."""
MOST_BYTES = 32 * 1024 * 1024
"""The platform's limit for an answer that is not streamed (Cloud Run, "Quotas and limits")."""
_SHOWN = 300
"""Characters of an answer that its ``repr`` shows."""
_CONNECT_ATTEMPTS = 3
_REVISION_HEADERS = ("K-Revision", "X-Revision")
_READS = ("GET", "HEAD", "OPTIONS")


class WouldWrite(DeployGateError):
    """The request might write, and the endpoint is read-only; nothing was sent."""


@unique
class ConnectionFailure(Enum):
    """Why there is no answer."""

    NOT_REACHED = "could not be reached"
    TIMEOUT = "did not answer in time"
    CUT = "broke the connection"
    TLS = "has no valid TLS"
    TOO_LONG = f"answered more than {MOST_BYTES // 2**20} MiB"
    OTHER = "could not be asked"


class ProbeFailed(DeployGateError):
    """There is no answer; ``trouble`` says why. A POST may have been applied, except with NOT_REACHED and TLS."""

    def __init__(self, message: str, *, trouble: ConnectionFailure, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.trouble = trouble


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Answer:
    """A complete HTTP answer. A 4xx or 5xx is an answer like any other."""

    status: int
    headers: Mapping[str, str]
    """Headers; names are case-insensitive."""
    text: str
    """The whole body as text."""
    json: Json
    """The body as JSON, ``None`` if it is not JSON (or is ``null``): a value, not a method."""
    elapsed_s: float
    """Seconds from sending to the last byte of the answer."""
    revision: str
    """Revision in the header ``K-Revision`` or ``X-Revision``, else ``""``."""
    is_json: bool = False
    content: bytes = b""
    """The whole raw body, up to 32 MiB."""

    def __repr__(self) -> str:
        """Text for a failed assertion: the start of the body, never all of 32 MiB."""
        more = "…" if len(self.text) > _SHOWN else ""
        return f"<Answer {self.status} {self.content_type}: {self.text[:_SHOWN]!r}{more}>"

    @property
    def content_type(self) -> str:
        """Media type without parameters, in lower case."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()

    def value(self, name: str) -> Json:
        """Member ``name`` of the JSON object; ``None`` if there is none."""
        return self.json.get(name) if isinstance(self.json, Mapping) else None


class _Bearer(AuthBase):
    """Adds the token without keeping it in a variable that a traceback with locals would show."""

    def __init__(self, token: Secret) -> None:
        self._token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"Bearer {self._token.reveal()}"
        return request


@dataclass(slots=True, repr=False)
class Probe:
    """HTTP client of one endpoint. Threads may share it.

    ``harmless`` lists POST bodies that are known to write nothing, for read-only endpoints.
    """

    endpoint: Endpoint
    _: KW_ONLY
    harmless: Collection[bytes] = ()
    connect_timeout_s: float = CONNECT_TIMEOUT_S
    read_timeout_s: float = READ_TIMEOUT_S
    clock: Callable[[], float] = time.perf_counter
    _pooled: requests.Session = field(init=False, repr=False)
    _looks: list[Callable[[Answer], None]] = field(default_factory=list, init=False, repr=False)

    def __post_init__(self) -> None:
        self._pooled = self._session()

    def __repr__(self) -> str:
        """Text for a failed assertion: where its requests go."""
        revision = f", {self.endpoint.revision}" if self.endpoint.revision else ""
        return f"<Probe {self.endpoint.url}{revision}>"

    def watch(self, look: Callable[[Answer], None]) -> None:
        """Call ``look`` with every answer from now on, before the check gets it; threads may call it concurrently."""
        self._looks.append(look)

    def get(self, path: str = "", **options: Unpack[RequestOptions]) -> Answer:
        """GET the endpoint, or ``path`` below it."""
        return self.request("GET", path, **options)

    def post(self, path: str = "", **options: Unpack[RequestOptions]) -> Answer:
        """POST once: bytes or a form (``data``), a JSON document, or files. It is never repeated."""
        return self.request("POST", path, **options)

    def put(self, path: str = "", **options: Unpack[RequestOptions]) -> Answer:
        """PUT once."""
        return self.request("PUT", path, **options)

    def patch(self, path: str = "", **options: Unpack[RequestOptions]) -> Answer:
        """PATCH once."""
        return self.request("PATCH", path, **options)

    def delete(self, path: str = "", **options: Unpack[RequestOptions]) -> Answer:
        """DELETE once."""
        return self.request("DELETE", path, **options)

    def request(
        self,
        method: str,
        path: str = "",
        *,
        data: Body | None = None,
        json: Json = None,
        params: Parameters | None = None,
        files: Files | None = None,
        headers: Mapping[str, str] | None = None,
        follow_redirects: bool = False,
    ) -> Answer:
        """Send one request and read its answer; redirects are answers unless ``follow_redirects``.

        ``data``, ``json``, ``params``, ``files`` and ``headers`` are those of requests.

        Raises:
            WouldWrite: the endpoint is read-only and the request might write; nothing was sent.
            ProbeFailed: there is no answer. A GET is retried if no connection was made, a POST never.
        """
        outgoing = requests.Request(
            method,
            self.endpoint.url.rstrip("/") + path if path else self.endpoint.url,
            headers=dict(headers or {}),
            params=dict(params) if params is not None else None,
            data=dict(data) if isinstance(data, Mapping) else data,
            json=json,
            files=_parts(files) if files is not None else None,
            auth=_Bearer(self.endpoint.token) if self.endpoint.token is not None else None,
        )
        try:
            prepared = self._pooled.prepare_request(outgoing)
        except (requests.RequestException, ValueError):
            raise self._probe_error(ConnectionFailure.OTHER, str(outgoing.url), method) from None
        if self.endpoint.traceparent:
            prepared.headers.setdefault(HEADER, traceparent_of_check(self.endpoint.traceparent))
        is_harmless = self._is_harmless(prepared)
        if not self.endpoint.may_write and not is_harmless:
            raise WouldWrite(
                f"refused {method} {redact_url(str(prepared.url))}: it may write, and this endpoint must not be",
                hint="use the fixture verification, which may write, or name the body in harmless= if it writes none",
            )
        if is_harmless:
            return self._send(self._pooled, prepared, follow_redirects=follow_redirects)
        # The server may close a kept connection just while a request is sent, and nobody could tell whether it
        # received it. So a request that may write gets its own connection.
        with self._session() as fresh:
            return self._send(fresh, prepared, follow_redirects=follow_redirects)

    def close(self) -> None:
        """Close the kept connections."""
        self._pooled.close()

    def _session(self) -> requests.Session:
        session = requests.Session()
        session.trust_env = not is_loopback(self.endpoint.url)
        adapter = adapter_of(self.endpoint.heard)
        session.mount("http://", adapter)
        session.mount("https://", adapter)
        session.headers["User-Agent"] = "pytest-deploygate"
        return session

    def _is_harmless(self, prepared: requests.PreparedRequest) -> bool:
        if prepared.method in _READS:
            return not prepared.body
        if prepared.method != "POST" or urlsplit(str(prepared.url)).query:
            return False
        sent = prepared.body
        raw = sent.encode() if isinstance(sent, str) else sent
        if raw is not None and not isinstance(raw, bytes):
            return False
        return not raw or raw.strip() in (b"", b"{}") or raw in self.harmless

    def _send(
        self,
        session: requests.Session,
        prepared: requests.PreparedRequest,
        *,
        follow_redirects: bool,
    ) -> Answer:
        method, url = str(prepared.method), str(prepared.url)
        attempts = _CONNECT_ATTEMPTS if method in _READS else 1
        settings = session.merge_environment_settings(url, {}, True, None, None)
        while True:
            attempts -= 1
            start = self.clock()
            try:
                with session.send(
                    prepared,
                    timeout=(self.connect_timeout_s, self.read_timeout_s),
                    allow_redirects=follow_redirects,
                    **settings,
                ) as response:
                    answer = _answer(response, self._read(response, start), self.clock() - start)
                    for look in self._looks:
                        look(answer)
                    return answer
            except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
                trouble = _connection_failure(error)
                if trouble is not ConnectionFailure.NOT_REACHED or attempts <= 0:
                    # The library's message contains the whole URL, so it is left out of the chain.
                    raise self._probe_error(trouble, url, method) from None

    def _read(self, response: requests.Response, start: float) -> bytes:
        raw = bytearray()
        for chunk in response.iter_content(64 * 1024):
            raw += chunk
            if len(raw) > MOST_BYTES:
                raise self._probe_error(
                    ConnectionFailure.TOO_LONG, response.url, str(response.request.method)
                )
            if self.clock() - start > self.read_timeout_s:
                raise self._probe_error(
                    ConnectionFailure.TIMEOUT, response.url, str(response.request.method)
                )
        return bytes(raw)

    def _probe_error(self, trouble: ConnectionFailure, url: str, method: str) -> ProbeFailed:
        match trouble:
            case ConnectionFailure.NOT_REACHED:
                hint = "check that the revision runs and that the address is right"
            case ConnectionFailure.TIMEOUT:
                hint = f"it was given {self.read_timeout_s:g} s; look into the log of the revision"
            case ConnectionFailure.CUT:
                hint = "the process may have died or been killed for memory; look into the log of the revision"
            case ConnectionFailure.TLS:
                hint = "check the certificate and the clock"
            case ConnectionFailure.TOO_LONG:
                hint = f"the client reads at most {MOST_BYTES // 2**20} MiB, which is the limit of the platform"
            case ConnectionFailure.OTHER:
                hint = ""
            case _:
                assert_never(trouble)
        return ProbeFailed(
            f"{method} {redact_url(url)}: the endpoint {trouble.value}", trouble=trouble, hint=hint
        )


def _parts(files: Files) -> dict[str, tuple[str, bytes] | tuple[str, bytes, str]]:
    """Parts with file names; content without one gets the name of its field, as in requests."""
    return {name: (name, part) if isinstance(part, bytes) else part for name, part in files.items()}


def _answer(response: requests.Response, raw: bytes, elapsed_s: float) -> Answer:
    text = raw.decode(response.encoding or "utf-8", errors="replace")
    try:
        document, is_json = json.loads(text), True
    except ValueError:
        document, is_json = None, False
    headers = CaseInsensitiveDict(response.headers)
    return Answer(
        status=response.status_code,
        headers=headers,
        text=text,
        json=document,
        is_json=is_json,
        content=raw,
        elapsed_s=elapsed_s,
        revision=next((headers[name] for name in _REVISION_HEADERS if headers.get(name)), ""),
    )


def _connection_failure(error: Exception) -> ConnectionFailure:
    match error:
        case requests.exceptions.SSLError():
            return ConnectionFailure.TLS
        case requests.exceptions.ConnectTimeout():
            return ConnectionFailure.NOT_REACHED
        case requests.exceptions.Timeout() | urllib3.exceptions.ReadTimeoutError():
            return ConnectionFailure.TIMEOUT
        case requests.exceptions.ConnectionError():
            inner = error.args[0] if error.args else None
            reason = getattr(inner, "reason", inner)
            if isinstance(reason, urllib3.exceptions.NewConnectionError):
                return ConnectionFailure.NOT_REACHED
            # A read that times out during the body is a ConnectionError too.
            is_timeout = isinstance(reason, urllib3.exceptions.ReadTimeoutError)
            return ConnectionFailure.TIMEOUT if is_timeout else ConnectionFailure.CUT
        case requests.exceptions.ChunkedEncodingError() | urllib3.exceptions.ProtocolError():
            return ConnectionFailure.CUT
        case _:
            return ConnectionFailure.OTHER


def redact_url(url: str) -> str:
    """The URL without user, password, query and fragment, all of which may contain secrets."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit((parts.scheme, host, parts.path, "…" if parts.query else "", ""))


def is_loopback(url: str) -> bool:
    """Whether the URL's host is loopback."""
    host = urlsplit(url).hostname or ""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
