"""The process of the emulator: puts the parts together, listens, and stops them in the right order."""

import asyncio
import contextlib
import errno
import gc
import json
import logging
import os
import shutil
import signal
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

from aiohttp import web

from pytest_deploygate import __version__
from pytest_deploygate.core.errors import ConfigError
from pytest_deploygate.emulator.api import (
    artifact_registry,
    cloud_build,
    cloud_storage,
    functions_v2_api,
    local,
    monitoring,
    platform_calls,
    project_resources,
    run,
    run_creation,
    run_v1,
)
from pytest_deploygate.emulator.api.admin_log import AdminLog
from pytest_deploygate.emulator.api.fault_rules import Rule, keep_rule
from pytest_deploygate.emulator.api.protobuf_json import MAX_BODY_BYTES, ApiError, too_large_error
from pytest_deploygate.emulator.api.tomorrow import TOMORROW, add_future
from pytest_deploygate.emulator.body_pieces import body_pieces
from pytest_deploygate.emulator.container import CLOUD, EmulatedCloud, make_cloud
from pytest_deploygate.emulator.emulator_settings import load_settings
from pytest_deploygate.emulator.host_check import is_loopback_host
from pytest_deploygate.emulator.lifecycle import RUN_FILE, code_identity
from pytest_deploygate.emulator.routing.limits import HEAD_BYTES
from pytest_deploygate.emulator.runtime.runner import INSTANCES, StartError
from pytest_deploygate.emulator.storage.state import STATE_FILE
from pytest_deploygate.system.file_lock import FileLockHeld, hold_lock

logger = logging.getLogger(__name__)

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


async def serve(home: Path, port: int) -> None:
    """Run the emulator of ``home`` on ``port`` (0: any free one) until SIGTERM or SIGINT.

    It also ends when somebody removes its home, as nobody could find it any more.

    Raises:
        ConfigError: bad settings or state, another one runs there, or the port is taken.
    """
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    with _sole(home):
        cloud = make_cloud(home, load_settings(home))
        listener = web.AppRunner(
            make_app(cloud),
            access_log=None,
            shutdown_timeout=2.0,
            max_line_size=HEAD_BYTES,
            max_field_size=HEAD_BYTES,
        )
        await listener.setup()
        try:
            port = await _begin(cloud, listener, port)
            gc.freeze()
            _announce(home, port)
            logger.info("cloud.ready", extra={"port": port, "home": str(home)})
            tasks = [
                asyncio.create_task(_start(cloud, name))
                for name in sorted(cloud.services.needed_revisions())
            ]
            tasks.append(asyncio.create_task(_stop_without(home / STATE_FILE, stopped)))
            await stopped.wait()
            logger.info("cloud.stopping")
            for task in tasks:
                task.cancel()
        finally:
            await _end(cloud, listener)
            with contextlib.suppress(FileNotFoundError):
                (home / RUN_FILE).unlink()


async def _begin(cloud: EmulatedCloud, listener: web.AppRunner, port: int) -> int:
    """Clear up after a process that was killed, listen, route as before; returns the admin port."""
    cloud.runner.kill_leftovers()
    shutil.rmtree(cloud.home / INSTANCES, ignore_errors=True)
    cloud.operations.fail_interrupted()
    cloud.deployments.fail_interrupted()
    cloud.source_builds.fail_interrupted()
    known = cloud.state.ports.get("admin")
    wanted = port or (int(str(known["port"])) if known else 0)
    actual = await _listen(listener, wanted, is_asked=port != 0)
    cloud.state.ports.put("admin", {"port": actual})
    cloud.listens_at(f"http://127.0.0.1:{actual}")
    await cloud.services.restore()
    cloud.runner.begin()
    return actual


async def _end(cloud: EmulatedCloud, listener: web.AppRunner) -> None:
    """Take no more requests, end those in flight, then the functions, then the admin port."""
    cloud.faults.clear()
    await cloud.router.close()
    await cloud.operations.close()
    await cloud.source_builds.close()
    await cloud.runner.close()
    await listener.cleanup()
    for service in cloud.stand_ins:
        await service.close()
    cloud.state.close()


@contextlib.contextmanager
def _sole(home: Path) -> Iterator[None]:
    """Hold the lock of the process that serves ``home``; the system releases it when the process dies.

    Raises:
        ConfigError: another process holds it.
    """
    try:
        with hold_lock(home / "serving.lock"):
            yield
    except FileLockHeld as error:
        raise ConfigError(
            f"process {error.holder} serves {home} and does not answer",
            hint=f"end it with `kill -9 {error.holder}`",
        ) from error


async def _stop_without(path: Path, stopped: asyncio.Event) -> None:
    while path.exists():
        await asyncio.sleep(1.0)
    logger.warning("cloud.home_removed", extra={"path": str(path)})
    stopped.set()


def make_app(cloud: EmulatedCloud) -> web.Application:
    """The admin port: all of Google's APIs that are stood in for, and the side endpoints."""
    app = web.Application(
        middlewares=[_tomorrow, _log_and_errors, _faults], client_max_size=MAX_BODY_BYTES
    )
    app[CLOUD] = cloud
    app[TOMORROW] = cloud.settings.answers == "tomorrow"
    app[local.ADMIN_LOG] = AdminLog()
    for module in (
        functions_v2_api, run, run_creation, run_v1, cloud_build, cloud_storage, artifact_registry, monitoring,
        project_resources, local,
    ):  # fmt: skip
        app.add_routes(module.routes())
    for service in cloud.stand_ins:
        app.add_routes(service.routes())
    app.add_routes(platform_calls.routes())
    return app


