"""Answers as Google's APIs give them."""

import json

from tests.loopback_server import Reply


def reply(body: object, status: int = 200) -> Reply:
    """A JSON answer."""
    return Reply(
        status=status,
        body=json.dumps(body).encode(),
        headers={"content-type": "application/json"},
    )


def error(http: int, status: str, message: str, **info: object) -> Reply:
    """An error as the design guide of Google's APIs has it (cloud.google.com/apis/design/errors)."""
    details = [{"@type": "type.googleapis.com/google.rpc.ErrorInfo", **info}] if info else []
    said = {"code": http, "message": message, "status": status, "details": details}
    return reply({"error": said}, http)
