"""The data plane: one loopback port per service and one per tag, each request to one revision.

A port is chosen once and kept for good. Which revision answers is decided per request, by percent or by tag, in one
step with taking hold of its instance, so that a change of traffic and the stopping of a revision lose nothing.
"""

import asyncio
import errno
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from http import HTTPStatus

from aiohttp import ClientError, ClientResponse, StreamReader, web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.http import RawRequestMessage
from aiohttp.web_protocol import RequestHandler
from multidict import CIMultiDict

from pytest_deploygate.emulator.body_pieces import BodyPieces
from pytest_deploygate.emulator.host_check import is_loopback_host
from pytest_deploygate.emulator.routing.balancer import Balancer
from pytest_deploygate.emulator.routing.fault_injection import InjectedFault
from pytest_deploygate.emulator.routing.limits import (
    HEAD_BYTES,
    MAX_HEADERS,
    MAX_REQUEST_BYTES,
    MAX_RESPONSE_BYTES,
)
from pytest_deploygate.emulator.routing.upstream import UpstreamError
from pytest_deploygate.emulator.runtime.runner import Instance, Runner, StartError
from pytest_deploygate.emulator.runtime.usage_statistics import UsageStatistics
from pytest_deploygate.emulator.storage.state import EmulatorState

logger = logging.getLogger(__name__)

_SERVER = "Google Frontend"
_HOP_BY_HOP = frozenset(
    {
        "connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "te", "trailer",
        "transfer-encoding", "upgrade", "proxy-connection", "expect",
    }
)  # fmt: skip
"""RFC 9110 section 7.6.1, and ``Expect``, which the router itself has answered."""
_REPLACED = _HOP_BY_HOP | {"host", "content-length", "x-forwarded-proto", "x-forwarded-for"}
_STREAMED_BYTES = 1 << 20


@dataclass(slots=True, kw_only=True)
class Routes:
    """Where the requests to one service go: ``shares`` in percent by full revision name, and tags."""

    shares: Balancer = field(default_factory=lambda: Balancer(()))
    tags: dict[str, str] = field(default_factory=dict)
    is_public: bool = False
    stale_tags: dict[str, tuple[str, int]] = field(default_factory=dict)
    """Tag, the revision that it led to before, and how many requests still go there (a fault)."""

    def choose(self, tag: str) -> str | None:
        """The revision for the next request to ``tag`` (empty: the service itself), None if there is none."""
        if not tag:
            return self.shares.next()
        if tag in self.stale_tags:
            revision, left = self.stale_tags.pop(tag)
            if left > 1:
                self.stale_tags[tag] = (revision, left - 1)
            return revision
        return self.tags.get(tag)