async def _listen(listener: web.AppRunner, port: int, *, is_asked: bool) -> int:
    try:
        await web.TCPSite(listener, "127.0.0.1", port).start()
    except OSError as error:
        if error.errno not in {errno.EADDRINUSE, errno.EACCES} or port == 0:
            raise
        if is_asked:
            raise ConfigError(
                f"port {port} is taken{_holder(port)}",
                hint="choose another port, or stop what listens there",
            ) from error
        await web.TCPSite(listener, "127.0.0.1", 0).start()
    return int(listener.addresses[0][1])


def _holder(port: int) -> str:
    import psutil

    with contextlib.suppress(psutil.Error, OSError):
        for connection in psutil.net_connections("tcp4"):
            if (
                connection.status == psutil.CONN_LISTEN
                and connection.laddr[1:2] == (port,)
                and connection.pid
            ):
                process = psutil.Process(connection.pid)
                return f" by {process.name()} (process {connection.pid})"
    return ""


async def _start(cloud: EmulatedCloud, revision: str) -> None:
    try:
        await cloud.runner.start(revision)
    except (
        StartError,
        Exception,
    ):  # what is wrong with one revision must not keep the others from starting
        logger.exception("revision.not_started", extra={"revision": revision})


def _announce(home: Path, port: int) -> None:
    partial = home / f"{RUN_FILE}.partial"
    text = json.dumps(
        {"pid": os.getpid(), "port": port, "version": __version__, "code": code_identity()}
    )
    partial.write_text(text, encoding="utf-8")
    partial.rename(home / RUN_FILE)


@web.middleware
async def _tomorrow(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Add to an answer what nobody knows today, if the settings say so."""
    response = await handler(request)
    is_api = request.app[TOMORROW] and request.path.startswith(("/v1/", "/v2/", "/v3/"))
    if is_api and isinstance(response, web.Response) and isinstance(response.body, bytes):
        kept = {k: v for k, v in response.headers.items() if k == "Retry-After"}
        whole = response.body or b"{}"
        body = await asyncio.to_thread(lambda: json.dumps(add_future(json.loads(whole))))
        return web.json_response(text=body, status=response.status, headers=kept)
    return response


@web.middleware
async def _log_and_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer errors in Google's form, and write down every admin call with its answer."""
    log = request.app[local.ADMIN_LOG]
    call = None
    try:
        _hold_off_web_pages(request)
        if not request.path.startswith("/_local/"):
            is_file = request.path.startswith("/upload/")  # read piece by piece, and not logged
            body = b"" if is_file else await request.read()
            call = log.begin(request.method, request.path, request.query_string, body)
        response = await handler(request)
    except ApiError as error:
        response = error.response()
    except web.HTTPRequestEntityTooLarge:
        response = too_large_error(MAX_BODY_BYTES).response()
    except web.HTTPException as error:
        response = ApiError(error.status, error.reason).response()
    except web.RequestPayloadError as error:
        response = ApiError(400, f"The body cannot be read: {error}").response()
    except Exception:
        logger.exception("call.crashed", extra={"path": request.path})
        response = ApiError(500, "The emulator has a defect; see its log.").response()
    if call is not None and request.transport is not None and not request.transport.is_closing():
        log.end(call, response.status, body_pieces(response))
    return response


def _hold_off_web_pages(request: web.Request) -> None:
    """A page in a browser on this machine must not be able to call: browsers say where a call comes from, and to."""
    if not is_loopback_host(request.headers.get("Host")):
        raise ApiError(403, "The Host header names another machine than this one.")
    if "Origin" in request.headers:
        raise ApiError(403, "The emulator takes no calls from web pages.")


@web.middleware
async def _faults(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Let go wrong what the rules ask for."""
    if request.path.startswith("/_local/") and not request.path.startswith("/_local/storage/"):
        return await handler(request)
    faults = request.app[CLOUD].faults
    is_body_needed = faults.is_body_needed(request.method, request.path)
    body = await request.read() if is_body_needed else b""
    rule = faults.take(request.method, request.path, body)
    if rule is None:
        return await handler(request)
    keep_rule(request, rule)
    await asyncio.sleep(rule.delay_s)
    if rule.drop == "before":
        _cut_connection(request)
    is_before = (rule.http is not None or rule.hang) and not rule.is_applied
    response: web.StreamResponse = web.Response()
    if not is_before and rule.drop != "before":
        response = await handler(request)
    if rule.drop == "after":
        _cut_connection(request)
    if rule.drop == "middle" and isinstance(response, web.Response):
        response = await _abort(request, response)
    if rule.hang:
        await faults.wait_until_cleared()
        _cut_connection(request)
    if rule.http is not None:
        raise _error(rule, rule.http)
    return response


def _error(rule: Rule, http: int) -> ApiError:
    return ApiError(http, rule.message, status=rule.status, retry_after_s=rule.retry_after_s)


async def _abort(request: web.Request, whole: web.Response) -> web.StreamResponse:
    """Send half of an answer that promised all of it."""
    pieces = body_pieces(whole)
    half = web.StreamResponse(status=whole.status, headers={"Content-Type": whole.content_type})
    half.content_length = sum(map(len, pieces))
    await half.prepare(request)
    left = half.content_length // 2
    for piece in pieces:
        await half.write(piece[:left])
        left -= min(left, len(piece))
    if request.transport is not None:
        request.transport.close()
    return half


def _cut_connection(request: web.Request) -> None:
    """Reset the connection, so that the client never gets an answer."""
    if isinstance(request.transport, asyncio.Transport):
        request.transport.abort()
