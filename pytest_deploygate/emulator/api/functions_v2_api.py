"""The Cloud Functions v2 admin API: those calls that a deployer makes.

Checked against the discovery document ``cloudfunctions.v2``; answers are the official messages.
"""

import re
from collections.abc import Iterator

from aiohttp import web
from google.cloud import functions_v2
from google.protobuf.message import Message

from pytest_deploygate.core.service_limits import ServiceLimits, cpus_of, limit_problems
from pytest_deploygate.emulator.api.fault_rules import operation_fault
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
)
from pytest_deploygate.emulator.api.template_checks import variable_problems
from pytest_deploygate.emulator.container import CLOUD, EmulatedCloud
from pytest_deploygate.emulator.runtime.deployments import DeployJob, follows_latest
from pytest_deploygate.emulator.runtime.platform_fields import (
    FUNCTION_TARGET,
    derived_cpu,
    fill_function,
    function_url,
)
from pytest_deploygate.emulator.runtime.revisions import memory_limit
from pytest_deploygate.system.interpreters import RUNTIMES

Function = functions_v2.Function.pb()
_Environment = functions_v2.Environment
_FUNCTION_ID = re.compile(r"[a-z]([-_a-z0-9]{0,61}[a-z0-9])?")
_LABEL = re.compile(r"[a-z0-9_-]{0,63}")
_MOST_LABELS = 64
"""Of one resource (Resource Manager, "Requirements for labels")."""
_SETTABLE = ("description", "build_config", "service_config", "labels", "kms_key_name")
_SOURCE = "build_config.source.storage_source"
MAX_TIMEOUT_S = 3600
_OUTPUT_ONLY = (
    "build_config.build", "build_config.source_provenance", "service_config.service", "service_config.uri",
    "service_config.revision", "service_config.all_traffic_on_latest_revision", "state", "state_messages", "url",
    "update_time", "create_time",
)  # fmt: skip


def routes() -> list[web.RouteDef]:
    """All calls of this API but operations, which both APIs share."""
    base = "/v2/projects/{project}/locations/{location}"
    one = base + "/functions/{function:[^/:]+}"
    return [
        web.get(base + "/functions", list_functions),
        web.post(base + "/functions", create_function),
        web.post(base + "/functions:generateUploadUrl", generate_upload_url),
        web.get(base + "/runtimes", list_runtimes),
        web.get(one, get_function),
        web.patch(one, update_function),
        web.delete(one, delete_function),
        web.post(one + ":generateDownloadUrl", generate_download_url),
    ]


def parent_of(request: web.Request) -> str:
    """``projects/P/locations/L`` of the request."""
    return f"projects/{request.match_info['project']}/locations/{request.match_info['location']}"


def _name_of(request: web.Request) -> str:
    return f"{parent_of(request)}/functions/{request.match_info['function']}"


def _require_function(cloud: EmulatedCloud, name: str) -> Message:
    function = cloud.state.functions.get(name)
    if function is None:
        raise not_found_error(name)
    return function


def _hold_free(cloud: EmulatedCloud, name: str) -> None:
    if cloud.operations.is_busy(name):
        raise ApiError(
            409, f"unable to queue the operation: another operation on {name} is in progress"
        )


def _describe(cloud: EmulatedCloud, function: Message) -> Message:
    """``function`` with what the service says now."""
    service = cloud.state.services.get(function.service_config.service)
    if service is not None:
        function.service_config.uri = service.uri
        function.url = function_url(service.uri)
        _read_variables(function, service)
        function.service_config.all_traffic_on_latest_revision = follows_latest(service)
    return function


def _read_variables(function: Message, service: Message) -> None:
    """Show the variables that the service's template has, whoever put them there."""
    variables = function.service_config.environment_variables
    hidden = {FUNCTION_TARGET} - set(variables)  # the platform's own, unless the user set it, too
    variables.clear()
    for container in service.template.containers[:1]:
        env = (v for v in container.env if v.name not in hidden)
        plain = [v for v in env if not v.HasField("value_source")]
        variables.update({variable.name: variable.value for variable in plain})


async def get_function(request: web.Request) -> web.Response:
    """``functions.get``."""
    cloud = request.app[CLOUD]
    return await answer(request, _describe(cloud, _require_function(cloud, _name_of(request))))