class Router:
    """Listens for all services and passes requests on."""

    def __init__(self, state: EmulatorState, runner: Runner, statistics: UsageStatistics) -> None:
        self._state = state
        self._runner = runner
        self._statistics = statistics
        self._routes: dict[str, Routes] = {}
        self._sites: dict[tuple[str, str], web.ServerRunner] = {}
        self._injected = dict[str, InjectedFault]()

    async def listen(self, service: str, tag: str = "") -> str:
        """The URL of ``service`` or of its ``tag``; listens there from now on."""
        key = f"{service}#{tag}"
        if (service, tag) not in self._sites:
            known = self._state.ports.get(key)
            port = await self._open(service, tag, int(str(known["port"])) if known else 0)
            self._state.ports.put(key, {"port": port})
        return f"http://127.0.0.1:{self._state.ports[key]['port']}"

    async def _open(self, service: str, tag: str, port: int) -> int:
        server = web.Server(
            self._handler(service, tag),
            request_factory=_request,
            access_log=None,
            auto_decompress=False,  # a body reaches the function as it was sent
            max_line_size=HEAD_BYTES,
            max_field_size=HEAD_BYTES,
            max_headers=MAX_HEADERS,
        )
        runner = web.ServerRunner(server, shutdown_timeout=5.0)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", port).start()
        except OSError as error:
            if error.errno != errno.EADDRINUSE or port == 0:
                raise
            logger.warning(
                "router.port_taken", extra={"service": service, "tag": tag, "port": port}
            )
            await web.TCPSite(runner, "127.0.0.1", 0).start()
        self._sites[service, tag] = runner
        return int(runner.addresses[0][1])

    def routes(self, service: str) -> Routes:
        """The routes of ``service``, to be changed in place."""
        return self._routes.setdefault(service, Routes())

    def replace(self, service: str, routes: Routes) -> None:
        """From the next request on, ``routes`` hold; requests in flight end where they are."""
        self._routes[service] = routes

    def inject_fault(self, revision: str, how: InjectedFault | None) -> None:
        """From the next request to ``revision`` (full name) on, inject the fault ``how``, or none."""
        self._injected.pop(revision, None)
        if how is not None:
            self._injected[revision] = how

    def ballast_mb(self, revision: str) -> float:
        """What is to be added to the memory that ``revision`` uses."""
        how = self._injected.get(revision)
        return how.memory_mb if how is not None else 0.0

    async def forget(self, service: str) -> None:
        """Close the ports of a deleted service."""
        self._routes.pop(service, None)
        for key in [key for key in self._sites if key[0] == service]:
            await self._sites.pop(key).cleanup()
        for name in self._state.ports.names(f"{service}#"):
            self._state.ports.delete(name)

    async def close(self) -> None:
        """Stop listening."""
        await asyncio.gather(*(site.cleanup() for site in self._sites.values()))
        self._sites.clear()

    def _handler(
        self, service: str, tag: str
    ) -> Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]:
        async def handle(request: web.BaseRequest) -> web.StreamResponse:
            routes = self._routes.get(service)
            if routes is None or not is_loopback_host(request.headers.get("Host")):
                return _plain(
                    HTTPStatus.NOT_FOUND, "The requested URL was not found on this server."
                )
            if not routes.is_public and not _has_bearer(request):
                text = "Your client does not have permission to get this URL from this server."
                return _plain(HTTPStatus.FORBIDDEN, text)
            revision = routes.choose(tag)
            if revision is None:
                return _plain(
                    HTTPStatus.NOT_FOUND, "The requested URL was not found on this server."
                )
            return await self._serve(request, revision)

        return handle

    async def _serve(self, request: web.BaseRequest, revision: str) -> web.StreamResponse:
        began = time.monotonic()
        status = HTTPStatus.SERVICE_UNAVAILABLE.value
        instance = self._runner.ready(revision)
        if instance is not None:
            instance.acquire()
        try:
            if instance is None:
                instance = await self._runner.start(revision)
                instance.acquire()
            async with asyncio.timeout(instance.spec.timeout_s):
                response = await self._pass_on(request, instance, revision)
            status = response.status
        except StartError:
            response = _plain(
                HTTPStatus.SERVICE_UNAVAILABLE,
                "The request failed because no instance could start.",
            )
        except web.HTTPRequestEntityTooLarge:
            response = _plain(
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
                "Your client issued a request that was too large.",
            )
            status = response.status
        except TimeoutError:
            response = _plain(
                HTTPStatus.GATEWAY_TIMEOUT,
                "The request has been terminated: it reached the timeout.",
            )
            status = response.status
            self._statistics.of(revision).timeouts += 1
        except (UpstreamError, ClientError):
            text = "The request failed: the connection to the instance had an error."
            response = _plain(HTTPStatus.SERVICE_UNAVAILABLE, text)
        finally:
            if instance is not None:
                instance.release()
            self._statistics.of(revision).record(status, time.monotonic() - began)
        return response

    async def _pass_on(
        self, request: web.BaseRequest, instance: Instance, revision: str
    ) -> web.StreamResponse:
        if (request.content_length or 0) > MAX_REQUEST_BYTES or _head_bytes(request) > HEAD_BYTES:
            raise web.HTTPRequestEntityTooLarge(MAX_REQUEST_BYTES, request.content_length or 0)
        if request.headers.get("Expect", "").lower() == "100-continue":
            await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        body = await _body_of(request) if request.body_exists else None
        injected = self._injected.get(revision)
        if injected is not None:
            await asyncio.sleep(injected.latency_s)
            if injected.errs_now():
                return _plain(HTTPStatus(injected.status), "A server error was asked for.")
        # The path goes on as it came: a function must see it unchanged.
        target = request.raw_path if request.raw_path[0] == "/" else request.rel_url.raw_path_qs
        upstream = await instance.upstream.request(
            request.method, target, _forwarded_headers(request), body
        )
        try:
            if injected is not None and injected.body is not None:
                return web.Response(text=injected.body, content_type="application/json")
            return await _answer(request, upstream)
        finally:
            upstream.close()  # nothing is closed whose answer was read to its end


