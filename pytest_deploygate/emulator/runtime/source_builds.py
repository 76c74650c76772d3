"""Builds of sources into images, as Cloud Build carries them out for ``builds:submit`` of Cloud Run.

A build makes an image and nothing else: no service changes by it. Its operation is Cloud Build's, whose messages no
library here has, so it is kept as JSON.
"""

import asyncio
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from pytest_deploygate.emulator.api.operation_store import OperationFault
from pytest_deploygate.emulator.runtime.builder import Builder, BuildError, BuildRequest
from pytest_deploygate.emulator.runtime.pace import Pace, lasting
from pytest_deploygate.emulator.runtime.revisions import push_image, with_tag
from pytest_deploygate.emulator.storage.source_uploads import Sources
from pytest_deploygate.emulator.storage.state import EmulatorState

_CLOUD_BUILD = "type.googleapis.com/google.devtools.cloudbuild.v1"
_FAILED_PRECONDITION = 9
BASE_IMAGE = "us-central1-docker.pkg.dev/serverless-runtimes/google-22/runtimes"
"""Where the platform keeps the images of its runtimes."""

Json = dict[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class WantedBuild:
    """What is to be built: of which object, into which image."""

    parent: str
    """``projects/P/locations/L``."""
    bucket: str
    object: str
    generation: int
    image: str
    runtime: str
    entry_point: str
    variables: Mapping[str, str]
    tags: tuple[str, ...] = ()


class SourceBuilds:
    """Carries builds out, each in a task of its own; the log of each is at ``base_url``."""

    def __init__(
        self, home: Path, state: EmulatorState, builder: Builder, sources: Sources, pace: Pace
    ) -> None:
        self._home = home
        self._state = state
        self._builder = builder
        self._sources = sources
        self._pace = pace
        self._tasks: set[asyncio.Task[None]] = set()
        self.base_url = ""

    def fail_interrupted(self) -> None:
        """End what was being built when the process died."""
        for name in self._state.build_operations.names():
            operation = self._state.build_operations[name]
            if not operation.get("done"):
                build = _build_of(operation)
                self._fail(name, build, "The emulator was stopped while this build was running.")

    def is_known(self, wanted: WantedBuild) -> bool:
        """Whether the object that is to be built exists."""
        found = self._sources.digest(wanted.bucket, wanted.object, wanted.generation)
        return found is not None

    def start(self, wanted: WantedBuild, fault: OperationFault | None) -> Json:
        """Begin a build; returns its operation."""
        build_id = secrets.token_hex(8)
        build: Json = {
            "id": build_id,
            "name": f"{wanted.parent}/builds/{build_id}",
            "projectId": wanted.parent.split("/")[1],
            "status": "WORKING",
            "createTime": _now(),
            "startTime": _now(),
            "logUrl": f"{self.base_url}/_local/builds/{build_id}/log",
            "images": [wanted.image],
            "tags": list(wanted.tags),
        }
        name = f"{wanted.parent}/operations/{secrets.token_hex(16)}"
        operation = self._keep(name, build)
        task = asyncio.create_task(self._run(name, build, wanted, fault))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return operation

    async def close(self) -> None:
        """Stop all builds; they are settled at the next start."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _run(
        self, name: str, build: Json, wanted: WantedBuild, fault: OperationFault | None
    ) -> None:
        await asyncio.sleep(fault.slow_s if fault is not None else 0.0)
        if fault is not None and fault.kind == "never_done":
            return
        try:
            async with lasting(self._pace.build_s):
                digest = await self._build(str(build["id"]), wanted, fault)
        except BuildError as error:
            self._fail(name, build, str(error))
            return
        image: Json = {"name": wanted.image, "digest": digest}
        results: Json = {"results": {"images": [image]}, "status": "SUCCESS", "finishTime": _now()}
        self._keep(name, {**build, **results}, is_done=True)

    async def _build(self, build_id: str, wanted: WantedBuild, fault: OperationFault | None) -> str:
        if fault is not None and fault.kind == "build_failed":
            raise BuildError(fault.message or "This failure was asked for.")
        digest = self._sources.digest(wanted.bucket, wanted.object, wanted.generation)
        if digest is None:
            raise BuildError(f"The object {wanted.bucket}/{wanted.object} does not exist.")
        request = BuildRequest(
            archive=self._sources.path(digest),
            runtime=wanted.runtime,
            entry_point=wanted.entry_point,
            variables=dict(wanted.variables),
        )
        log = self._home / "logs" / f"build-{build_id}.log"
        built = await self._builder.build(request, log)
        with self._state.transaction():
            return push_image(self._state, with_tag(wanted.image), built)

    def _fail(self, name: str, build: Json, text: str) -> None:
        failed: Json = {
            "status": "FAILURE",
            "statusDetail": text,
            "failureInfo": {"type": "USER_BUILD_STEP", "detail": text},
            "finishTime": _now(),
        }
        error: Json = {"code": _FAILED_PRECONDITION, "message": f"Build failed: {text}"}
        self._keep(name, {**build, **failed}, error=error)

    def _keep(
        self, name: str, build: Json, *, is_done: bool = False, error: Json | None = None
    ) -> Json:
        kind = f"{_CLOUD_BUILD}.BuildOperationMetadata"
        operation: Json = {"name": name, "metadata": {"@type": kind, "build": build}}
        if error is not None:
            operation |= {"done": True, "error": error}
        elif is_done:
            operation |= {"done": True, "response": {"@type": f"{_CLOUD_BUILD}.Build", **build}}
        self._state.build_operations.put(name, operation)
        return operation


def _build_of(operation: Json) -> Json:
    metadata = operation["metadata"]
    assert isinstance(metadata, dict)
    build: Json = metadata["build"]
    return build


def _now() -> str:
    return datetime.now(UTC).isoformat().replace("+00:00", "Z")