async def list_functions(request: web.Request) -> web.Response:
    """``functions.list``."""
    cloud = request.app[CLOUD]

    def read(name: str, *, as_ints: bool) -> Json | None:
        function = cloud.state.functions.get(name)
        return function and as_json(_describe(cloud, function), enums_as_ints=as_ints)

    names = under(cloud.state.functions.names(), parent_of(request), "functions")
    listing = Listing(field="functions", names=names, read=read, is_filtered=True, is_ordered=True)
    return await answer_list(request, listing)


async def list_runtimes(request: web.Request) -> web.Response:
    """``runtimes.list``."""
    found = functions_v2.ListRuntimesResponse.pb()()
    for name in RUNTIMES:
        runtime = found.runtimes.add(name=name, display_name=f"Python 3.{name[7:]}")
        runtime.environment = _Environment.GEN_2
        runtime.stage = functions_v2.ListRuntimesResponse.RuntimeStage.GA
    return await answer(request, found)


async def generate_upload_url(request: web.Request) -> web.Response:
    """``functions.generateUploadUrl``."""
    cloud = request.app[CLOUD]
    await read_message(request, functions_v2.GenerateUploadUrlRequest.pb())
    bucket = f"gcf-v2-uploads-{request.match_info['project']}-{request.match_info['location']}"
    url, name = cloud.sources.upload_url(cloud.base_url, bucket)
    found = functions_v2.GenerateUploadUrlResponse.pb()(upload_url=url)
    found.storage_source.bucket, found.storage_source.object_ = bucket, name
    return await answer(request, found)


async def generate_download_url(request: web.Request) -> web.Response:
    """``functions.generateDownloadUrl``: the source of the function as it was deployed last."""
    cloud = request.app[CLOUD]
    await read_message(request, functions_v2.GenerateDownloadUrlRequest.pb())
    function = _require_function(cloud, _name_of(request))
    source = function.build_config.source_provenance.resolved_storage_source
    if not source.bucket:
        raise not_found_error(f"source of {function.name}")
    url = cloud.sources.sign(cloud.base_url, "GET", source.bucket, source.object_)
    return await answer(request, functions_v2.GenerateDownloadUrlResponse.pb()(download_url=url))


async def create_function(request: web.Request) -> web.Response:
    """``functions.create``: private until somebody binds the invoker role."""
    cloud = request.app[CLOUD]
    function = await read_message(request, Function)
    short = request.query.get("functionId", "")
    if not _FUNCTION_ID.fullmatch(short):
        raise ApiError(
            400,
            f"Invalid function id {short!r}: lower-case letters, digits, '-' and '_', at most 63",
        )
    function.name = f"{parent_of(request)}/functions/{short}"
    _hold_free(cloud, function.name)
    if function.name in cloud.state.functions:
        raise ApiError(409, f"Resource '{function.name}' already exists", status="ALREADY_EXISTS")
    _clear_output(function)
    _fill_defaults(function)
    _validate(cloud, function)
    wanted = DeployJob(function=function, is_new=True)
    return await answer(request, cloud.deployments.deploy(wanted, operation_fault(request)))


async def update_function(request: web.Request) -> web.Response:
    """``functions.patch``: exactly the masked fields change; without a mask all that can be set."""
    cloud = request.app[CLOUD]
    name = _name_of(request)
    given = await read_message(request, Function)
    paths = read_mask(request, given) or _SETTABLE
    before = _describe(cloud, _require_function(cloud, name))
    _hold_free(cloud, name)
    function = Function()
    function.CopyFrom(before)
    merge(given, function, paths)
    if touches(paths, _SOURCE) and not touches(paths, f"{_SOURCE}.generation"):
        function.build_config.source.storage_source.generation = 0  # it was that of another object
    function.name = name
    merge(before, function, _OUTPUT_ONLY)
    _forget_derived_cpu(before, given, function)
    _fill_defaults(function)
    _validate(cloud, function)
    masked = touches(paths, "service_config.all_traffic_on_latest_revision")
    follow = masked and given.service_config.all_traffic_on_latest_revision
    wanted = DeployJob(function=function, follow_latest=follow)
    return await answer(request, cloud.deployments.deploy(wanted, operation_fault(request)))


