"""The client of the router: what it keeps, what it sends again, what it takes for an answer."""

import asyncio
from collections.abc import Awaitable, Callable

import aiohttp
import pytest

from pytest_deploygate.emulator.routing.upstream import Upstream, UpstreamError

_OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-A: 1\r\nX-A: 2\r\n\r\nok"
Answer = Callable[[int, int], bytes | None]
"""Given the number of the connection and of the request on it, both from 0: the answer; None closes."""


class CountingServer:
    """Answers as told and counts."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self.connections = 0
        self.requests: list[bytes] = []
        self.closes_after_answer = False

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer the requests of one connection; bodies are given by a length."""
        number, turn = self.connections, 0
        self.connections += 1
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
                self.requests.append(head + await reader.readexactly(int(length or 0)))
                answer = self._answer(number, turn)
                if answer is None:
                    break
                writer.write(answer)
                turn += 1
                if self.closes_after_answer:
                    break
        except asyncio.IncompleteReadError:
            pass
        finally:
            writer.close()


def drive(
    answer: Answer, act: Callable[[Upstream, CountingServer], Awaitable[None]]
) -> CountingServer:
    """Run ``act`` with a client of such a server."""
    server = CountingServer(answer)

    async def run() -> None:
        listener = await asyncio.start_server(server.serve, "127.0.0.1", 0)
        upstream = Upstream(listener.sockets[0].getsockname()[1])
        async with listener:
            await act(upstream, server)
            await upstream.close()

    asyncio.run(run())
    return server


async def _ask(upstream: Upstream, method: str = "GET", body: bytes | None = None) -> bytes:
    response = await upstream.request(method, "/a%2fb?x=1", [("Host", "h")], body)
    try:
        return await response.read()
    finally:
        response.close()


def test_connection_is_used_again() -> None:
    async def act(upstream: Upstream, server: CountingServer) -> None:
        await _ask(upstream)
        await _ask(upstream, "POST", b"abc")
        assert server.connections == 1

    drive(lambda *_: _OK, act)


def test_get_on_a_connection_that_was_closed_is_sent_again_and_a_post_is_not() -> None:
    def answer(connection: int, turn: int) -> bytes | None:
        return _OK if turn == 0 else None

    async def act(upstream: Upstream, server: CountingServer) -> None:
        await _ask(upstream)
        assert await _ask(upstream) == b"ok"
        assert (server.connections, len(server.requests)) == (2, 3)
        with pytest.raises(UpstreamError):
            await _ask(upstream, "POST", b"abc")
        assert len([request for request in server.requests if request.startswith(b"POST")]) == 1

    drive(answer, act)


def test_request_goes_over_the_wire_as_given() -> None:
    async def act(upstream: Upstream, server: CountingServer) -> None:
        response = await upstream.request("POST", "/a%2fb?x=1", [("Host", "h"), ("X-B", "é")], b"")
        assert response.headers.getall("X-A") == ["1", "2"]
        await response.read()

    server = drive(lambda *_: _OK, act)
    wanted = "POST /a%2fb?x=1 HTTP/1.1\r\nHost: h\r\nX-B: é\r\nContent-Length: 0\r\n\r\n"
    assert server.requests == [wanted.encode()]


@pytest.mark.parametrize(
    ("answer", "body"),
    [
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\nT: 1\r\n\r\n",
            b"abcde",
        ),
        (b"HTTP/1.1 100 Continue\r\n\r\n" + _OK, b"ok"),
        (b"HTTP/1.1 204 No Content\r\n\r\n", b""),
        (b"HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n", b""),
    ],
)
def test_body_is_read_as_it_is_framed(answer: bytes, body: bytes) -> None:
    async def act(upstream: Upstream, server: CountingServer) -> None:
        assert await _ask(upstream) == body

    drive(lambda *_: answer, act)


def test_body_without_length_ends_with_the_connection() -> None:
    async def act(upstream: Upstream, server: CountingServer) -> None:
        server.closes_after_answer = True
        assert await _ask(upstream) == b"all of it"
        assert await _ask(upstream) == b"all of it"
        assert server.connections == 2

    drive(lambda *_: b"HTTP/1.1 200 OK\r\n\r\nall of it", act)


@pytest.mark.parametrize(
    "answer",
    [
        b"SSH-2.0-OpenSSH\r\n\r\n",
        b"HTTP/1.1 many OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
    ],
)
def test_what_is_no_answer_is_an_error(answer: bytes) -> None:
    async def act(upstream: Upstream, server: CountingServer) -> None:
        with pytest.raises((UpstreamError, aiohttp.ClientError)):
            await _ask(upstream)

    drive(lambda *_: answer, act)


@pytest.mark.parametrize(
    "answer", [b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf", b"HTTP/1.1 200 OK\r\nCont"]
)
def test_answer_that_ends_too_early_is_an_error(answer: bytes) -> None:
    async def act(upstream: Upstream, server: CountingServer) -> None:
        server.closes_after_answer = True
        with pytest.raises((UpstreamError, aiohttp.ClientError)):
            await _ask(upstream)

    drive(lambda *_: answer, act)


def test_nobody_listening_is_an_error() -> None:
    async def ask() -> None:
        upstream = Upstream(1)
        try:
            await _ask(upstream)
        finally:
            await upstream.close()

    with pytest.raises(UpstreamError, match="no valid answer"):
        asyncio.run(ask())
