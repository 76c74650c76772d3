"""Runs the function of a source folder without network: ``python -I offline.py FOLDER DOCUMENT...`` prints JSON.

It is called in an interpreter of its own, as the platform would import the function. The Sheets API that the function
finds is one on loopback that takes every append and remembers it, so what is judged is what would be written.
"""

import contextlib
import json
import os
import re
import resource
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote

ENTRY_POINT = "process_invoice"


class _Sheet(BaseHTTPRequestHandler):
    """``values.append`` alone; whatever else is asked for is not there."""

    protocol_version = "HTTP/1.1"
    appends: list[dict[str, object]]

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers.get("Content-Length") or 0)) or b"{}")
        found = re.fullmatch(r"/v4/spreadsheets/[^/]+/values/(.+):append(\?.*)?", self.path)
        if found is None:
            self._reply(404, {"error": {"code": 404, "status": "NOT_FOUND"}})
            return
        rows = body.get("values", [])
        where = unquote(found[1])
        self.appends.append({"range": where, "rows": rows})
        tab, _, columns = where.rpartition("!")
        first, _, last = columns.partition(":")
        updated = f"{tab}!{first or 'A'}1:{last or 'G'}{len(rows)}"
        self._reply(200, {"updates": {"updatedRange": updated, "updatedRows": len(rows)}})

    def _reply(self, status: int, document: object) -> None:
        raw = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the base names it
        """Say nothing."""


def main() -> None:
    """Post every document to the function and print what came of it."""
    folder, documents = Path(sys.argv[1]), [Path(name) for name in sys.argv[2:]]
    sys.path.insert(0, str(folder))
    os.chdir(folder)
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Sheet)
    _Sheet.appends = []
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    os.environ |= {
        "GOOGLE_CLOUD_PROJECT_ID": "offline",
        "DOCUMENT_AI_PROCESSOR_ID": "offline",
        "GOOGLE_SHEETS_SPREADSHEET_ID": "offline",
        "GOOGLE_SHEETS_SHEET_NAME": "Offline tab",
        "GOOGLE_SHEETS_API_ENDPOINT": f"http://127.0.0.1:{server.server_port}",
        "INVOICE_FILE_HOSTS": "",
    }
    with contextlib.redirect_stdout(
        sys.stderr
    ):  # what the function prints is no part of the result
        result = _run(folder, documents)
    json.dump(result, sys.stdout)


def _run(folder: Path, documents: list[Path]) -> dict[str, object]:
    from functions_framework import create_app

    began = time.perf_counter()
    app = create_app(ENTRY_POINT, str(folder / "main.py"), "http")  # type: ignore[no-untyped-call]
    client = app.test_client()
    imported_s = time.perf_counter() - began
    answers = {}
    for path in documents:
        _Sheet.appends.clear()
        began = time.perf_counter()
        with path.open("rb") as file:
            answer = client.post("/", data={"invoice_file": (file, path.name, "application/pdf")})
        answers[path.stem] = {
            "status": answer.status_code,
            "answer": answer.get_json(silent=True),
            "appends": list(_Sheet.appends),
            "seconds": time.perf_counter() - began,
        }
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"imported_s": imported_s, "answers": answers, "memory_peak_mb": peak_mb}


if __name__ == "__main__":
    main()
