"""The function as a process of its own, and the loopback servers that it talks to: a sheet and a file host."""

import json
import os
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import cast
from urllib.parse import parse_qs, unquote, urlsplit

import requests
from typing_extensions import override

ROOT = Path(__file__).resolve().parents[2]
FUNCTION = ROOT / "fixtures" / "process_invoice"
OTHER_FUNCTION = ROOT / "tests" / "suites" / "another_author"
INVOICES = ROOT / "test_invoices"
EXPECTED = ROOT / "fixtures" / "expected"
SCHEMAS = ROOT / "fixtures" / "schemas"
SHEET_ID = "1sheet-of-the-tests"
TAB = "Update 20230525"

Json = Mapping[str, object]


def golden(name: str) -> dict[str, object]:
    """Read the golden result of the document ``name``."""
    return cast("dict[str, object]", json.loads((EXPECTED / f"{name}.json").read_text("utf-8")))


def outcome_of(name: str) -> dict[str, object]:
    """How the document ``name`` must end."""
    return cast("dict[str, object]", golden(name)["outcome"])


def golden_rows(name: str) -> list[list[str]]:
    """The rows, columns B to G as text, that the document ``name`` must give."""
    items = cast("list[dict[str, list[str]]]", golden(name)["line_items"])
    return [item["row"] for item in items]


def pdf(name: str) -> bytes:
    """Read the document ``name``."""
    return (INVOICES / f"{name}.pdf").read_bytes()


@dataclass(frozen=True, slots=True, kw_only=True)
class Append:
    """One call of ``values.append`` as it arrived."""

    spreadsheet: str
    range: str
    options: Mapping[str, list[str]]
    rows: list[list[object]]
    authorization: str | None

    @property
    def text(self) -> list[list[str]]:
        """The rows as a sheet shows them: an apostrophe before a value says that it is text, and is not shown."""
        return [[str(value).removeprefix("'") for value in row] for row in self.rows]


@dataclass(slots=True, kw_only=True)
class KeptSheet:
    """A values API that keeps what it was sent; ``answer`` replaces its next answers (status, body).

    ``drop`` closes the connection instead, ``location`` goes with the answer.
    """

    url: str
    appends: list[Append] = field(default_factory=list)
    answer: tuple[int, bytes] | None = None
    drop: bool = False
    kept: list[list[object]] = field(default_factory=list)
    """Rows from column B on that are there when somebody looks."""
    location: str | None = None

    @contextmanager
    def watched(self) -> Iterator[list[Append]]:
        """Give the appends of the block, which are there when it has ended."""
        before, seen = len(self.appends), list[Append]()
        yield seen
        seen.extend(self.appends[before:])


