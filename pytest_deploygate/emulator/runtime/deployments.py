"""Creates, updates and deletes functions: build, revision, start, traffic, each as a stage of the operation.

Every update builds, also one of variables alone (terraform-provider-google #23781), and each build overwrites the tag
that the service's image has. The template of the service is read, changed and written, so that what somebody put there
through Cloud Run comes back. Where the documentation is silent on what a function looks like after a failed update, it
keeps its former configuration and stays ACTIVE, since it goes on serving (``Function.State``: "ACTIVE: Function has
been successfully deployed and is serving").
"""

import logging
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from google.cloud import functions_v2
from google.protobuf import empty_pb2
from google.protobuf.message import Message

from pytest_deploygate.emulator.api.operation_store import (
    INVALID_ARGUMENT,
    Job,
    OperationFailed,
    OperationFault,
    OperationProgress,
    Operations,
)
from pytest_deploygate.emulator.api.protobuf_json import merge
from pytest_deploygate.emulator.runtime.builder import Builder, BuildError, BuildRequest
from pytest_deploygate.emulator.runtime.new_revision import NewRevision
from pytest_deploygate.emulator.runtime.pace import Pace, lasting
from pytest_deploygate.emulator.runtime.platform_fields import (
    fill_service,
    function_url,
    project_number,
)
from pytest_deploygate.emulator.runtime.revisions import (
    image_tag_of,
    push_image,
    service_id,
    template_of,
)
from pytest_deploygate.emulator.runtime.run_services import EmulatedServices
from pytest_deploygate.emulator.runtime.service_status import LATEST
from pytest_deploygate.emulator.storage.source_uploads import Sources
from pytest_deploygate.emulator.storage.state import EmulatorState

logger = logging.getLogger(__name__)

