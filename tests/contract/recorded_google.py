"""A stand-in for Google that answers with what was recorded there (shapes; names and numbers are made up)."""

import json
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tests.loopback_server import Asked, Reply

RECORDED = Path(__file__).parent / "recorded"
PROJECT, REGION, FUNCTION = "acme-424242", "europe-west1", "greet_visitor"
BASELINE, CANDIDATE = "greet-visitor-00007-hov", "greet-visitor-00008-wim"
DIGEST = "sha256:" + "c0de" * 16
Json = dict[str, Any]


def recorded(name: str) -> Json:
    """One recording."""
    found: Json = json.loads((RECORDED / f"{name}.json").read_text(encoding="utf-8"))
    return found


class RecordedGoogle:
    """Answers of one function and its service; ``change`` alters each answer (path, body) before it is given."""

    def __init__(self, change: Callable[[str, Json], object] = lambda _, body: body) -> None:
        self.service = recorded("service_staged")
        self.function = recorded("function")
        self.operations = [recorded("operation_running"), recorded("operation_done")]
        self.revisions = {CANDIDATE: recorded("revision_staged")}
        self.revisions[BASELINE] = deepcopy(self.revisions[CANDIDATE])
        self.revisions[BASELINE]["name"] = f"{self.service['name']}/revisions/{BASELINE}"
        self.writes: list[tuple[str, Json]] = []
        self._change = change

    def respond(self, asked: Asked) -> Reply:
        """The answer to one request."""
        path = urlsplit(asked.path).path
        status, body = self._answer(asked.method, path, asked.body)
        return Reply(
            status=status,
            body=json.dumps(self._change(path, body)).encode(),
            headers={"content-type": "application/json"},
        )

    def _answer(self, method: str, path: str, body: bytes) -> tuple[int, Json]:
        last = path.rpartition("/")[2]
        if path.endswith(":testIamPermissions"):
            return 501, {"error": {"code": 501, "message": "no", "status": "UNIMPLEMENTED"}}
        if path.endswith(":getIamPolicy"):
            return 200, {"bindings": [{"role": "roles/run.invoker", "members": ["allUsers"]}]}
        if path.endswith((":generateDownloadUrl", "services:batchGet")):
            return 200, {}
        if path.endswith("/runtimes"):
            return 200, {"runtimes": [{"name": "python312", "environment": "GEN_2", "stage": "GA"}]}
        if path.endswith("/operations"):
            return 200, recorded("operations_of_region")
        if "/operations/" in path:
            return 200, self.operations.pop(0) if len(self.operations) > 1 else self.operations[0]
        if "/revisions/" in path and last in self.revisions:
            return 200, self.revisions[last]
        if path.endswith(f"/functions/{FUNCTION}"):
            return 200, self.function
        if path.endswith("/services/greet-visitor"):
            if method == "PATCH":
                self._write(path, json.loads(body))
                return 200, {
                    "name": f"projects/{PROJECT}/locations/{REGION}/operations/t",
                    "done": True,
                }
            return 200, self.service
        return 404, {"error": {"code": 404, "message": path, "status": "NOT_FOUND"}}

    def _write(self, path: str, body: Json) -> None:
        self.writes.append((path, body))
        self.service |= {k: v for k, v in body.items() if k in ("traffic", "labels")}
        self.service["trafficStatuses"] = deepcopy(self.service["traffic"])
        for status in self.service["trafficStatuses"]:
            if "tag" in status:
                status["uri"] = f"https://{status['tag']}---greet-visitor-q3x9kd20fa-ew.a.run.app"
