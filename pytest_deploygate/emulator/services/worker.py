"""A thread that answers the calls of one service, one after the other, so that none of them holds the event loop.

Large bodies are read and written in Python, not in C, since the interpreter lets other threads run between its steps.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from json import decoder, scanner
from typing import TypeVar

from aiohttp import web
from multidict import MultiMapping

from pytest_deploygate.emulator.api.protobuf_json import ApiError, Json, parse_json

S = TypeVar("S")
MAX_BODY_BYTES = 10 * 1024 * 1024
_LARGE_BYTES = 256 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One call of a service."""

    path: Mapping[str, str]
    """Variable parts of the path, decoded."""
    query: MultiMapping[str]
    content: bytes

    def body(self) -> Json:
        """The JSON object that was sent; empty for an empty body.

        Raises:
            ApiError: 400 or 413.
        """
        if len(self.content) > MAX_BODY_BYTES:
            raise ApiError(413, "Request payload size exceeds the limit of 10 MiB.")
        found = parse_json(self.content) if len(self.content) <= _LARGE_BYTES else self._in_steps()
        if not isinstance(found, dict):
            raise ApiError(400, "Invalid JSON payload received. An object is expected.")
        return found

    def _in_steps(self) -> object:
        reader = json.JSONDecoder()
        reader.parse_object = decoder.JSONObject  # type: ignore[attr-defined]
        reader.parse_array = decoder.JSONArray  # type: ignore[attr-defined]
        reader.scan_once = scanner.py_make_scanner(reader)  # type: ignore[attr-defined]
        try:
            found: object = reader.decode(self.content.decode())
        except (ValueError, RecursionError) as error:
            text = str(error)[:500]
            raise ApiError(400, f"Invalid JSON payload received. {text}") from error
        return found


class Worker:
    """One thread; what it works on needs no lock."""

    def __init__(self, name: str) -> None:
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix=name)

    def handler(
        self, state: S, act: Callable[[S, Call], Json]
    ) -> Callable[[web.Request], Awaitable[web.Response]]:
        """A handler that answers with what ``act`` says."""

        async def handle(request: web.Request) -> web.Response:
            call = Call(
                path=dict(request.match_info), query=request.query, content=await request.read()
            )
            loop = asyncio.get_running_loop()
            body = await loop.run_in_executor(self._thread, lambda: _text(act(state, call)))
            return web.Response(body=body, content_type="application/json", charset="utf-8")

        return handle

    def close(self) -> None:
        """Wait for the call that is being answered, and end."""
        self._thread.shutdown()


def _text(answer: Json) -> bytes:
    return "".join(json.JSONEncoder().iterencode(answer)).encode()