Function = functions_v2.Function.pb()
OperationMetadata = functions_v2.OperationMetadata.pb()
_Stage = functions_v2.Stage
_State = functions_v2.Function.State
_TYPES = {
    "create": functions_v2.OperationType.CREATE_FUNCTION,
    "update": functions_v2.OperationType.UPDATE_FUNCTION,
    "delete": functions_v2.OperationType.DELETE_FUNCTION,
}
_ERROR = functions_v2.StateMessage.Severity.ERROR
_INFO = functions_v2.StateMessage.Severity.INFO
_NOT_ALL = "CloudRunServiceNewRevisionTrafficInfo"
_NOT_ALL_TEXT = "The new revision does not serve 100% of traffic."
"""What the platform says of a deployment that went well beside traffic that is given by name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeployJob:
    """What is to be deployed: the whole function as it shall be."""

    function: Message
    is_new: bool = False
    follow_latest: bool = False


class Deployments:
    """Carries deployments of functions through."""

    def __init__(
        self,
        home: Path,
        state: EmulatorState,
        operations: Operations,
        services: EmulatedServices,
        builder: Builder,
        sources: Sources,
        pace: Pace,
    ) -> None:
        self._home = home
        self._state = state
        self._operations = operations
        self._services = services
        self._builder = builder
        self._sources = sources
        self._pace = pace
        self.base_url = ""

    def fail_interrupted(self) -> None:
        """After a restart: functions that were being deployed are what they were before."""
        for name in self._state.functions.names():
            function = self._state.functions[name]
            if function.state in {_State.DEPLOYING, _State.DELETING}:
                self._fail(name, "The emulator was stopped while this function was being deployed.")

    def deploy(self, wanted: DeployJob, fault: OperationFault | None) -> Message:
        """Begin a deployment; returns its operation."""
        name = wanted.function.name
        shown = wanted.function if wanted.is_new else self._state.functions[name]
        shown.state = _State.DEPLOYING
        del shown.state_messages[:]
        shown.update_time.GetCurrentTime()
        if wanted.is_new:
            shown.create_time.GetCurrentTime()
        self._state.functions.put(name, shown)
        metadata = self._metadata(name, "create" if wanted.is_new else "update")
        for stage in (_Stage.Name.BUILD, _Stage.Name.SERVICE):
            metadata.stages.add(name=stage, state=_Stage.State.NOT_STARTED)
        metadata.request_resource.Pack(wanted.function)

        return self._operations.start(
            Job(
                parent=name.rsplit("/", 2)[0],
                target=name,
                metadata=metadata,
                work=lambda progress: self._deploy(progress, wanted),
                give_up=lambda text: self._fail(name, text),
                fault=fault,
            )
        )

    def delete(self, name: str, fault: OperationFault | None) -> Message:
        """Begin to delete a function with its service, revisions and ports; returns the operation."""
        function = self._state.functions[name]
        function.state = _State.DELETING
        self._state.functions.put(name, function)

        async def work(_progress: OperationProgress) -> Message:
            # a function whose first start failed does not name its service yet, and has one
            parent, _, short = name.rsplit("/", 2)
            service = f"{parent}/services/{service_id(short)}"
            known = self._state.services.get(service)
            if known is not None and known.labels.get("goog-managed-by") == "cloudfunctions":
                await self._services.delete(service)
            self._state.functions.delete(name)
            return empty_pb2.Empty()

        metadata = self._metadata(name, "delete")
        return self._operations.start(
            Job(
                parent=name.rsplit("/", 2)[0],
                target=name,
                metadata=metadata,
                work=work,
                give_up=lambda text: self._fail(name, text),
                fault=fault,
            )
        )

    def _metadata(self, name: str, verb: str) -> Message:
        metadata = OperationMetadata(target=name, verb=verb, api_version="v2")
        metadata.operation_type = _TYPES[verb]
        metadata.source_token = secrets.token_urlsafe(12)
        metadata.create_time.GetCurrentTime()
        return metadata

    async def _deploy(self, progress: OperationProgress, wanted: DeployJob) -> Message:
        function = Function()
        function.CopyFrom(wanted.function)
        parent = function.name.rsplit("/", 2)[0]
        service = f"{parent}/services/{service_id(function.name.rsplit('/', 1)[-1])}"
        await self._build(progress, function)
        stage = _stage(progress.metadata, _Stage.Name.SERVICE)
        stage.state = _Stage.State.IN_PROGRESS
        stage.resource = service
        progress.publish()
        revision = await self._declare(function, service, follow_latest=wanted.follow_latest)
        fails = progress.fault is not None and progress.fault.kind == "start_failed"
        try:
            await self._services.start(revision, fail=_fault_text(progress) if fails else None)
        except OperationFailed as error:
            short = service.rsplit("/", 1)[-1]
            text = f"Could not create or update Cloud Run service {short}, Container Healthcheck failed."
            text = f"{text} {error.message}"
            raise OperationFailed(error.code, text) from error
        stage.state = _Stage.State.COMPLETE
        if not follows_latest(self._state.services[service]):
            stage.state_messages.add(severity=_INFO, type_=_NOT_ALL, message=_NOT_ALL_TEXT)
        self._describe(function, service, revision)
        progress.metadata.end_time.GetCurrentTime()
        with self._state.transaction():
            self._state.functions.put(function.name, function)
            progress.publish()
        return function

    async def _build(self, progress: OperationProgress, function: Message) -> None:
        """Build the source that ``function`` names, and write down in it where it came from."""
        config = function.build_config
        source = config.source.storage_source
        digest = self._sources.digest(source.bucket, source.object_, source.generation)
        stage = _stage(progress.metadata, _Stage.Name.BUILD)
        run = secrets.token_hex(8)
        log_url = f"{self.base_url}/_local/builds/{run}/log"
        parent = function.name.rsplit("/", 2)[0]
        config.build = f"{_with_project_number(parent)}/builds/{run}"
        stage.state = _Stage.State.IN_PROGRESS
        stage.resource, stage.resource_uri = config.build, log_url
        progress.metadata.build_name = config.build
        progress.publish()
        log = self._home / "logs" / f"build-{run}.log"
        try:
            async with lasting(self._pace.build_s):
                if digest is None or (
                    progress.fault is not None and progress.fault.kind == "build_failed"
                ):
                    text = f"The source object {source.bucket}/{source.object_} does not exist."
                    _refuse_build(log, text if digest is None else _fault_text(progress))
                request = _request_of(config, self._sources.path(digest))
                build = await self._builder.build(request, log)
        except BuildError as error:
            text = f"Build failed with status: FAILURE and message: {error}."
            text = f"{text} For more details see the logs at {log_url}."
            raise OperationFailed(INVALID_ARGUMENT, text) from error
        stage.state, stage.message = _Stage.State.COMPLETE, build.message
        # gcloud ends with an error where this stage is there at once
        progress.metadata.stages.insert(
            0, _Stage.pb(_Stage(name=_Stage.Name.ARTIFACT_REGISTRY, state=_Stage.State.COMPLETE))
        )
        self._keep_source(function, digest, parent)
        with self._state.transaction():
            push_image(self._state, image_tag_of(function.name), build)
            progress.publish()

    def _keep_source(self, function: Message, digest: str, parent: str) -> None:
        """Let the function's own source object lead to what was built."""
        config = function.build_config
        _, project, _, location = parent.split("/")
        resolved = config.source_provenance.resolved_storage_source
        resolved.bucket = f"gcf-v2-sources-{project_number(project)}-{location}"
        resolved.object_ = f"{function.name.rsplit('/', 1)[-1]}/function-source.zip"
        resolved.generation = self._sources.link(resolved.bucket, resolved.object_, digest)
        config.source.storage_source.CopyFrom(resolved)
        config.docker_repository = f"{parent}/repositories/gcf-artifacts"

    async def _declare(self, function: Message, service: str, *, follow_latest: bool) -> str:
        template = template_of(function, image_tag_of(function.name))
        before = self._state.functions[function.name]
        known = self._state.services.get(service)
        if known is not None:
            merge(known.template, template, ("annotations", "vpc_access", "execution_environment"))
        foreign = dict(known.labels) if known is not None else {}
        for name in before.labels:
            foreign.pop(name, None)
        labels = foreign | dict(function.labels)
        wanted = NewRevision(
            service=service,
            template=template,
            labels=labels,
            follow_latest=follow_latest,
            describe=lambda made: fill_service(made, function),
            is_named=True,
        )
        return (
            await self._services.create(wanted) if known is None else self._services.declare(wanted)
        )

    def _describe(self, function: Message, service: str, revision: str) -> None:
        """Fill in what the platform says about a deployed function."""
        found = self._state.services[service]
        config = function.service_config
        config.service, config.uri = service, found.uri
        config.revision = revision.rsplit("/", 1)[-1]
        function.url = function_url(found.uri)
        config.all_traffic_on_latest_revision = follows_latest(found)
        function.state = _State.ACTIVE
        del function.state_messages[:]
        function.update_time.GetCurrentTime()

    def _fail(self, name: str, text: str) -> None:
        function = self._state.functions[name]
        serves = function.service_config.service in self._state.services
        function.state = _State.ACTIVE if serves else _State.FAILED
        del function.state_messages[:]
        function.state_messages.add(severity=_ERROR, type_="CloudRunServiceNotReady", message=text)
        self._state.functions.put(name, function)


def _request_of(config: Message, archive: Path) -> BuildRequest:
    return BuildRequest(
        archive=archive,
        runtime=config.runtime,
        entry_point=config.entry_point,
        variables=dict(config.environment_variables),
    )


def _refuse_build(log: Path, text: str) -> NoReturn:
    log.parent.mkdir(parents=True, exist_ok=True)
    log.write_text(f"{text}\n", encoding="utf-8")
    raise BuildError(text)


def follows_latest(service: Message) -> bool:
    """Whether all traffic of a service goes to its latest ready revision."""
    return any(target.type_ == LATEST and target.percent == 100 for target in service.traffic)


def _with_project_number(parent: str) -> str:
    """``parent`` with the project's number, as builds are named."""
    _, project, rest = parent.split("/", 2)
    return f"projects/{project_number(project)}/{rest}"


def _stage(metadata: Message, name: int) -> Message:
    return next(stage for stage in metadata.stages if stage.name == name)


def _fault_text(progress: OperationProgress) -> str:
    assert progress.fault is not None
    return progress.fault.message or "This failure was asked for."
