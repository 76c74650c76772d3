"""Calls that both APIs share or that need little: locations, waiting for an operation, deleting; and what is not here.

A documented method that the emulator does not have is 501 and names itself, so that nobody takes it for a wrong path.
"""

import asyncio

from aiohttp import web
from google.protobuf import empty_pb2
from google.protobuf.message import Message

from pytest_deploygate.emulator.api.fault_rules import operation_fault
from pytest_deploygate.emulator.api.functions_v2_api import parent_of
from pytest_deploygate.emulator.api.operation_store import Job, OperationProgress
from pytest_deploygate.emulator.api.protobuf_json import (
    ApiError,
    answer,
    not_found_error,
    read_json,
)
from pytest_deploygate.emulator.container import CLOUD

_LOCATIONS = ("us-central1", "us-east1", "us-west1", "europe-west1", "asia-northeast1")
_POLL_S = 0.02
_DEFAULT_WAIT_S = 60.0
_BASE = "/v2/projects/{project}/locations/{location}"
_FUNCTION = _BASE + "/functions/{function:[^/:]+}"
_SERVICE = _BASE + "/services/{service:[^/:]+}"
_OPERATION = _BASE + "/operations/{operation:[^/:]+}"
_SHEET = "/v4/spreadsheets/{spreadsheet:[^/:]+}"
_MISSING = (
    *(("POST", f"{_FUNCTION}:{verb}", f"google.cloud.functions.v2.FunctionService.{verb}") for verb in (
        "abortFunctionUpgrade", "commitFunctionUpgrade", "commitFunctionUpgradeAsGen2", "detachFunction",
        "redirectFunctionUpgradeTraffic", "rollbackFunctionUpgradeTraffic", "setupFunctionUpgradeConfig",
    )),
    ("POST", _BASE + ":uploadSource", "google.cloud.run.v2.SourceUploads.UploadSource"),
    ("*", _BASE + "/{kind:jobs|workerPools|instances}{rest:.*}", "google.cloud.run.v2: {kind}"),
    ("*", _BASE + "{rest:.*}:{verb:export(Image|ImageMetadata|Metadata|ProjectMetadata|Status)}",
     "google.cloud.run.v2: {verb}"),
    ("POST", _SHEET + "/sheets/{sheet}:copyTo", "google.sheets.v4: sheets.copyTo"),
    ("POST", _SHEET + ":getByDataFilter", "google.sheets.v4: getByDataFilter"),
    ("POST", _SHEET + "/values:{verb:batchGetByDataFilter|batchUpdateByDataFilter|batchClearByDataFilter}",
     "google.sheets.v4: {verb}"),
    ("*", _SHEET + "/developerMetadata{rest:.*}", "google.sheets.v4: developerMetadata"),
    ("*", "/drive/v3/{kind:[a-z]+}{rest:.*}", "google.drive.v3: {kind}"),
    ("*", "/v1/projects/{project}/locations/{location}/{kind:[a-zA-Z]+}{rest:.*}", "v1: {kind} of Run or Functions"),
    ("*", "/apis/{api:[^/]+}/v1/{rest:.*}", "{api}/v1: the API of Cloud Run v1"),
)  # fmt: skip


def routes() -> list[web.RouteDef]:
    """All of these calls."""
    return [
        web.get("/v2/projects/{project}/locations", list_locations),
        web.get("/v1/projects/{project}/locations", list_locations),
        web.get("/v1/projects/{project}/locations/{location}/functions", list_first_generation),
        web.post(_OPERATION + ":wait", wait_operation),
        web.delete(_OPERATION, delete_operation),
        web.delete(_SERVICE, delete_service),
        web.get(_BASE + "/jobs/{job:[^/:]+}", get_job),
        *(web.route(method, path, _Missing(name)) for method, path, name in _MISSING),
    ]


class _Missing:
    """Answers for a method that is documented and not here."""

    def __init__(self, name: str) -> None:
        self._name = name

    async def __call__(self, request: web.Request) -> web.Response:
        name = self._name.format_map(request.match_info)
        call = f"{request.method} {request.path[:200]}"
        raise ApiError(501, f"Method {name} is not implemented by the emulator ({call}).")


async def list_locations(request: web.Request) -> web.Response:
    """``locations.list``: some that exist; any other serves as well."""
    project = request.match_info["project"]
    found = [
        {"name": f"projects/{project}/locations/{name}", "locationId": name, "displayName": name}
        for name in _LOCATIONS
    ]
    return web.json_response({"locations": found})


async def get_job(request: web.Request) -> web.Response:
    """``jobs.get``: there are none."""
    raise not_found_error(f"{parent_of(request)}/jobs/{request.match_info['job']}")


def _operation_name(request: web.Request) -> str:
    name = f"{parent_of(request)}/operations/{request.match_info['operation']}"
    if name not in request.app[CLOUD].state.operations:
        raise not_found_error(name)
    return name


async def wait_operation(request: web.Request) -> web.Response:
    """``operations.wait``: the operation when it is done, or as it is when the time is over."""
    cloud, name = request.app[CLOUD], _operation_name(request)
    deadline = asyncio.get_running_loop().time() + _seconds(
        (await read_json(request)).get("timeout")
    )
    while not cloud.state.operations[name].done and asyncio.get_running_loop().time() < deadline:
        await asyncio.sleep(_POLL_S)
    return await answer(request, cloud.state.operations[name])


def _seconds(text: object) -> float:
    try:
        seconds = float(str(text or f"{_DEFAULT_WAIT_S}s").removesuffix("s"))
    except ValueError:
        seconds = -1.0
    if not seconds >= 0:
        raise ApiError(400, f"Invalid value at 'timeout': {str(text)[:50]!r} is no duration")
    return min(seconds, _DEFAULT_WAIT_S)


async def delete_operation(request: web.Request) -> web.Response:
    """``operations.delete``: forget one that is done."""
    cloud, name = request.app[CLOUD], _operation_name(request)
    if not cloud.state.operations[name].done:
        raise ApiError(400, f"Operation {name} is not done", status="FAILED_PRECONDITION")
    cloud.state.operations.delete(name)
    return await answer(request, empty_pb2.Empty())


async def delete_service(request: web.Request) -> web.Response:
    """``services.delete``: with its revisions, ports and policy; a function of it stays, without a service."""
    cloud, name = (
        request.app[CLOUD],
        f"{parent_of(request)}/services/{request.match_info['service']}",
    )
    service = cloud.state.services.get(name)
    if service is None:
        raise not_found_error(name)
    check_etag(request, service.etag, name)

    async def work(_progress: OperationProgress) -> Message:
        await cloud.services.delete(name)
        return service

    job = Job(
        parent=parent_of(request),
        target=name,
        metadata=service,
        work=work,
        fault=operation_fault(request),
    )
    return await answer(request, cloud.operations.start(job))


def check_etag(request: web.Request, current: str, name: str) -> None:
    """Refuse a call that was meant for what the resource was before.

    Raises:
        ApiError: 409.
    """
    given = request.query.get("etag", "")
    if given and given != current:
        raise ApiError(
            409, f"Conflict for resource '{name}': the etag {given} is not the current one"
        )


async def list_first_generation(_request: web.Request) -> web.Response:
    """``functions.list`` of the API v1, which gcloud asks beside that of v2: there are none."""
    return web.json_response({})
