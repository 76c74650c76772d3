"""From a source to an image: ``builds:submit`` of Cloud Run v2, ``operations.get`` of Cloud Build v1, that builds."""

from aiohttp import web
from google.cloud import run_v2
from google.protobuf.message import Message

from pytest_deploygate.emulator.api.fault_rules import operation_fault
from pytest_deploygate.emulator.api.functions_v2_api import parent_of
from pytest_deploygate.emulator.api.protobuf_json import ApiError, not_found_error, read_message
from pytest_deploygate.emulator.container import CLOUD
from pytest_deploygate.emulator.runtime.source_builds import BASE_IMAGE, WantedBuild
from pytest_deploygate.system.interpreters import RUNTIMES


def routes() -> list[web.RouteDef]:
    """The calls of both APIs."""
    v1, v2 = (f"/{version}/projects/{{project}}/locations/{{location}}" for version in ("v1", "v2"))
    return [
        web.post(v2 + "/builds:submit", submit_build),
        web.get(v1 + "/operations/{operation:[^/:]+}", get_operation),
    ]


async def submit_build(request: web.Request) -> web.Response:
    """``builds.submit``: buildpacks only; what a Dockerfile says cannot be done without one."""
    cloud = request.app[CLOUD]
    given = await read_message(request, run_v2.SubmitBuildRequest.pb())
    wanted = _read_wanted_build(parent_of(request), given)
    if not cloud.source_builds.is_known(wanted):
        place = f"{wanted.bucket}/{wanted.object}"
        raise ApiError(400, f"storage_source: there is no object {place}")
    operation = cloud.source_builds.start(wanted, operation_fault(request))
    base = {"baseImageUri": f"{BASE_IMAGE}/{wanted.runtime}"}
    return web.json_response({"buildOperation": operation} | base)


def _read_wanted_build(parent: str, given: Message) -> WantedBuild:
    """What a request asks for.

    Raises:
        ApiError: 400, naming the field; 501 for a Dockerfile.
    """
    build, source = given.buildpack_build, given.storage_source
    if given.HasField("docker_build"):
        raise ApiError(501, "docker_build: the emulator builds functions with buildpacks only.")
    problems = []
    runtime = build.runtime or build.base_image.rpartition("/")[2]
    if not given.image_uri:
        problems.append("image_uri: it is needed")
    if runtime not in RUNTIMES:
        problems.append(f"buildpack_build.runtime: {runtime!r} is not one of {', '.join(RUNTIMES)}")
    if not build.function_target.isidentifier():
        problems.append(
            f"buildpack_build.function_target: {build.function_target!r} is not the name of a function"
        )
    if problems:
        raise ApiError(400, "; ".join(problems))
    return WantedBuild(
        parent=parent,
        bucket=source.bucket,
        object=source.object_,
        generation=source.generation,
        image=given.image_uri,
        runtime=runtime,
        entry_point=build.function_target,
        variables=dict(build.environment_variables),
        tags=tuple(given.tags),
    )


async def get_operation(request: web.Request) -> web.Response:
    """``projects.locations.operations.get`` of Cloud Build."""
    name = f"{parent_of(request)}/operations/{request.match_info['operation']}"
    operation = request.app[CLOUD].state.build_operations.get(name)
    if operation is None:
        raise not_found_error(name)
    return web.json_response(operation)
