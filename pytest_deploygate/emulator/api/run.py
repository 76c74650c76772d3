"""The Cloud Run v2 admin API: services, revisions, IAM; and operations and permissions of both APIs.

Checked against the discovery document ``run.v2``. Two behaviours hurt people on the platform and are kept: a stale etag
is 409 ABORTED, and a body that carries ``template.revision`` of an existing revision is 409 as well.
"""

import secrets
from collections.abc import Awaitable, Callable

from aiohttp import web
from google.iam.v1 import iam_policy_pb2, policy_pb2
from google.longrunning import operations_pb2
from google.protobuf.message import Message

from pytest_deploygate.emulator.api.fault_rules import operation_fault, rule_of
from pytest_deploygate.emulator.api.functions_v2_api import parent_of
from pytest_deploygate.emulator.api.operation_store import Job, OperationFault, OperationProgress
from pytest_deploygate.emulator.api.paging import Listing, answer_list, under
from pytest_deploygate.emulator.api.protobuf_json import (
    ApiError,
    Json,
    answer,
    as_json,
    merge,
    not_found_error,
    read_mask,
    read_message,
    touches,
    wants_numbers,
)
from pytest_deploygate.emulator.api.service_validation import check_template, normalise_traffic
from pytest_deploygate.emulator.api.template_checks import check_sizes, check_template_fields
from pytest_deploygate.emulator.container import CLOUD, EmulatedCloud
from pytest_deploygate.emulator.runtime.new_revision import NewRevision
from pytest_deploygate.emulator.runtime.revisions import with_shown_conditions
from pytest_deploygate.emulator.runtime.run_services import Service
from pytest_deploygate.emulator.runtime.service_status import bump

_MOST_MEMBERS = 1500
"""Of a policy (IAM, "Quotas and limits": principals in one allow policy)."""
_SETTABLE = (
    "traffic",
    "labels",
    "annotations",
    "template",
    "invoker_iam_disabled",
    "ingress",
    "scaling",
    "description",
    "build_config",
    "default_uri_disabled",
    "custom_audiences",
)


def routes() -> list[web.RouteDef]:
    """All calls of this API."""
    base = "/v2/projects/{project}/locations/{location}"
    one = base + "/services/{service:[^/:]+}"
    revision = one + "/revisions/{revision:[^/:]+}"
    resource = base + "/{kind:services|functions}/{service:[^/:]+}"
    return [
        web.get(base + "/services", list_services),
        web.get(one, get_service),
        web.patch(one, update_service),
        web.get(one + "/revisions", list_revisions),
        web.get(revision, get_revision),
        web.delete(revision, delete_revision),
        web.get(base.replace("/v2/", "/v1/") + "/revisions/{revision:[^/:]+}", get_v1_revision),
        web.get(resource + ":getIamPolicy", get_iam_policy),
        web.post(resource + ":setIamPolicy", set_iam_policy),
        # firebase-tools opens functions by the API v1
        web.get(resource.replace("/v2/", "/v1/") + ":getIamPolicy", get_iam_policy),
        web.post(resource.replace("/v2/", "/v1/") + ":setIamPolicy", set_iam_policy),
        web.post(resource + ":testIamPermissions", test_iam_permissions),
        web.get(base + "/operations", list_operations),
        web.get(base + "/operations/{operation}", get_operation),
    ]


def _name_of(request: web.Request) -> str:
    return f"{parent_of(request)}/services/{request.match_info['service']}"


def _require_service(cloud: EmulatedCloud, name: str) -> Message:
    service = cloud.state.services.get(name)
    if service is None:
        raise not_found_error(name)
    return service


async def get_service(request: web.Request) -> web.Response:
    """``services.get``."""
    cloud, name = request.app[CLOUD], _name_of(request)
    service = _require_service(cloud, name)
    rule = rule_of(request)
    if rule is not None and rule.stale:
        service = cloud.state.services.previous(name) or service
    return await answer(request, service)


async def list_services(request: web.Request) -> web.Response:
    """``services.list``."""
    state = request.app[CLOUD].state

    def read(name: str, *, as_ints: bool) -> Json | None:
        service = state.services.get(name)
        return service and as_json(service, enums_as_ints=as_ints)

    names = under(state.services.names(), parent_of(request), "services")
    return await answer_list(request, Listing(field="services", names=names, read=read))