class _Quiet(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    @override
    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""

    def reply(self, status: int, body: bytes, **headers: str) -> None:
        self.send_response(status)
        for name, value in ({"Content_Length": str(len(body))} | headers).items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    @override
    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing: clients of the tests hang up as they please."""


@contextmanager
def serving(handler: type[BaseHTTPRequestHandler]) -> Iterator[str]:
    """Serve on loopback for the block; gives the URL."""
    server = _Server(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


@contextmanager
def sheet_server() -> Iterator[KeptSheet]:
    """Serve ``spreadsheets.values.append``."""
    sheet = KeptSheet(url="")

    class Handler(_Quiet):
        def do_GET(self) -> None:
            self.reply(200, json.dumps({"values": sheet.kept}).encode())

        def do_POST(self) -> None:
            parts = urlsplit(self.path)
            found = re.fullmatch(r"/v4/spreadsheets/([^/]+)/values/([^/]+):append", parts.path)
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            if found is None:
                self.reply(404, b"{}")
                return
            append = Append(
                spreadsheet=unquote(found[1]),
                range=unquote(found[2]),
                options=parse_qs(parts.query),
                rows=body["values"],
                authorization=self.headers["Authorization"],
            )
            sheet.appends.append(append)
            if sheet.drop:
                self.connection.shutdown(socket.SHUT_RDWR)
                return
            rows = len(append.rows)
            updates = {"updatedRows": rows, "updatedRange": f"'{TAB}'!B2:G{rows + 1}"}
            status, body = sheet.answer or (200, json.dumps({"updates": updates}).encode())
            moved = {"Location": sheet.location} if sheet.location else {}
            self.reply(status, body, Content_Type="application/json", **moved)

    with serving(Handler) as url:
        sheet.url = url
        yield sheet


@contextmanager
def file_server() -> Iterator[str]:
    """Serve the test invoices, and what can go wrong with a file URL.

    ``/NAME.pdf`` the document; ``/typed/NAME`` without the ending but with the content type; ``/octets/NAME.pdf``
    with the ending only; ``/untyped/NAME`` with neither; ``/status/N``; ``/page`` HTML; ``/moved?to=URL``;
    ``/loop``; ``/huge.pdf`` more than 20 MB; ``/cut.pdf`` ends early.
    """

    class Handler(_Quiet):
        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            first, _, rest = unquote(parts.path).strip("/").partition("/")
            pdf_type, octets = "application/pdf", "application/octet-stream"
            match first:
                case "typed":
                    self.reply(200, pdf(rest), Content_Type=pdf_type)
                case "octets":
                    self.reply(200, pdf(rest.removesuffix(".pdf")), Content_Type=octets)
                case "untyped":
                    self.reply(200, pdf(rest), Content_Type=octets)
                case "status":
                    self.reply(int(rest), b"no", Content_Type="text/plain")
                case "page":
                    self.reply(200, b"<html>Sign in</html>", Content_Type="text/html")
                case "moved":
                    self.reply(302, b"", Location=parse_qs(parts.query)["to"][0])
                case "loop":
                    self.reply(302, b"", Location="/loop")
                case "huge.pdf":
                    self.reply(200, b"%PDF-" + b" " * (20 << 20) + b"%%EOF", Content_Type=pdf_type)
                case "cut.pdf":
                    whole = pdf("harpercollins_NS4435067")
                    size = str(len(whole) + 1)
                    self.reply(200, whole, Content_Type=pdf_type, Content_Length=size)
                    self.connection.shutdown(socket.SHUT_RDWR)
                case _:
                    self.reply(200, pdf(first.removesuffix(".pdf")), Content_Type=pdf_type)

    with serving(Handler) as url:
        yield url


@dataclass(frozen=True, slots=True, kw_only=True)
class Function:
    """A running function."""

    url: str
    process: subprocess.Popen[bytes]
    sheet: KeptSheet
    files: str

    def upload(self, content: bytes, name: str = "invoice.pdf") -> requests.Response:
        """Post a document as a multipart ``invoice_file``."""
        files = {"invoice_file": (name, content, "application/pdf")}
        return requests.post(self.url, files=files, timeout=60)


@contextmanager
def running(source: Path, sheet: KeptSheet, files: str, **env: str | None) -> Iterator[Function]:
    """Run the function of ``source`` with functions-framework until the block ends; ``env`` None removes."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    settings: dict[str, str | None] = {
        "GOOGLE_CLOUD_PROJECT_ID": "a-project",
        "DOCUMENT_AI_PROCESSOR_ID": "a-processor",
        "GOOGLE_SHEETS_SPREADSHEET_ID": SHEET_ID,
        "GOOGLE_SHEETS_SHEET_NAME": TAB,
        "GOOGLE_SHEETS_API_ENDPOINT": sheet.url,
        "INVOICE_FILE_HOSTS": urlsplit(files).netloc,
        "K_REVISION": "process-invoice-00007-abc",
        **env,
    }
    inherited = {name: value for name, value in os.environ.items() if name not in settings}
    given = {name: value for name, value in settings.items() if value is not None}
    command = [sys.executable, "-m", "functions_framework", "--target=process_invoice"]
    process = subprocess.Popen(
        [*command, f"--source={source / 'main.py'}", "--host=127.0.0.1", f"--port={port}"],
        env=inherited | given,
        cwd=source,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        url = f"http://127.0.0.1:{port}/"
        _wait_for(url, process)
        yield Function(url=url, process=process, sheet=sheet, files=files)
    finally:
        os.killpg(process.pid, 9)
        process.wait()


def _wait_for(url: str, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 30
    while True:
        try:
            requests.get(url, timeout=5)
        except requests.ConnectionError:
            assert process.poll() is None, "the function did not start"
            assert time.monotonic() < deadline, "the function does not answer"
            time.sleep(0.05)
        else:
            return
