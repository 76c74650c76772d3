"""Serves documents by URL from loopback, and can behave like any document server: slow, redirecting, missing.

``with serve_files({"a.pdf": content}) as host: ...`` starts a real HTTP server; ``host`` creates the URLs and
records the requests, so that a check can prove that a URL was never requested. A function in the cloud cannot reach
loopback: for it, :func:`serve_files_publicly` serves under the public URL of a tunnel or proxy that leads here.
"""

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit
from uuid import uuid4

from pytest_deploygate.checks.endpoint import Endpoint
from pytest_deploygate.checks.probe import Probe, ProbeFailed, is_loopback
from pytest_deploygate.core.errors import ConfigError

PDF = "application/pdf"
DEFAULT_LISTEN = "127.0.0.1:8089"
_LONGEST_HOLD_S = 60.0
"""A held request ends after this time, so that a failed check leaves no hanging request."""


@dataclass(slots=True, kw_only=True)
class DelayedFile:
    """A URL with a delayed answer: ``arrived`` is set at the request, ``release`` sends the answer."""

    url: str
    arrived: threading.Event
    release: threading.Event


@dataclass(frozen=True, slots=True, kw_only=True)
class _Page:
    status: int = 200
    content: bytes = b""
    content_type: str = PDF
    location: str = ""
    held: DelayedFile | None = None


@dataclass(slots=True, kw_only=True)
class FileHost:
    """A running server; it answers every URL that it creates until the context ends."""

    base: str
    """``http://address:port`` without a slash, or the public URL that leads there."""
    files: Mapping[str, bytes]
    _pages: dict[str, _Page] = field(default_factory=dict)
    _asked: list[str] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def asked(self) -> tuple[str, ...]:
        """Requested paths (with query), in order."""
        with self._lock:
            return tuple(self._asked)

    def url(self, name: str, *, query: str = "") -> str:
        """URL of the document ``name`` as PDF; any query is accepted."""
        return self._add(name, _Page(content=self.files[name])) + (f"?{query}" if query else "")

    def with_type(self, name: str, content_type: str, *, called: str = "") -> str:
        """URL of the document ``name`` with another content type; the URL ends in ``called`` (or ``name``)."""
        page = _Page(content=self.files[name], content_type=content_type)
        return self._add(called or name, page)

    def page(self, called: str, content: bytes, content_type: str) -> str:
        """URL of any content."""
        return self._add(called, _Page(content=content, content_type=content_type))

    def missing(self, called: str = "missing.pdf") -> str:
        """URL of a 404 answer with an HTML page."""
        page = _Page(status=404, content=b"<html>Not Found</html>", content_type="text/html")
        return self._add(called, page)

    def redirect(self, target: str, *, called: str = "moved.pdf") -> str:
        """URL of a 302 redirect to ``target``."""
        return self._add(called, _Page(status=302, location=target))

    def delayed(self, name: str) -> DelayedFile:
        """URL of the document ``name``, answered when the caller releases it."""
        held = DelayedFile(url="", arrived=threading.Event(), release=threading.Event())
        held.url = self._add(name, _Page(content=self.files[name], held=held))
        return held

    def _add(self, called: str, page: _Page) -> str:
        with self._lock:
            path = f"/{len(self._pages)}/{called}"
            self._pages[path] = page
        return f"{self.base}{quote(path)}"

    def find(self, target: str) -> _Page | None:
        """Record a request target and return its page."""
        with self._lock:
            self._asked.append(target)
            return self._pages.get(unquote(urlsplit(target).path))

    def release_all(self) -> None:
        """Release all held answers."""
        with self._lock:
            pages = list(self._pages.values())
        for page in pages:
            if page.held is not None:
                page.held.release.set()


@contextmanager
def serve_files_publicly(
    files: Mapping[str, bytes] | Path, *, url: str, listen: str = ""
) -> Iterator[FileHost]:
    """Serve ``files`` on ``listen`` (address:port), where requests to the public ``url`` arrive.

    Raises:
        ConfigError: ``url`` or ``listen`` is wrong, the address is in use, or requests to ``url`` do not arrive.
    """
    place = listen or DEFAULT_LISTEN
    address, _, port = place.rpartition(":")
    parts = urlsplit(url)
    is_safe = parts.scheme == "https" or is_loopback(url)
    if not address or not port.isdecimal() or not is_safe or parts.path.strip("/"):
        raise ConfigError(
            f"documents = {url!r} and documents-listen = {place!r} cannot be used",
            hint="`documents` is an https URL such as https://documents.example.com, `documents-listen` host:port "
            "such as 127.0.0.1:8089",
        )
    try:
        with serve_files(files, address=address, port=int(port), base=url.rstrip("/")) as host:
            _require_public_route(host)
            yield host
    except OSError as error:
        raise ConfigError(
            f"documents cannot be served at {place}: {error.strerror}",
            hint="end the process that listens there; pytest-xdist workers cannot share it: use -n 1",
        ) from error


def _require_public_route(host: FileHost) -> None:
    """Raise ConfigError if requests do not arrive: a dead tunnel would look like a function that cannot download."""
    mark = uuid4().hex
    page = urlsplit(host.page("mark.txt", mark.encode(), "text/plain"))
    probe = Probe(Endpoint(url=host.base), read_timeout_s=30)
    try:
        told = probe.get(page.path).text
    except ProbeFailed as error:
        told = error.message
    finally:
        probe.close()
    if told != mark:
        raise ConfigError(
            f"requests to {host.base} do not arrive here: {told[:80]!r}",
            hint="start the tunnel or proxy from that URL to the address of documents-listen",
        )


@contextmanager
def serve_files(
    files: Mapping[str, bytes] | Path,
    *,
    address: str = "127.0.0.1",
    port: int = 0,
    base: str = "",
) -> Iterator[FileHost]:
    """Serve ``files`` (name to content, or a directory) on ``address`` until the context ends.

    URLs start with ``base``, by default the address itself with a free port.

    Raises:
        OSError: the server cannot listen on the address.
    """
    contents = _contents_of(files) if isinstance(files, Path) else files
    pages: list[FileHost] = []
    handler = type("_BoundHandler", (_FileHandler,), {"host_of": staticmethod(lambda: pages[0])})
    server = ThreadingHTTPServer((address, port), handler)
    server.daemon_threads = True
    host = FileHost(base=base or f"http://{address}:{server.server_port}", files=contents)
    pages.append(host)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield host
    finally:
        host.release_all()
        server.shutdown()
        server.server_close()
        thread.join()


class _Directory(dict[str, bytes]):
    """Reads each file at its first use."""

    def __init__(self, directory: Path) -> None:
        super().__init__()
        self._directory = directory

    def __missing__(self, name: str) -> bytes:
        content = self[name] = (self._directory / name).read_bytes()
        return content


def _contents_of(directory: Path) -> Mapping[str, bytes]:
    return _Directory(directory)


class _FileHandler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    host_of: Callable[[], FileHost]

    def _answer(self) -> None:
        page = type(self).host_of().find(self.path)
        if page is None:
            page = _Page(status=404, content=b"not served here", content_type="text/plain")
        if page.held is not None:
            page.held.arrived.set()
            page.held.release.wait(_LONGEST_HOLD_S)
        try:
            self.send_response(page.status)
            self.send_header("Content-Type", page.content_type)
            self.send_header("Content-Length", str(len(page.content)))
            if page.location:
                self.send_header("Location", page.location)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(page.content)
        except OSError:  # the client closed the connection
            self.close_connection = True

    do_GET = do_HEAD = _answer  # noqa: N815  # the base class names them

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the base names it
        """Log nothing."""
