"""The Cloud Run v1 admin API, as far as the v2 API cannot tell it: services of all regions.

Checked against the discovery document ``run.v1``. The v2 API lists one region at a time.
"""

from aiohttp import web
from google.protobuf.message import Message

from pytest_deploygate.emulator.api.protobuf_json import Json
from pytest_deploygate.emulator.container import CLOUD

KNATIVE = "serving.knative.dev/v1"
LOCATION = "cloud.googleapis.com/location"
"""Label that says in which region a service is."""


def routes() -> list[web.RouteDef]:
    """All calls of this API."""
    return [web.get(f"/apis/{KNATIVE}/namespaces/{{project}}/services", list_services)]


async def list_services(request: web.Request) -> web.Response:
    """``namespaces.services.list``: those of the project, wherever they are."""
    services, project = request.app[CLOUD].state.services, request.match_info["project"]
    names = services.names(f"projects/{project}/")
    items = [_knative(name, services[name]) for name in names]
    return web.json_response({"apiVersion": KNATIVE, "kind": "ServiceList", "items": items})


def _knative(name: str, service: Message) -> Json:
    _, project, _, region, _, short = name.split("/")
    labels = {**dict(service.labels), LOCATION: region}
    metadata = {"name": short, "namespace": project, "labels": labels, "uid": service.uid}
    return {"apiVersion": KNATIVE, "kind": "Service", "metadata": metadata}
