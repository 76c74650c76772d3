"""The inner side of a service's process: reads calls from its input and writes answers to its output, one by one.

A call is a line of JSON (:class:`Head`) and the body; so is an answer (:class:`AnswerHead`). The process ends with its
input, also when the emulator was killed.
"""

import json
import logging
import os
import sys
from collections.abc import Sequence
from typing import BinaryIO, TypedDict

from multidict import MultiDict

from pytest_deploygate.emulator.api.protobuf_json import ApiError
from pytest_deploygate.emulator.services.call import Act, Call

logger = logging.getLogger(__name__)


class Head(TypedDict):
    """What comes before the body of a call."""

    act: int
    """Which of the calls that the service has."""
    path: dict[str, str]
    query: list[tuple[str, str]]
    bytes: int
    """Length of the body that follows."""


class AnswerHead(TypedDict):
    """What comes before the body of an answer; the body of an error is its message."""

    http: int
    status: str
    """Name of the error; empty where there is none."""
    bytes: int


def answer_calls(acts: Sequence[Act]) -> None:
    """Answer until the input ends; what else is printed goes to the log of the emulator."""
    with os.fdopen(os.dup(1), "wb") as output:
        os.dup2(2, 1)
        while line := sys.stdin.buffer.readline():
            head: Head = json.loads(line)
            call = Call(
                path=head["path"],
                query=MultiDict(head["query"]),
                content=sys.stdin.buffer.read(head["bytes"]),
            )
            _answer(output, call, acts[head["act"]])


def _answer(output: BinaryIO, call: Call, act: Act) -> None:
    http, status = 200, ""
    try:
        body = json.dumps(act(call)).encode()
    except Exception as error:
        if not isinstance(error, ApiError):
            logger.exception("call.crashed", extra={"path": dict(call.path)})
            error = ApiError(500, "The emulator has a defect; see its log.")
        http, status = error.http, error.status
        body = error.message.encode("utf-8", "replace")
    head: AnswerHead = {"http": http, "status": status, "bytes": len(body)}
    output.write(json.dumps(head).encode() + b"\n")
    output.write(body)
    output.flush()
