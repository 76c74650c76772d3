"""A stand-in for Google that answers with what was recorded there (shapes; names and numbers are made up).

It does what it is asked as little as a rollout needs: revisions are copies of the recorded one, operations are the
recorded ones, and traffic is shown as soon as it is written.
"""

import json
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tests.loopback_server import Asked, Reply, ServerMaker

RECORDED = Path(__file__).parent / "recorded"
PROJECT, REGION, FUNCTION = "acme-424242", "europe-west1", "greet_visitor"
BASELINE, CANDIDATE = "greet-visitor-00007-hov", "greet-visitor-00008-wim"
DIGEST = "sha256:" + "c0de" * 16
OPERATION = f"projects/{PROJECT}/locations/{REGION}/operations/operation-1771111111111-0a0b0c0d0e0f0-11112222-33334444"
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
        staged = recorded("revision_staged")
        self.revisions = {CANDIDATE: staged, BASELINE: self._copied(staged, BASELINE)}
        self.writes: list[tuple[str, Json]] = []
        self._change = change
        self._url = ""

    def listen(self, start: ServerMaker) -> str:
        """Answer at an address of loopback, which stands for all of Google's and for the function's own."""
        self._url = start(self.respond).url
        self.service["uri"] = f"{self._url}/function"
        for status in self.service["trafficStatuses"]:
            status["uri"] = f"{self._url}/function"
        return self._url

    def respond(self, asked: Asked) -> Reply:
        """The answer to one request."""
        path = urlsplit(asked.path).path
        if path == "/function":
            return Reply(body=b"hello", headers={"content-type": "text/plain"})
        if path == "/storage":
            return Reply(body=b"an archive", headers={"content-type": "application/zip"})
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
        if path.endswith(":generateUploadUrl"):
            source = {"bucket": "gcf-v2-uploads", "object": "uploaded.zip"}
            return 200, {"uploadUrl": f"{self._url}/storage", "storageSource": source}
        if path.endswith(":generateDownloadUrl"):
            return 200, {"downloadUrl": f"{self._url}/storage"}
        if path.endswith("services:batchGet"):
            return 200, {}
        if path.endswith("/runtimes"):
            return 200, {"runtimes": [{"name": "python312", "environment": "GEN_2", "stage": "GA"}]}
        if path.endswith("/operations"):
            return 200, recorded("operations_of_region")
        if "/operations/" in path:
            return 200, self.operations.pop(0) if len(self.operations) > 1 else self.operations[0]
        if "/v2/" in path and "/revisions/" in path and last in self.revisions:
            return 200, self.revisions[last]
        if path.endswith(f"/functions/{FUNCTION}"):
            return 200, self._update_function(json.loads(body)) if body else self.function
        if path.endswith("/services/greet-visitor"):
            return 200, self._update_service(path, json.loads(body)) if body else self.service
        return 404, {"error": {"code": 404, "message": path, "status": "NOT_FOUND"}}

    def _update_function(self, body: Json) -> Json:
        """What a deployment does to the function, its service and its revisions; the recorded operation tells of it."""
        variables = body["serviceConfig"]["environmentVariables"]
        env = [{"name": name, "value": value} for name, value in variables.items()]
        template = self.service["template"]
        template["containers"][0] |= {"env": env, "image": self._image(BASELINE)}
        name = self._add_revision()
        template["revision"] = name
        self.service["labels"] |= body["labels"]
        self._raise_generation()
        self.function["labels"] = body["labels"]
        self.function["serviceConfig"] |= {"environmentVariables": variables, "revision": name}
        begun, ended = recorded("operation_running"), recorded("operation_done")
        ended["response"]["serviceConfig"]["revision"] = name
        self.operations = [begun, ended]
        return recorded("operation_running")

    def _update_service(self, path: str, body: Json) -> Json:
        self.writes.append((path, body))
        if "template" in body:
            self.service["template"]["containers"] = body["template"]["containers"]
            self.service["template"].pop("revision", None)
            self._add_revision()
        self.service |= {k: v for k, v in body.items() if k in ("traffic", "labels")}
        self._raise_generation()
        self.service["etag"] = f'"{len(self.writes)}"'
        self.service["trafficStatuses"] = deepcopy(self.service["traffic"])
        for status in self.service["trafficStatuses"]:
            if "tag" in status:
                status["uri"] = f"{self._url}/function"
        parent = f"projects/{PROJECT}/locations/{REGION}"
        return {"name": f"{parent}/operations/t", "done": True}

    def _raise_generation(self) -> None:
        """Each change of what a service should be counts (run.v2 Service.generation)."""
        for name in ("generation", "observedGeneration"):
            self.service[name] = str(int(self.service[name]) + 1)

    def _add_revision(self) -> str:
        """One more revision by the service's template, of the digest that was recorded."""
        name = f"greet-visitor-{len(self.revisions) + 7:05d}-abc"
        revision = self._copied(self.revisions[CANDIDATE], name)
        revision["containers"] = deepcopy(self.service["template"]["containers"])
        self.revisions[name] = revision
        self.service["latestCreatedRevision"] = revision["name"]
        return name

    def _copied(self, revision: Json, name: str) -> Json:
        return {**deepcopy(revision), "name": f"{self.service['name']}/revisions/{name}"}

    def _image(self, name: str) -> str:
        return str(self.revisions[name]["containers"][0]["image"])
