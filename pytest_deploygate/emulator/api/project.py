"""What a project has besides functions: secrets, service accounts, enabled APIs; as much as a deployment asks of them.

``projects.secrets.versions.get`` of Secret Manager v1 (never a value), ``serviceAccounts.testIamPermissions`` of IAM v1
and ``services.batchGet`` of Service Usage v1. Here everybody may do everything, and every API is enabled.
"""

from aiohttp import web

from pytest_deploygate.emulator.api.protobuf_json import ApiError, read_json
from pytest_deploygate.emulator.container import CLOUD
from pytest_deploygate.emulator.storage.local_secrets import FILE, SecretMissing, find_version

_MOST_NAMES = 30
_CREATED = "2025-01-01T00:00:00Z"


def routes() -> list[web.RouteDef]:
    """The calls of the three APIs."""
    account = "/v1/projects/{project}/serviceAccounts/{account}"
    return [
        web.get("/v1/projects/{project}/secrets/{secret}/versions/{version}", get_version),
        web.post(account + ":testIamPermissions", test_permissions),
        web.get("/v1/projects/{project}/services:batchGet", get_services),
    ]


async def get_version(request: web.Request) -> web.Response:
    """Number and state of a version of a secret."""
    project, secret, version = (request.match_info[n] for n in ("project", "secret", "version"))
    home = request.app[CLOUD].home
    try:
        number, _ = find_version(home, secret, version)
    except SecretMissing as error:
        how = f'the emulator takes it from {home / FILE}, from a line like {secret} = "any text"'
        raise ApiError(404, f"{error} ({how})") from error
    name = f"projects/{project}/secrets/{secret}/versions/{number}"
    return web.json_response({"name": name, "createTime": _CREATED, "state": "ENABLED"})


async def test_permissions(request: web.Request) -> web.Response:
    """All that was asked for is granted."""
    body = await read_json(request)
    return web.json_response({"permissions": body.get("permissions", [])})


async def get_services(request: web.Request) -> web.Response:
    """All that was asked for is enabled."""
    project = request.match_info["project"]
    names = request.query.getall("names", [])
    if not names or len(names) > _MOST_NAMES:
        raise ApiError(400, f"Between 1 and {_MOST_NAMES} names are taken, not {len(names)}.")
    parent = f"projects/{project}"
    if any(not name.startswith(f"{parent}/services/") for name in names):
        raise ApiError(400, f"All names must begin with {parent}/services/.")
    found = [{"name": name, "parent": parent, "state": "ENABLED"} for name in names]
    return web.json_response({"services": found})
