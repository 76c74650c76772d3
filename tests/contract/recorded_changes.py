"""A proxy before the emulator that changes its answers to what was recorded of the real platform, one difference each.

What the emulator does by itself stands here, too: a change then holds whatever the emulator learns.
"""

import json
from collections.abc import Callable
from typing import Any

import requests

from pytest_deploygate.emulator.api.tomorrow import add_future, without_future
from tests.contract.recorded_google import recorded
from tests.loopback_server import Asked, Reply

Json = dict[str, Any]
NUMBER = "998877665544"
"""Of the project, which the platform names where it was told the id."""


class RecordedChange:
    """One difference between the platform and what is expected of it; keeps what it must remember of one platform."""

    def ask(self, asked: Asked) -> tuple[str, bytes]:
        """Path and body with which the request goes on."""
        return asked.path, asked.body

    def answer(self, path: str, status: int, body: Json) -> tuple[int, Json]:
        """The answer as the platform gives it."""
        return status, self.change(path, body)

    def change(self, path: str, body: Json) -> Json:
        """The body as the platform gives it."""
        return body


class ImageAsTag(RecordedChange):
    """Revisions show the tag of their image, and nothing else, in the API v2 (knative/serving #12475)."""

    def change(self, path: str, body: Json) -> Json:
        if "/v2/" in path and "/revisions/" in path:
            body.pop("containerStatuses", None)
        return body


class NoDigest(ImageAsTag):
    """The API v1 does not tell it either."""

    def change(self, path: str, body: Json) -> Json:
        if "/v1/" in path and "/revisions/" in path:
            body["status"] = {}
        return super().change(path, body)


class ImageAsDigest(RecordedChange):
    """Revisions show the resolved image in their spec, another one after each functions.patch (cartography #2751)."""

    def change(self, path: str, body: Json) -> Json:
        if "/v2/" in path and "/revisions/" in path:
            for status in body.pop("containerStatuses", []):
                body["containers"][0]["image"] = status["imageDigest"]
        return body


class RetiredConditions(RecordedChange):
    """Every revision is ready and retired, and not active; the newest one with traffic too, which is told late."""

    def change(self, path: str, body: Json) -> Json:
        if "/revisions/" in path and any(_is_ready(c) for c in body.get("conditions", [])):
            body["conditions"] = recorded("revision_staged")["conditions"]
        return body


def _is_ready(condition: Json) -> bool:
    return condition["type"] == "Ready" and condition.get("state") in ("CONDITION_SUCCEEDED", 4)


class LatestReadyStays(RecordedChange):
    """``latestReadyRevision`` is for ever what it was when it was first seen (omi #10254)."""

    def __init__(self) -> None:
        self._first: dict[str, str] = {}

    def change(self, path: str, body: Json) -> Json:
        if "latestReadyRevision" in body and "trafficStatuses" in body:
            first = self._first.setdefault(str(body["name"]), body["latestReadyRevision"])
            body["latestReadyRevision"] = first
        return body


class PermissionsUnimplemented(RecordedChange):
    """Nobody is told what they may do (google-cloud-python #12290)."""

    def answer(self, path: str, status: int, body: Json) -> tuple[int, Json]:
        if ":testIamPermissions" in path:
            refusal = {"code": 501, "message": "not implemented", "status": "UNIMPLEMENTED"}
            return 501, {"error": refusal}
        return status, body


class ProjectNumber(RecordedChange):
    """The project's number stands where its id was asked with, in every name."""

    def __init__(self) -> None:
        self._id = ""

    def ask(self, asked: Asked) -> tuple[str, bytes]:
        found = asked.path.partition("/projects/")[2].partition("/")[0]
        if found and found != NUMBER:
            self._id = found
        old, new = f"projects/{NUMBER}", f"projects/{self._id}"
        return asked.path.replace(old, new), asked.body.replace(old.encode(), new.encode())

    def change(self, path: str, body: Json) -> Json:
        text = json.dumps(body).replace(f"projects/{self._id}/", f"projects/{NUMBER}/")
        changed: Json = json.loads(text)
        return changed


class UnknownFields(RecordedChange):
    """Everything that nobody knows yet, in every answer; the platform knows it when it is written back."""

    def ask(self, asked: Asked) -> tuple[str, bytes]:
        try:
            body = json.loads(asked.body)
        except ValueError:  # none, or an archive
            return super().ask(asked)
        return asked.path, json.dumps(without_future(body)).encode()

    def change(self, path: str, body: Json) -> Json:
        found = add_future(body)
        assert isinstance(found, dict)
        return found


CHANGES: tuple[type[RecordedChange], ...] = (
    ImageAsTag, ImageAsDigest, RetiredConditions, LatestReadyStays, PermissionsUnimplemented,
    ProjectNumber, UnknownFields,
)  # fmt: skip
"""All of them but those with which no rollout can end well."""
TOGETHER = (tuple(c for c in CHANGES if c is not ImageAsDigest), (ImageAsDigest, UnknownFields))
"""The same as sets that one platform can show at once."""


def forward_to(endpoint: str, *changes: RecordedChange) -> Callable[[Asked], Reply]:
    """A proxy before ``endpoint`` that makes ``changes`` to every answer in JSON."""
    session = requests.Session()
    session.trust_env = False

    def respond(asked: Asked) -> Reply:
        for change in changes:
            path, body = change.ask(asked)
            asked = Asked(
                method=asked.method, path=path, headers=asked.headers, body=body, port=asked.port
            )
        headers = {k: v for k, v in asked.headers.items() if k not in ("host", "content-length")}
        got = session.request(
            asked.method, endpoint + asked.path, data=asked.body, headers=headers, timeout=60
        )
        status, content = got.status_code, got.content
        is_json = "json" in got.headers.get("content-type", "")
        if is_json and not asked.path.startswith("/_local/"):
            found = got.json()
            for change in changes:
                status, found = change.answer(asked.path, status, found)
            content = json.dumps(found).encode()
        told = {k: v for k, v in got.headers.items() if k.lower() == "content-type"}
        return Reply(status=status, body=content, headers=told)

    return respond
