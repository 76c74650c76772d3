"""Cloud Storage v1, as much as a deployment asks of it: buckets, and objects whole."""

import asyncio

from aiohttp import web

from pytest_deploygate.emulator.api.protobuf_json import ApiError, read_json
from pytest_deploygate.emulator.container import CLOUD
from pytest_deploygate.emulator.storage.source_uploads import MAX_UPLOAD_BYTES, Receiver


def routes() -> list[web.RouteDef]:
    """The calls of this API."""
    return [
        web.post("/storage/v1/b", create_bucket),
        web.get("/storage/v1/b/{bucket}", get_bucket),
        web.post("/upload/storage/v1/b/{bucket}/o", upload_object),
        web.get("/storage/v1/b/{bucket}/o/{object:.+}", get_object),
    ]


def _key(bucket: str) -> str:
    return f"bucket {bucket}"


def _require_bucket(request: web.Request) -> str:
    bucket = request.match_info["bucket"]
    if _key(bucket) not in request.app[CLOUD].state.uploads:
        raise ApiError(404, "The specified bucket does not exist.")
    return bucket


async def create_bucket(request: web.Request) -> web.Response:
    """``buckets.insert``."""
    body = await read_json(request)
    name = str(body.get("name", ""))
    uploads = request.app[CLOUD].state.uploads
    if not name or not request.query.get("project"):
        raise ApiError(400, "Required parameter: name, project")
    if _key(name) in uploads:
        raise ApiError(409, "Your previous request to create the named bucket succeeded.")
    uploads.put(_key(name), {"location": str(body.get("location", "US"))})
    return web.json_response({"kind": "storage#bucket", "name": name})


async def get_bucket(request: web.Request) -> web.Response:
    """``buckets.get``."""
    return web.json_response({"kind": "storage#bucket", "name": _require_bucket(request)})


async def upload_object(request: web.Request) -> web.Response:
    """``objects.insert`` with ``uploadType=media``."""
    bucket, name = _require_bucket(request), request.query.get("name", "")
    if not name or request.query.get("uploadType") != "media":
        raise ApiError(400, "Required parameter: name, uploadType=media")
    archive = await receive_archive(request, bucket, name)
    found = {"kind": "storage#object", "name": name, "bucket": bucket}
    sizes = {"generation": str(archive.generation), "size": str(archive.size_bytes)}
    return web.json_response(found | sizes)


async def receive_archive(request: web.Request, bucket: str, name: str) -> Receiver:
    """Take the body of a request piece by piece, as the newest generation of an object.

    Raises:
        ApiError: 413.
    """
    too_large = ApiError(413, "EntityTooLarge: the archive is larger than 100 MiB.")
    if (request.content_length or 0) > MAX_UPLOAD_BYTES:
        raise too_large
    async with request.app[CLOUD].sources.receive(bucket, name) as archive:
        async for piece in request.content.iter_any():
            if archive.size_bytes + len(piece) > MAX_UPLOAD_BYTES:
                raise too_large
            await asyncio.to_thread(archive.write, piece)
    return archive


async def get_object(request: web.Request) -> web.StreamResponse:
    """``objects.get`` with ``alt=media``: the content."""
    bucket, name = _require_bucket(request), request.match_info["object"]
    text = request.query.get("generation", "0")
    sources = request.app[CLOUD].sources
    digest = sources.digest(bucket, name, int(text) if text.isdecimal() else -1)
    if digest is None:
        raise ApiError(404, f"No such object: {bucket}/{name}")
    if request.query.get("alt") != "media":
        raise ApiError(501, "The emulator gives the content of objects (alt=media) only.")
    return web.FileResponse(sources.path(digest), headers={"Content-Type": "application/zip"})
