"""Runs the function of a source folder without network: ``python -I offline.py CONFIGURATION`` prints JSON.

It is called in an interpreter of its own, as the platform would import the function, with the variables that the
platform would give it. The sink that the function finds is one on loopback that takes every write and remembers it, so
what is judged is what would be written. Documents of one batch are posted at once.
"""

import contextlib
import json
import os
import re
import resource
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote


class _Sink(BaseHTTPRequestHandler):
    """``values.append`` of a sheet, and records of a collection; whatever else is asked for is not there."""

    protocol_version = "HTTP/1.1"
    writes: list[dict[str, object]]

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers.get("Content-Length") or 0)) or b"{}")
        if found := re.fullmatch(r"/v4/spreadsheets/[^/]+/values/(.+):append(\?.*)?", self.path):
            rows, where = body.get("values", []), unquote(found[1])
            self.writes.append({"range": where, "rows": rows})
            tab, _, columns = where.rpartition("!")
            first, _, last = columns.partition(":")
            updated = f"{tab}!{first or 'A'}1:{last or 'G'}{len(rows)}"
            self._reply(200, {"updates": {"updatedRange": updated, "updatedRows": len(rows)}})
        elif re.fullmatch(r"/collections/[^/]+/records", self.path):
            records = body.get("records", [])
            self.writes.append({"records": records})
            self._reply(201, {"ids": list(range(1, len(records) + 1))})
        else:
            self._reply(404, {"error": {"code": 404, "status": "NOT_FOUND"}})

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
    configuration = json.loads(sys.argv[1])
    folder = Path(configuration["folder"])
    sys.path.insert(0, str(folder))
    os.chdir(folder)
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Sink)
    _Sink.writes = []
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    os.environ |= configuration["variables"]
    os.environ[configuration["endpoint-variable"]] = f"http://127.0.0.1:{server.server_port}"
    with contextlib.redirect_stdout(
        sys.stderr
    ):  # what the function prints is no part of the result
        result = _run(folder, configuration)
    json.dump(result, sys.stdout)


def _run(folder: Path, configuration: dict[str, Any]) -> dict[str, object]:
    from functions_framework import create_app

    began = time.perf_counter()
    app = create_app(configuration["entry-point"], str(folder / "main.py"), "http")  # type: ignore[no-untyped-call]
    app.test_client()
    imported_s = time.perf_counter() - began

    def post(name: str) -> dict[str, object]:
        path, started = Path(name), time.perf_counter()
        with path.open("rb") as file:
            part = (file, path.name, configuration["media-type"])
            answer = app.test_client().post("/", data={configuration["file-field"]: part})
        return {
            "document": path.stem,
            "status": answer.status_code,
            "answer": answer.get_json(silent=True),
            "seconds": time.perf_counter() - started,
        }

    batches = []
    for names in configuration["batches"]:
        _Sink.writes = []
        with ThreadPoolExecutor(configuration["senders"]) as pool:
            answers = list(pool.map(post, names))
        batches.append({"answers": answers, "writes": _Sink.writes})
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 10**6
    return {"imported_s": imported_s, "batches": batches, "memory_peak_mb": peak_mb}


if __name__ == "__main__":
    main()
