"""The process that answers the calls of one service, one after the other, seen from the emulator.

What a call computes, allocates and frees there holds up neither the event loop nor a function. It starts with the first
call, and again with the next one when it has died.
"""

import asyncio
import contextlib
import json
import logging
from asyncio.subprocess import PIPE, Process
from collections.abc import Awaitable, Callable

from aiohttp import web

from pytest_deploygate.emulator.api.protobuf_json import ApiError
from pytest_deploygate.emulator.body_pieces import BodyPieces
from pytest_deploygate.emulator.services.call_loop import AnswerHead, Head
from pytest_deploygate.system.own_program import own_program

logger = logging.getLogger(__name__)

_PIECE_BYTES = 64 * 1024
_CLOSE_S = 5.0


class ServiceProcess:
    """Runs ``module`` of this package, which calls :func:`~.call_loop.answer_calls`."""

    def __init__(self, module: str, *arguments: str) -> None:
        self._command = [*own_program(module), *arguments]
        self._process: Process | None = None
        self._turn = asyncio.Lock()

    def handler(self, act: int) -> Callable[[web.Request], Awaitable[web.Response]]:
        """A handler that answers as the call number ``act`` of the service does."""

        async def handle(request: web.Request) -> web.Response:
            content = await request.read()
            head: Head = {
                "act": act,
                "path": dict(request.match_info),
                "query": list(request.query.items()),
                "bytes": len(content),
            }
            # a call that was begun is read to its end, whoever waits for it
            body = await asyncio.shield(self._ask(head, content))
            return web.Response(body=body, content_type="application/json", charset="utf-8")

        return handle

    async def close(self) -> None:
        """Wait for the call that is being answered, and end."""
        try:
            async with asyncio.timeout(_CLOSE_S), self._turn:
                if self._process is not None and self._process.stdin is not None:
                    self._process.stdin.close()
                    await self._process.wait()
        except TimeoutError:
            assert self._process is not None
            self._process.kill()
            await self._process.wait()

    async def _ask(self, head: Head, content: bytes) -> bytes | BodyPieces:
        async with self._turn:
            process = self._process
            if process is None or process.returncode is not None:
                process = self._process = await asyncio.create_subprocess_exec(
                    *self._command, stdin=PIPE, stdout=PIPE, start_new_session=True
                )
            try:
                return await _exchange(process, head, content)
            except (OSError, asyncio.IncompleteReadError) as error:
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
                status = await process.wait()
                logger.error("service.died", extra={"command": self._command[-1], "exit": status})  # noqa: TRY400 - no defect here
                raise ApiError(500, "The emulator has a defect; see its log.") from error


async def _exchange(process: Process, head: Head, content: bytes) -> bytes | BodyPieces:
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(json.dumps(head).encode() + b"\n")
    for at in range(0, len(content), _PIECE_BYTES):
        process.stdin.write(content[at : at + _PIECE_BYTES])
        await process.stdin.drain()
    answer: AnswerHead = json.loads(await process.stdout.readuntil())
    left, pieces = answer["bytes"], list[bytes]()
    while left:
        pieces.append(await process.stdout.readexactly(min(left, _PIECE_BYTES)))
        left -= len(pieces[-1])
    if answer["status"]:
        message = b"".join(pieces).decode()
        raise ApiError(answer["http"], message, status=answer["status"])
    return pieces[0] if len(pieces) == 1 else BodyPieces(pieces)
