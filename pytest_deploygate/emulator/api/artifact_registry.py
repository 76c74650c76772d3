"""The Artifact Registry v1 API: tags and versions of the images that builds made.

Checked against the discovery document ``artifactregistry.v1``.
"""

from aiohttp import web

from pytest_deploygate.emulator.api.protobuf_json import ApiError, Json, not_found_error, read_json
from pytest_deploygate.emulator.container import CLOUD


def routes() -> list[web.RouteDef]:
    """All calls of this API that are here."""
    package = (
        "/v1/projects/{project}/locations/{location}/repositories/{repository}/packages/{package}"
    )
    return [
        web.get(package + "/tags/{tag}", get_tag),
        web.get(package + "/versions/{version}", get_version),
        web.post(package + "/tags", create_tag),
        web.patch(package + "/tags/{tag}", update_tag),
    ]


def _package_of(request: web.Request) -> str:
    match = request.match_info
    place = f"projects/{match['project']}/locations/{match['location']}"
    return f"{place}/repositories/{match['repository']}/packages/{match['package']}"


def _image_of(request: web.Request) -> str:
    """The image without tag and digest, as containers name it."""
    match = request.match_info
    return f"{match['location']}-docker.pkg.dev/{match['project']}/{match['repository']}/{match['package']}"


def _tag(request: web.Request, tag: str) -> Json:
    """The tag as the platform describes it.

    Raises:
        ApiError: 404.
    """
    package = _package_of(request)
    known = request.app[CLOUD].state.images.get(f"{_image_of(request)}:{tag}")
    if known is None:
        raise not_found_error(f"{package}/tags/{tag}")
    return {"name": f"{package}/tags/{tag}", "version": f"{package}/versions/{known['digest']}"}


async def _point(request: web.Request, tag: str) -> Json:
    """Let ``tag`` lead to the version that the request names."""
    images, image = request.app[CLOUD].state.images, _image_of(request)
    version = str((await read_json(request)).get("version", ""))
    digest = version.rpartition("/versions/")[2]
    if images.get(f"{image}@{digest}") is None:
        raise not_found_error(version)
    images.put(f"{image}:{tag}", {"digest": digest})
    return _tag(request, tag)


async def get_version(request: web.Request) -> web.Response:
    """``versions.get``: whether an image of that digest is there."""
    version = request.match_info["version"]
    name = f"{_package_of(request)}/versions/{version}"
    if f"{_image_of(request)}@{version}" not in request.app[CLOUD].state.images:
        raise not_found_error(name)
    return web.json_response({"name": name})


async def get_tag(request: web.Request) -> web.Response:
    """``tags.get``."""
    return web.json_response(_tag(request, request.match_info["tag"]))


async def create_tag(request: web.Request) -> web.Response:
    """``tags.create``."""
    tag = request.query.get("tagId", "")
    if not tag:
        raise ApiError(400, "tagId is required")
    if f"{_image_of(request)}:{tag}" in request.app[CLOUD].state.images:
        raise ApiError(409, f"the tag {tag} already exists", status="ALREADY_EXISTS")
    return web.json_response(await _point(request, tag))


async def update_tag(request: web.Request) -> web.Response:
    """``tags.patch``."""
    tag = request.match_info["tag"]
    _tag(request, tag)
    return web.json_response(await _point(request, tag))
