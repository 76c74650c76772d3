"""A large body in pieces: sent one after the other, so that other requests are answered in between."""

import asyncio
from collections.abc import Sequence

from aiohttp import web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.payload import Payload
from typing_extensions import override


class BodyPieces(Payload):
    """A body whose length is known before the first piece is sent."""

    def __init__(self, pieces: Sequence[bytes]) -> None:
        super().__init__(pieces)
        self.pieces = pieces
        self._size = sum(map(len, pieces))

    @override
    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        return b"".join(self.pieces).decode(encoding, errors)

    @override
    async def write(self, writer: AbstractStreamWriter) -> None:
        for piece in self.pieces:
            await writer.write(piece)
            await asyncio.sleep(0)


def body_pieces(response: web.StreamResponse) -> Sequence[bytes]:
    """The body of an answer that is not sent yet; nothing of one that is sent as it is made."""
    body = response.body if isinstance(response, web.Response) else None
    if isinstance(body, BodyPieces):
        return body.pieces
    return [body] if isinstance(body, bytes) else []