async def update_service(request: web.Request) -> web.Response:
    """``services.patch``: traffic, labels and the like; a changed template makes a new revision."""
    cloud, name = request.app[CLOUD], _name_of(request)
    given = await read_message(request, Service)
    check_sizes(given)
    check_template_fields(request.match_info["service"], given.template)
    masked = read_mask(request, given)
    # what only the platform writes may stand in a mask and is left alone
    paths = tuple(p for p in masked if p.split(".")[0] in _SETTABLE) if masked else _SETTABLE
    before = _require_service(cloud, name)
    if given.etag and given.etag != before.etag:
        raise ApiError(
            409, f"Conflict for resource '{name}': the etag {given.etag} is not the current one"
        )
    service = Service()
    service.CopyFrom(before)
    merge(given, service, paths)
    service.name = name
    _hold_named_revision(cloud, service, paths)
    if touches(paths, "template"):
        check_template(cloud, service.template)
    if touches(paths, "traffic"):
        normalise_traffic(cloud, service)
    if request.query.get("validateOnly") == "true":
        return await answer(request, _finished_operation(parent_of(request), before, service))
    new_template = touches(paths, "template") and not _is_same(service.template, before.template)
    template = type(service.template)()
    template.CopyFrom(service.template)
    service.template.CopyFrom(
        before.template
    )  # a new one is declared with its revision, by the operation
    bump(service)
    service.reconciling = True
    cloud.state.services.put(name, service)
    job = Job(
        parent=parent_of(request),
        target=name,
        metadata=service,
        work=_work(request, template if new_template else None, before),
        give_up=lambda text: cloud.services.give_up(name, text),
        fault=operation_fault(request),
        is_exclusive=False,
    )
    return await answer(request, cloud.operations.start(job))


def _is_same(wanted: Message, before: Message) -> bool:
    """Whether two templates ask for the same revision; one without a name is given one."""
    if wanted.revision not in {"", before.revision}:
        return False
    one, other = wanted, before
    copies = [type(one)(), type(one)()]
    for copy, template in zip(copies, (one, other), strict=True):
        copy.CopyFrom(template)
        copy.revision = ""
    return bool(copies[0] == copies[1])


def _work(
    request: web.Request, template: Message | None, before: Message
) -> Callable[[OperationProgress], Awaitable[Message]]:
    cloud, name, rule = request.app[CLOUD], before.name, rule_of(request)

    async def work(_progress: OperationProgress) -> Message:
        if template is not None:
            labels = dict(cloud.state.services[name].labels)
            named = bool(template.revision)
            revision = cloud.services.declare(
                NewRevision(service=name, template=template, labels=labels, is_named=named)
            )
            fails = _start_fault(operation_fault(request))
            await cloud.services.start(revision, fail=fails)
        half = rule is not None and rule.half_applied
        await cloud.services.apply_traffic(name, reason="services.patch", half=half)
        if rule is not None and rule.stale_tag:
            _leave_tags_behind(cloud, before, rule.stale_tag)
        return _require_service(cloud, name)

    return work


def _start_fault(fault: OperationFault | None) -> str | None:
    """What a start that shall fail says."""
    if fault is None or fault.kind != "start_failed":
        return None
    return fault.message or "This failure was asked for."


def _leave_tags_behind(cloud: EmulatedCloud, before: Message, requests: int) -> None:
    """So many requests to each tag that has moved go where it led before, or where there was none to what served."""
    held = [
        (s.tag, s.percent, cloud.services.status_revision(before, s))
        for s in before.traffic_statuses
    ]
    served = max(held, key=lambda one: one[1])[2]
    led = {tag: revision for tag, _, revision in held if tag}
    routes = cloud.router.routes(before.name)
    for tag, revision in routes.tags.items():
        if led.get(tag, served) != revision:
            routes.stale_tags[tag] = (led.get(tag, served), requests)


def _hold_named_revision(cloud: EmulatedCloud, service: Message, paths: tuple[str, ...]) -> None:
    named = service.template.revision
    if touches(paths, "template") and f"{service.name}/revisions/{named}" in cloud.state.revisions:
        text = f"Revision named '{named}' with different configuration already exists."
        raise ApiError(409, text, status="ALREADY_EXISTS")


def _finished_operation(parent: str, before: Message, service: Message) -> Message:
    operation = operations_pb2.Operation(
        name=f"{parent}/operations/{secrets.token_hex(16)}", done=True
    )
    operation.metadata.Pack(before)
    operation.response.Pack(service)
    return operation


async def list_revisions(request: web.Request) -> web.Response:
    """``revisions.list``, newest first as the platform lists them."""
    cloud, service = request.app[CLOUD], _name_of(request)
    names = cloud.services.revisions_by_age(service)

    def read(name: str, *, as_ints: bool) -> Json | None:
        return _revision_json(cloud, name, as_ints) if name in cloud.state.revisions else None

    listing = Listing(field="revisions", names=names, read=read, is_newest_first=True)
    return await answer_list(request, listing)


def _revision_json(cloud: EmulatedCloud, name: str, as_ints: bool) -> Json:
    """A revision with ``containerStatuses``, which the library does not have yet."""
    revision = cloud.state.revisions[name]
    has_traffic = name in cloud.services.with_traffic(name.rsplit("/", 2)[0])
    found = as_json(with_shown_conditions(revision, has_traffic=has_traffic), enums_as_ints=as_ints)
    short = name.rpartition("/")[2]
    found.setdefault("logUri", f"{cloud.base_url}/_local/revisions/{short}/log")
    running = cloud.state.running_images.get(name)
    if running is not None:
        found["containerStatuses"] = [
            {"name": revision.containers[0].name, "imageDigest": running["image"]}
        ]
    return found


def _revision_of(request: web.Request) -> str:
    return f"{_name_of(request)}/revisions/{request.match_info['revision']}"


