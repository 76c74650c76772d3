"""The side endpoints of the emulator below ``/_local/``: health, logs, statistics, faults, storage.

They are the emulator's own; nothing like them exists on the platform.
"""

import json
import os
import re
import signal
from collections.abc import AsyncIterator

from aiohttp import web

from pytest_deploygate import __version__
from pytest_deploygate.emulator.api.admin_log import AdminLog
from pytest_deploygate.emulator.api.cloud_storage import receive_archive
from pytest_deploygate.emulator.api.fault_rules import parse_rules
from pytest_deploygate.emulator.api.paging import send_list
from pytest_deploygate.emulator.api.protobuf_json import (
    ApiError,
    Json,
    read_json,
    read_value,
    whole_number,
)
from pytest_deploygate.emulator.container import CLOUD, EmulatedCloud
from pytest_deploygate.emulator.lifecycle import code_identity
from pytest_deploygate.emulator.routing.fault_injection import parse_injected_fault
from pytest_deploygate.emulator.runtime.builder import tail

ADMIN_LOG = web.AppKey("admin_log", AdminLog)
_LOG_CHARS = 200_000
_ENTRIES_AT_ONCE = 200
_BUILD = re.compile(r"[0-9a-f]{1,64}")


def routes() -> list[web.RouteDef]:
    """All side endpoints."""
    revision = "/_local/revisions/{revision}"
    return [
        web.get("/_local/health", health),
        web.get("/_local/services", services),
        web.get("/_local/traffic-log", traffic_log),
        web.get("/_local/admin-log", admin_log),
        web.get("/_local/faults", list_faults),
        web.post("/_local/faults", add_faults),
        web.delete("/_local/faults", clear_faults),
        web.get(revision + "/statistics", statistics),
        web.get(revision + "/log", revision_log),
        web.post(revision + "/inject_fault", inject_fault),
        web.delete(revision + "/inject_fault", behave),
        web.get("/_local/builds/{build}/log", build_log),
        web.put("/_local/storage/{bucket}/{name:.+}", upload),
        web.get("/_local/storage/{bucket}/{name:.+}", download),
    ]


async def health(request: web.Request) -> web.Response:
    """Who answers: process, version, identity of the code, home."""
    cloud = request.app[CLOUD]
    who = {"pid": os.getpid(), "version": __version__, "code": code_identity()}
    return web.json_response(who | {"home": str(cloud.home)})


async def services(request: web.Request) -> web.Response:
    """What runs: each service with its URL, its traffic as it holds, and the revisions that have a process."""
    cloud = request.app[CLOUD]
    running = {instance.revision: instance for instance in cloud.runner.ready_instances()}
    found = []
    for name in cloud.state.services.names():
        service = cloud.state.services[name]
        shares = [
            {
                "revision": cloud.services.status_revision(service, s).rsplit("/", 1)[-1],
                "percent": s.percent,
                "tag": s.tag,
                "url": s.uri or service.uri,
            }
            for s in service.traffic_statuses
        ]
        processes = [
            {
                "revision": key.rsplit("/", 1)[-1],
                "pid": i.process.pid,
                "port": i.port,
                "in_flight": i.in_flight,
            }
            for key, i in running.items()
            if key.startswith(f"{name}/")
        ]
        found.append(
            {"service": name, "url": service.uri, "traffic": shares, "processes": processes}
        )
    return web.json_response({"services": found})


def _read_after(request: web.Request) -> int:
    return whole_number(request.query.get("after", "0"), "after")


async def traffic_log(request: web.Request) -> web.StreamResponse:
    """Every traffic list that ever held, oldest first; ``?service=FULL_NAME`` and ``?after=SEQ`` narrow it."""
    state, service, after = (
        request.app[CLOUD].state,
        request.query.get("service"),
        _read_after(request),
    )

    async def entries() -> AsyncIterator[str]:
        seen = after
        while found := state.traffic_log(service, seen, _ENTRIES_AT_ONCE):
            for entry in found:
                yield json.dumps(entry)
            seen = int(str(found[-1]["seq"]))

    return await send_list(request, "entries", entries())


async def admin_log(request: web.Request) -> web.StreamResponse:
    """The newest admin calls with their answers, oldest first; ``?after=SEQ`` narrows it."""
    found = request.app[ADMIN_LOG].calls_after(_read_after(request))

    async def calls() -> AsyncIterator[str]:
        for call in found:
            yield call.to_json()

    return await send_list(request, "calls", calls())


async def list_faults(request: web.Request) -> web.Response:
    """The rules in force, with how often each matched and acted."""
    return web.json_response({"faults": request.app[CLOUD].faults.to_json()})