async def delete_function(request: web.Request) -> web.Response:
    """``functions.delete``: with its service, all revisions, ports and policy."""
    cloud = request.app[CLOUD]
    name = _name_of(request)
    _require_function(cloud, name)
    _hold_free(cloud, name)
    return await answer(request, cloud.deployments.delete(name, operation_fault(request)))


def _clear_output(function: Message) -> None:
    merge(
        Function(),
        function,
        _OUTPUT_ONLY,
    )


def _forget_derived_cpu(before: Message, given: Message, function: Message) -> None:
    """CPUs that went with the memory before go with the memory of now, unless some are asked for."""
    known = before.service_config
    if not given.service_config.available_cpu and known.available_cpu == derived_cpu(
        known.available_memory or "256M"
    ):
        function.service_config.available_cpu = ""


def _fill_defaults(function: Message) -> None:
    """What the platform fills in for what was left out (``ServiceConfig`` reference)."""
    config = function.service_config
    function.environment = function.environment or _Environment.GEN_2
    config.timeout_seconds = config.timeout_seconds or 60
    config.available_memory = config.available_memory or "256M"
    config.max_instance_request_concurrency = config.max_instance_request_concurrency or 1
    config.max_instance_count = config.max_instance_count or 100
    ingress = functions_v2.ServiceConfig.IngressSettings
    config.ingress_settings = config.ingress_settings or ingress.ALLOW_ALL
    fill_function(function)


def _validate(cloud: EmulatedCloud, function: Message) -> None:
    """Refuse what the platform refuses, and what cannot be had locally.

    Raises:
        ApiError: 400, naming the field.
    """
    found = [
        *_problems(function),
        *_service_problems(function.service_config),
        *_variable_problems(function.service_config),
    ]
    source = function.build_config.source.storage_source
    if cloud.sources.digest(source.bucket, source.object_, source.generation) is None:
        found.append(f"build_config.source: there is no object {source.bucket}/{source.object_}")
    if found:
        raise ApiError(400, "; ".join(found))


def _problems(function: Message) -> Iterator[str]:
    build = function.build_config
    if function.environment != _Environment.GEN_2:
        yield "environment: only GEN_2 is supported"
    if build.runtime not in RUNTIMES:
        yield f"build_config.runtime: {build.runtime!r} is not one of {', '.join(RUNTIMES)}"
    if not build.entry_point.isidentifier():
        yield f"build_config.entry_point: {build.entry_point!r} is not the name of a function"
    if function.HasField("event_trigger") or function.service_config.secret_volumes:
        yield "event_trigger and secret_volumes: the emulator does not have them"
    if len(function.labels) > _MOST_LABELS:
        yield f"labels: there are {len(function.labels)}, more than {_MOST_LABELS}"
        return
    for key, value in function.labels.items():
        if not _is_label(key, value):
            yield f"labels: {key}={value} is not a label"


def _service_problems(config: Message) -> Iterator[str]:
    if not 0 < config.timeout_seconds <= MAX_TIMEOUT_S:
        yield f"service_config.timeout_seconds: {config.timeout_seconds} is not from 1 to {MAX_TIMEOUT_S}"
    try:
        limits = _limits_of(config)
    except ValueError as error:
        yield f"service_config.available_memory: {error}"
    else:
        yield from (f"service_config: {found}" for found in limit_problems(limits))


def _variable_problems(config: Message) -> Iterator[str]:
    variables = [
        *config.environment_variables.items(),
        *((secret.key, "") for secret in config.secret_environment_variables),
    ]
    for problem in variable_problems(variables):
        yield f"service_config.environment_variables: {problem}"


def _limits_of(config: Message) -> ServiceLimits:
    return ServiceLimits(
        memory_mib=memory_limit(config.available_memory).mib,
        cpu=cpus_of(config.available_cpu),
        concurrency=config.max_instance_request_concurrency,
        min_instances=config.min_instance_count,
        max_instances=config.max_instance_count,
        variables=dict(config.environment_variables),
    )


def _is_label(key: str, value: str) -> bool:
    return bool(key) and key[0].isalpha() and all(_LABEL.fullmatch(part) for part in (key, value))