async def get_revision(request: web.Request) -> web.Response:
    """``revisions.get``."""
    cloud, name = request.app[CLOUD], _revision_of(request)
    if name not in cloud.state.revisions:
        raise not_found_error(name)
    return web.json_response(_revision_json(cloud, name, wants_numbers(request)))


async def get_v1_revision(request: web.Request) -> web.Response:
    """``revisions.get`` of the API v1, of which only the resolved image is given."""
    short = request.match_info["revision"]
    running = request.app[CLOUD].state.running_images
    found = [name for name in running.names(f"{parent_of(request)}/") if name.endswith(f"/{short}")]
    if not found:
        raise not_found_error(short)
    status = {"imageDigest": running[found[0]]["image"]}
    return web.json_response({"metadata": {"name": short}, "status": status})


async def delete_revision(request: web.Request) -> web.Response:
    """``revisions.delete``: refused while it has traffic or a tag, or is the latest."""
    cloud, name = request.app[CLOUD], _revision_of(request)
    revision = cloud.state.revisions.get(name)
    if revision is None:
        raise not_found_error(name)
    if (given := request.query.get("etag", "")) and given != revision.etag:
        raise ApiError(
            409, f"Conflict for resource '{name}': the etag {given} is not the current one"
        )
    service = cloud.state.services.get(_name_of(request))
    if name in cloud.services.needed_revisions() or (
        service is not None and service.latest_created_revision == name
    ):
        text = f"Revision '{name.rsplit('/', 1)[-1]}' cannot be deleted: it has traffic or a tag, or is the latest"
        raise ApiError(400, text, status="FAILED_PRECONDITION")
    if request.query.get("validateOnly") == "true":
        return await answer(request, _finished_operation(parent_of(request), revision, revision))

    async def work(_progress: OperationProgress) -> Message:
        await cloud.services.delete_revision(name)
        return revision

    job = Job(
        parent=parent_of(request),
        target=name,
        metadata=revision,
        work=work,
        fault=operation_fault(request),
    )
    return await answer(request, cloud.operations.start(job))


def _policy_name(request: web.Request) -> str:
    """Name of the resource whose policy is asked for, which exists.

    Raises:
        ApiError: 404.
    """
    cloud = request.app[CLOUD]
    kind, short = request.match_info["kind"], request.match_info["service"]
    name = f"{parent_of(request)}/{kind}/{short}"
    if name not in (cloud.state.services if kind == "services" else cloud.state.functions):
        raise not_found_error(name)
    return name


async def get_iam_policy(request: web.Request) -> web.Response:
    """``getIamPolicy`` of a service or function."""
    policy = request.app[CLOUD].state.policies.get(_policy_name(request))
    return await answer(
        request, policy if policy is not None else policy_pb2.Policy(version=1, etag=b"ACAB")
    )


async def set_iam_policy(request: web.Request) -> web.Response:
    """``setIamPolicy``; a binding of ``roles/run.invoker`` to ``allUsers`` on the service opens it to everybody."""
    cloud, name = request.app[CLOUD], _policy_name(request)
    given = await read_message(request, iam_policy_pb2.SetIamPolicyRequest)
    bindings = given.policy.bindings
    members = max(len(bindings), sum(len(binding.members) for binding in bindings))
    if members > _MOST_MEMBERS:
        raise ApiError(
            400,
            f"The number of members in the policy ({members}) is larger than the maximum allowed size "
            f"{_MOST_MEMBERS:,}.",
        )
    before = cloud.state.policies.get(name)
    if before is not None and given.policy.etag and given.policy.etag != before.etag:
        raise ApiError(
            409, "There were concurrent policy changes. Please retry the whole read-modify-write."
        )
    policy = policy_pb2.Policy()
    policy.CopyFrom(given.policy)
    policy.version = policy.version or 1
    policy.etag = secrets.token_bytes(6)
    cloud.state.policies.put(name, policy)
    if request.match_info["kind"] == "services":
        cloud.services.policy_changed(name)
    return await answer(request, policy)


async def test_iam_permissions(request: web.Request) -> web.Response:
    """``testIamPermissions``: locally everything is permitted; a fault rule can say otherwise."""
    _policy_name(request)
    given = await read_message(request, iam_policy_pb2.TestIamPermissionsRequest)
    return await answer(
        request, iam_policy_pb2.TestIamPermissionsResponse(permissions=given.permissions)
    )


async def get_operation(request: web.Request) -> web.Response:
    """``operations.get`` of both APIs."""
    name = f"{parent_of(request)}/operations/{request.match_info['operation']}"
    operation = request.app[CLOUD].state.operations.get(name)
    if operation is None:
        raise not_found_error(name)
    return await answer(request, operation)


async def list_operations(request: web.Request) -> web.Response:
    """``operations.list`` of both APIs."""
    state = request.app[CLOUD].state

    def read(name: str, *, as_ints: bool) -> Json | None:
        operation = state.operations.get(name)
        return operation and as_json(operation, enums_as_ints=as_ints)

    names = under(state.operations.names(), parent_of(request), "operations")
    listing = Listing(field="operations", names=names, read=read, is_filtered=True)
    return await answer_list(request, listing)