async def add_faults(request: web.Request) -> web.Response:
    """Put rules in force, after those that are there already."""
    request.app[CLOUD].faults.add(parse_rules(await read_value(request)))
    return await list_faults(request)


async def clear_faults(request: web.Request) -> web.Response:
    """Drop all rules, and what hangs or is stuck ends now; with a name those of that name alone."""
    cloud = request.app[CLOUD]
    if name := request.query.get("name"):
        cloud.faults.drop(name)
        return await list_faults(request)
    cloud.faults.clear()
    cloud.operations.release_stuck()
    return await list_faults(request)


def _revision(request: web.Request) -> tuple[EmulatedCloud, str]:
    """The full name of the revision whose short name the path has.

    Raises:
        ApiError: 404.
    """
    cloud, short = request.app[CLOUD], request.match_info["revision"]
    for name in cloud.state.revisions.names():
        if name.endswith(f"/revisions/{short}"):
            return cloud, name
    raise ApiError(404, f"there is no revision {short!r}")


async def statistics(request: web.Request) -> web.Response:
    """What a revision did since the emulator started."""
    cloud, name = _revision(request)
    instance = cloud.runner.ready(name)
    running: Json = {"revision": request.match_info["revision"], "is_running": instance is not None}
    if instance is not None:
        await cloud.runner.measure(instance)
        running |= {"pid": instance.process.pid, "in_flight": instance.in_flight}
    return web.json_response(running | cloud.statistics.of(name).to_json())


async def inject_fault(request: web.Request) -> web.Response:
    """Inject a fault into a revision from now on; replaces what was asked for before."""
    cloud, name = _revision(request)
    wanted, kill = parse_injected_fault(await read_json(request))
    cloud.router.inject_fault(name, wanted)
    instance = cloud.runner.ready(name)
    if kill and instance is not None:
        instance.kill(signal.SIGKILL)
    elif wanted.memory_mb and instance is not None:
        instance.touch()  # so that its memory is measured soon
    return web.json_response(wanted.to_json())


async def behave(request: web.Request) -> web.Response:
    """Let a revision do as it does."""
    cloud, name = _revision(request)
    cloud.router.inject_fault(name, None)
    return web.json_response({})


async def revision_log(request: web.Request) -> web.Response:
    """The end of what a revision wrote to stdout and stderr."""
    cloud, _ = _revision(request)
    path = cloud.home / "logs" / f"{request.match_info['revision']}.log"
    return web.Response(text=tail(path, _LOG_CHARS))


async def build_log(request: web.Request) -> web.Response:
    """The log of one build."""
    build = request.match_info["build"]
    path = request.app[CLOUD].home / "logs" / f"build-{build}.log"
    if not _BUILD.fullmatch(build) or not path.exists():
        raise ApiError(404, f"there is no build {build!r}")
    return web.Response(text=tail(path, _LOG_CHARS))


def _storage_object(request: web.Request, method: str) -> tuple[str, str]:
    """Bucket and name of an object that the signed URL allows ``method`` on.

    Raises:
        ApiError: 403 for a URL that is not genuine or has expired, 400 for one with credentials attached.
    """
    bucket, name = request.match_info["bucket"], request.match_info["name"]
    if "Authorization" in request.headers:
        raise ApiError(400, "A signed URL is used without an Authorization header.")
    expires, signature = (
        request.query.get("X-Goog-Expires", ""),
        request.query.get("X-Goog-Signature", ""),
    )
    if not request.app[CLOUD].sources.is_allowed(
        method, bucket, name, expires=expires, signature=signature
    ):
        raise ApiError(403, "SignatureDoesNotMatch: the signed URL is not genuine or has expired.")
    return bucket, name


async def upload(request: web.Request) -> web.Response:
    """Take a source archive; the header ``content-type: application/zip`` is part of what is signed."""
    bucket, name = _storage_object(request, "PUT")
    if request.content_type != "application/zip":
        raise ApiError(403, "SignatureDoesNotMatch: the content-type must be application/zip.")
    await receive_archive(request, bucket, name)
    return web.Response()


async def download(request: web.Request) -> web.StreamResponse:
    """Give a source archive back."""
    bucket, name = _storage_object(request, "GET")
    sources = request.app[CLOUD].sources
    digest = sources.digest(bucket, name)
    if digest is None:
        raise ApiError(404, "NoSuchKey: the object does not exist.")
    return web.FileResponse(sources.path(digest), headers={"Content-Type": "application/zip"})
