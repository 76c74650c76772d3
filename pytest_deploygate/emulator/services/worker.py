"""A thread that answers the calls of one service, one after the other, so that none of them holds the event loop.

Large bodies are written in Python, not in C, since the interpreter lets other threads run between its steps.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TypeVar

from aiohttp import web
from multidict import MultiMapping

from pytest_deploygate.emulator.api.body_pieces import BodyPieces
from pytest_deploygate.emulator.api.protobuf_json import ApiError, Json, parse_json
from pytest_deploygate.emulator.garbage_collection import collection_paused, free_gradually

S = TypeVar("S")
_PIECE_CHARS = 64 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One call of a service."""

    path: Mapping[str, str]
    """Variable parts of the path, decoded."""
    query: MultiMapping[str]
    content: bytes
    parsed: list[Json] = field(default_factory=list)
    """What :meth:`body` gave; it is emptied when the call is answered."""

    def body(self) -> Json:
        """The JSON object that was sent; empty for an empty body.

        Raises:
            ApiError: 400.
        """
        found = parse_json(self.content)
        if not isinstance(found, dict):
            raise ApiError(400, "Invalid JSON payload received. An object is expected.")
        self.parsed.append(found)
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
            body = await loop.run_in_executor(self._thread, lambda: _answer(state, call, act))
            return web.Response(body=body, content_type="application/json", charset="utf-8")

        return handle

    def close(self) -> None:
        """Wait for the call that is being answered, and end."""
        self._thread.shutdown()


def _answer(state: S, call: Call, act: Callable[[S, Call], Json]) -> bytes | BodyPieces:
    with collection_paused():
        try:
            found = act(state, call)
            pieces = list(_pieces(found))
            free_gradually(found)
        finally:
            free_gradually(call.parsed)
    return pieces[0] if len(pieces) == 1 else BodyPieces(pieces)


def _pieces(found: Json) -> Iterator[bytes]:
    parts, chars = list[str](), 0
    for part in json.JSONEncoder().iterencode(found):
        parts.append(part)
        chars += len(part)
        if chars >= _PIECE_CHARS:
            yield "".join(parts).encode()
            parts, chars = [], 0
    if parts:
        yield "".join(parts).encode()
