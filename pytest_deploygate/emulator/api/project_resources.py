"""What a project has besides functions: secrets, service accounts, enabled APIs; as much as a deployment asks of them.

``projects.secrets.versions.get`` of Secret Manager v1 (never a value), ``serviceAccounts.testIamPermissions`` of IAM
v1, ``services.get`` and ``services.batchGet`` of Service Usage v1, ``getDefaultServiceAccount`` of Cloud Build v1,
``projects.get`` and ``projects.getIamPolicy`` of Resource Manager v1 (gcloud asks for these before it deploys). Here
everybody may do everything, and every API is enabled.
"""

from aiohttp import web

from pytest_deploygate.emulator.api.protobuf_json import ApiError, read_json
from pytest_deploygate.emulator.container import CLOUD
from pytest_deploygate.emulator.runtime.platform_fields import compute_account, project_number
from pytest_deploygate.emulator.storage.local_secrets import FILE, SecretMissing, find_version

_MOST_NAMES = 30
_CREATED = "2025-01-01T00:00:00Z"


def routes() -> list[web.RouteDef]:
    """The calls of these APIs."""
    account = "/v1/projects/{project}/serviceAccounts/{account}"
    return [
        web.get("/v1/projects/{project}/secrets/{secret}/versions/{version}", get_version),
        web.post(account + ":testIamPermissions", test_permissions),
        web.get("/v1/projects/{project}/services:batchGet", get_services),
        web.get("/v1/projects/{project}/services/{service}", get_service),
        web.get("/v1/projects/{project:[^/:]+}", get_project),
        web.post("/v1/projects/{project:[^/:]+}:getIamPolicy", get_policy),
        web.get("/v1/projects/{project}/locations/{location}/defaultServiceAccount", get_account),
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


async def get_service(request: web.Request) -> web.Response:
    """It is enabled, whichever it is; gcloud asks before it deploys."""
    project, service = request.match_info["project"], request.match_info["service"]
    name = f"projects/{project}/services/{service}"
    return web.json_response({"name": name, "parent": f"projects/{project}", "state": "ENABLED"})


async def get_account(request: web.Request) -> web.Response:
    """The account that builds run as where none is named."""
    project, location = request.match_info["project"], request.match_info["location"]
    account = f"projects/{project}/serviceAccounts/{compute_account(project)}"
    name = f"projects/{project}/locations/{location}/defaultServiceAccount"
    return web.json_response({"name": name, "serviceAccountEmail": account})


async def get_project(request: web.Request) -> web.Response:
    """Any project is there."""
    project = request.match_info["project"]
    found = {"projectId": project, "name": project, "projectNumber": project_number(project)}
    return web.json_response(found | {"lifecycleState": "ACTIVE", "createTime": _CREATED})


async def get_policy(request: web.Request) -> web.Response:
    """The account of builds may build."""
    members = [f"serviceAccount:{compute_account(request.match_info['project'])}"]
    binding = {"role": "roles/cloudbuild.builds.builder", "members": members}
    return web.json_response({"version": 1, "bindings": [binding]})
