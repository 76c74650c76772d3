"""Connections of the router to one function server, by aiohttp's client.

The client passes on and adds nothing: no header of its own, no decoding of bodies, no cookie, no redirect. Connections
are kept for a second: the server closes them after two, and one that is reused at that moment loses a request. A POST
is never sent twice.
"""

import asyncio
import socket
from collections.abc import Iterable

import aiohttp
from aiohttp.payload import Payload
from multidict import CIMultiDict
from yarl import URL

from pytest_deploygate.emulator.routing.limits import HEAD_BYTES, MAX_HEADERS

KEEP_S = 1.0
_OWN_HEADERS = ("User-Agent", "Accept", "Accept-Encoding", "Content-Type")
_NO_TIMEOUT = aiohttp.ClientTimeout(total=None)


class UpstreamError(Exception):
    """The function's server closed the connection, or does not speak HTTP."""


class Upstream:
    """Sends requests to the function server on ``port`` of loopback; made and used in one event loop."""

    def __init__(self, port: int) -> None:
        self._origin = f"http://127.0.0.1:{port}"
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                limit=0, keepalive_timeout=KEEP_S, family=socket.AF_INET
            ),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            skip_auto_headers=_OWN_HEADERS,
            timeout=_NO_TIMEOUT,
            max_line_size=HEAD_BYTES,
            max_field_size=HEAD_BYTES,
            max_headers=MAX_HEADERS,
        )

    async def request(
        self,
        method: str,
        target: str,
        headers: Iterable[tuple[str, str]],
        body: bytes | Payload | None,
    ) -> aiohttp.ClientResponse:
        """Send one request and wait for the head of its answer, which the caller closes.

        Args:
            method: of the request.
            target: path and query exactly as they go over the wire.
            headers: without ``Content-Length``, ``Connection`` and ``Transfer-Encoding``.
            body: None for a request without one.

        Raises:
            UpstreamError: no connection, or no valid answer.
        """
        try:
            return await self._session.request(
                method,
                URL(self._origin + target, encoded=True),
                headers=CIMultiDict(headers),
                data=body,
                allow_redirects=False,
            )
        except (aiohttp.ClientError, OSError, ValueError) as error:
            if isinstance(error, asyncio.TimeoutError):
                raise
            raise UpstreamError(f"no valid answer: {error}") from error

    async def close(self) -> None:
        """Close all connections."""
        await self._session.close()
