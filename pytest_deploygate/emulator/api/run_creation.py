"""``services.create`` of Cloud Run v2."""

import re

from aiohttp import web
from google.protobuf.message import Message

from pytest_deploygate.emulator.api.fault_rules import operation_fault
from pytest_deploygate.emulator.api.functions_v2_api import parent_of
from pytest_deploygate.emulator.api.operation_store import Job, OperationProgress
from pytest_deploygate.emulator.api.protobuf_json import ApiError, answer, read_message
from pytest_deploygate.emulator.api.service_validation import check_template
from pytest_deploygate.emulator.api.template_checks import check_sizes, check_template_fields
from pytest_deploygate.emulator.container import CLOUD
from pytest_deploygate.emulator.runtime.new_revision import NewRevision
from pytest_deploygate.emulator.runtime.run_services import Service

_SERVICE_ID = re.compile(r"[a-z]([-a-z0-9]{0,47}[a-z0-9])?")
_OUTPUT_ONLY = (
    "uid", "generation", "create_time", "update_time", "creator", "last_modifier", "etag", "observed_generation",
    "terminal_condition", "conditions", "latest_ready_revision", "latest_created_revision", "traffic_statuses", "uri",
    "urls", "reconciling",
)  # fmt: skip


def routes() -> list[web.RouteDef]:
    """This call."""
    return [web.post("/v2/projects/{project}/locations/{location}/services", create_service)]


async def create_service(request: web.Request) -> web.Response:
    """``services.create``: private until somebody binds the invoker role."""
    cloud, parent = request.app[CLOUD], parent_of(request)
    given = await read_message(request, Service)
    short = request.query.get("serviceId", "")
    if not _SERVICE_ID.fullmatch(short):
        text = f"Invalid service id {short!r}: lower-case letters, digits and '-', at most 49"
        raise ApiError(400, text)
    name = f"{parent}/services/{short}"
    if name in cloud.state.services:
        raise ApiError(409, f"Resource '{short}' already exists.", status="ALREADY_EXISTS")
    for field in _OUTPUT_ONLY:
        given.ClearField(field)
    check_sizes(given)
    check_template_fields(short, given.template)
    check_template(cloud, given.template)
    if request.query.get("validateOnly") == "true":
        raise ApiError(501, "The emulator does not validate a new service without making it.")
    wanted = NewRevision(
        service=name,
        template=given.template,
        labels=dict(given.labels),
        is_named=bool(given.template.revision),
        described=given,
    )
    fault = operation_fault(request)
    revision = await cloud.services.create(wanted)

    async def work(_progress: OperationProgress) -> Message:
        fails = fault is not None and fault.kind == "start_failed"
        text = (fault.message or "This failure was asked for.") if fault is not None else ""
        await cloud.services.start(revision, fail=text if fails else None)
        return cloud.state.services[name]

    job = Job(
        parent=parent,
        target=name,
        metadata=cloud.state.services[name],
        work=work,
        give_up=lambda text: cloud.services.give_up(name, text),
        fault=fault,
        is_exclusive=False,
    )
    return await answer(request, cloud.operations.start(job))