async def _body_of(request: web.BaseRequest) -> bytes | BodyPieces:
    """All of the body, as it came: to copy a large one holds up other requests."""
    pieces, size = list[bytes](), 0
    async for piece in request.content.iter_any():
        pieces.append(piece)
        size += len(piece)
        if size > MAX_REQUEST_BYTES:
            raise web.HTTPRequestEntityTooLarge(MAX_REQUEST_BYTES, size)
    return pieces[0] if len(pieces) == 1 else BodyPieces(pieces)


async def _answer(request: web.BaseRequest, upstream: ClientResponse) -> web.StreamResponse:
    headers = CIMultiDict(
        [(k, v) for k, v in upstream.headers.items() if k.lower() not in _HOP_BY_HOP]
    )
    headers["Server"] = _SERVER
    status, length = upstream.status, upstream.content_length
    is_chunked = "Transfer-Encoding" in upstream.headers
    if request.method != "HEAD" and length is not None and not is_chunked:
        if length > MAX_RESPONSE_BYTES:
            return _plain(HTTPStatus.INTERNAL_SERVER_ERROR, "Response size was too large.")
        if length <= _STREAMED_BYTES:
            headers.popall("Content-Length", None)
            body = await _read(upstream)
            return web.Response(body=body, status=status, reason=upstream.reason, headers=headers)
    response = web.StreamResponse(status=status, reason=upstream.reason, headers=headers)
    await response.prepare(request)
    if request.method == "HEAD":
        return response
    try:
        async for piece in upstream.content.iter_any():
            await response.write(piece)
        await response.write_eof()
    except (ClientError, OSError, asyncio.CancelledError):
        # The head is on its way: only a broken connection tells the client that the rest is missing.
        if request.transport is not None:
            request.transport.close()
        raise
    return response


async def _read(upstream: ClientResponse) -> bytes:
    try:
        return await upstream.read()
    except ClientError as error:
        raise UpstreamError(f"the answer was cut off: {error}") from error


def _head_bytes(request: web.BaseRequest) -> int:
    lengths = (len(name) + len(value) + 4 for name, value in request.raw_headers)
    return len(request.raw_path) + sum(lengths)


def _forwarded_headers(request: web.BaseRequest) -> list[tuple[str, str]]:
    headers = [(k, v) for k, v in request.headers.items() if k.lower() not in _REPLACED]
    before = request.headers.get("X-Forwarded-For")
    remote = request.remote or "127.0.0.1"
    headers += [
        ("Host", request.headers.get("Host", "")),
        ("X-Forwarded-Proto", "http"),
        ("X-Forwarded-For", f"{before},{remote}" if before else remote),
    ]
    return headers


def _has_bearer(request: web.BaseRequest) -> bool:
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    return scheme.lower() == "bearer" and bool(token.strip())


def _plain(status: HTTPStatus, text: str) -> web.Response:
    page = (
        f"<html><head><title>{status.value} {status.phrase}</title></head>"
        f"<body><h1>Error: {status.phrase}</h1><h2>{text}</h2></body></html>"
    )
    return web.Response(
        text=page, status=status.value, content_type="text/html", headers={"Server": _SERVER}
    )


def _request(
    message: RawRequestMessage,
    payload: StreamReader,
    protocol: RequestHandler,
    writer: AbstractStreamWriter,
    task: "asyncio.Task[None]",
) -> web.BaseRequest:
    loop = asyncio.get_running_loop()
    return web.BaseRequest(message, payload, protocol, writer, task, loop)
