"""Images for Cloud Run: built of a source (``builds:submit``), and what Artifact Registry knows of them.

A build makes an image and nothing else, so one whose answer was lost is begun once more: only the digest that is
deployed counts.
"""

import re
from collections.abc import Callable
from typing import Final, NamedTuple

from google.cloud import run_v2

from pytest_deploygate.core.errors import (
    BuildFailed,
    OutcomeUnknown,
    TargetError,
    TargetRefused,
    TargetUnavailable,
)
from pytest_deploygate.core.function_spec import FunctionSpec
from pytest_deploygate.core.redaction import strip_queries
from pytest_deploygate.system.retry import Backoff, attempts
from pytest_deploygate.targets.api_caller import ApiCaller
from pytest_deploygate.targets.clients import Clients
from pytest_deploygate.targets.container_images import digest_in
from pytest_deploygate.targets.json_api import Json
from pytest_deploygate.targets.run_template import BuildSource

REPOSITORY: Final = "cloud-run-source-deploy"
"""Repository of Artifact Registry that gcloud makes for what it builds of sources."""
_ATTEMPTS: Final = 3
_AGAIN: Final = Backoff(first_s=0.5)
_POLL: Final = Backoff(first_s=0.05, factor=1.5, longest_s=2.0)
_REGISTRY_HOST: Final = re.compile(r"([a-z0-9-]+)-docker\.pkg\.dev")
_ENDED_BADLY: Final = frozenset(
    ("FAILURE", "INTERNAL_ERROR", "TIMEOUT", "CANCELLED", "EXPIRED", "STATUS_UNKNOWN")
)


class StartedBuild(NamedTuple):
    """A build that goes on at Cloud Build; ``base_image`` is what the platform can replace below it."""

    operation: str
    base_image: str = ""


class ImageBuilder(NamedTuple):
    """Who builds, and whether the platform may replace the base image of what was built."""

    service_account: str = ""
    """Full name; empty for the project's own."""
    worker_pool: str = ""
    is_automatic: bool = False

    def to_fields(self) -> Json:
        """As a build, and a service, have them; nothing where the platform chooses."""
        named = {"serviceAccount": self.service_account, "workerPool": self.worker_pool}
        return {key: value for key, value in named.items() if value}


def builder_of(spec: FunctionSpec, service: run_v2.Service | None) -> ImageBuilder:
    """The builder that ``spec`` names; what it does not name is as for the build before."""
    before = service.build_config if service is not None else run_v2.BuildConfig()
    updates = spec.base_image_updates
    return ImageBuilder(
        service_account=spec.build_account or before.service_account,
        worker_pool=spec.build_worker_pool or before.worker_pool,
        is_automatic=updates == "automatic" if updates else before.enable_automatic_updates,
    )


class ImageBuilds:
    """Calls about images, for one function."""

    def __init__(self, clients: Clients, caller: ApiCaller, spec: FunctionSpec) -> None:
        self._caller = caller
        self._spec = spec
        self._run = clients.json_api("run", "v2", caller)
        self._builds = clients.json_api("cloudbuild", "v1", caller)
        self._registry = clients.json_api("artifactregistry", "v1", caller)
        self._parent = f"projects/{spec.project}/locations/{spec.region}"

    def image_of(self) -> str:
        """The image that builds of the function make, without a tag."""
        spec = self._spec
        slug = spec.function.lower().replace("_", "-")
        if spec.docker_repository:
            parts = spec.docker_repository.split("/")
            return f"{parts[3]}-docker.pkg.dev/{parts[1]}/{parts[5]}/{slug}"
        return f"{spec.region}-docker.pkg.dev/{spec.project}/{REPOSITORY}/{slug}"

    def submit(self, source: BuildSource, builder: ImageBuilder) -> StartedBuild:
        """Begin a build of ``source`` by ``builder``; not awaited.

        Raises:
            TargetError: it was not taken.
        """
        buildpack: Json = {
            "runtime": source.runtime,
            "functionTarget": source.entry_point,
            "environmentVariables": dict(source.variables),
        }
        if builder.is_automatic:
            buildpack["enableAutomaticUpdates"] = True
        body: Json = {
            "storageSource": {
                "bucket": source.bucket,
                "object": source.object,
                "generation": source.generation,
            },
            "imageUri": self.image_of(),
            "buildpackBuild": buildpack,
            "client": "pytest-deploygate",
            **builder.to_fields(),
        }
        failed: TargetError | None = None
        for _ in attempts(self._caller.clock, _AGAIN, most=_ATTEMPTS):
            try:
                found = self._run.write(
                    "submitting the build", "POST", f"{self._parent}/builds:submit", body=body
                )
            except OutcomeUnknown as error:
                failed = error
                continue
            operation = str((found.get("buildOperation") or {}).get("name", ""))
            if operation:
                return StartedBuild(operation, str(found.get("baseImageUri", "")))
            failed = OutcomeUnknown("submitting the build: the platform named no operation")
        raise TargetUnavailable(
            failed.message if failed is not None else "the build was not submitted",
            hint="nothing was deployed; try again",
        )

    def await_image(
        self, operation: str, *, progress: Callable[[str], None], budget_s: float
    ) -> str:
        """The image that a build made, by digest; polled at Cloud Build.

        Raises:
            BuildFailed: it ended in an error.
            OutcomeUnknown: it has not ended within ``budget_s``, or nobody knows it any more.
        """
        clock, problem, is_told = self._caller.clock, "", False
        for _ in attempts(clock, _POLL, deadline=clock.monotonic() + budget_s):
            try:
                found = self._builds.get("reading the state of the build", operation)
            except TargetUnavailable as error:
                problem = f" (last status request failed: {error.message})"
                continue
            if found is None:
                raise OutcomeUnknown(
                    f"the platform no longer knows the build {operation}",
                    hint="nothing was deployed; deploy again",
                )
            build = (found.get("metadata") or {}).get("build") or {}
            if not is_told:
                is_told = True
                link = f" ({build['logUrl']})" if build.get("logUrl") else ""
                progress(f"build: under way{link}")
            if "error" in found or build.get("status") in _ENDED_BADLY:
                raise _build_failure(found, build)
            if found.get("done"):
                progress("build: done")
                return self._built_image(found, build)
        raise OutcomeUnknown(
            f"the build still runs after {max(budget_s, 0):g} s{problem}",
            hint="nothing was deployed, and nothing will be",
        )

    def _built_image(self, found: Json, build: Json) -> str:
        result = found.get("response") or build
        images = (result.get("results") or {}).get("images") or []
        digest = digest_in(images[0].get("digest", "")) if images else ""
        if not digest:
            raise TargetRefused(
                "the build succeeded and does not say which image it made",
                hint="nothing was deployed; a tag is no identity",
            )
        return f"{self.image_of()}@{digest}"

    # -- images that exist -----------------------------------------------------------------------

    def pin(self, image: str) -> str:
        """``image`` by digest: a tag is resolved to what it leads to now.

        Raises:
            TargetRefused: it cannot be resolved.
        """
        repository, tag = _without_tag(image.partition("@")[0])
        if digest := digest_in(image):
            return f"{repository}@{digest}"
        package = _package(repository)
        if package is None:
            raise TargetRefused(
                f"the image {image} is named by a tag that cannot be resolved: its registry is not Artifact Registry",
                hint=f'name it by digest: image = "{repository}@sha256:..."',
            )
        found = self._registry.get(f"reading the tag of {image}", f"{package}/tags/{tag}")
        digest = digest_in((found or {}).get("version", ""))
        if not digest:
            raise TargetRefused(
                f"the image {image} is named by a tag that leads nowhere",
                hint="push it, or name another one: gcloud artifacts docker images list "
                f"{repository} --include-tags",
            )
        return f"{repository}@{digest}"

    def is_gone(self, image: str) -> bool:
        """Whether Artifact Registry certainly has no image of that digest any more."""
        package = _package(image.partition("@")[0])
        if package is None:
            return False
        try:
            name = f"{package}/versions/{digest_in(image)}"
            return self._registry.get(f"looking for {image}", name) is None
        except TargetError:
            return False


def _without_tag(image: str) -> tuple[str, str]:
    repository, _, tag = image.rpartition(":")
    return (repository, tag) if repository and "/" not in tag else (image, "latest")


def _package(repository: str) -> str | None:
    """The package of Artifact Registry that an image is, or None if it is kept elsewhere."""
    host, *parts = repository.split("/")
    location = _REGISTRY_HOST.fullmatch(host)
    if location is None or len(parts) < 3:
        return None
    project, name, *package = parts
    quoted = "%2F".join(package)
    return f"projects/{project}/locations/{location[1]}/repositories/{name}/packages/{quoted}"


def _build_failure(found: Json, build: Json) -> BuildFailed:
    said = str((found.get("error") or {}).get("message", ""))
    detail = str(
        (build.get("failureInfo") or {}).get("detail", "") or build.get("statusDetail", "")
    )
    text = strip_queries("\n".join(filter(None, [said, "" if detail in said else detail])))
    log_url = str(build.get("logUrl", ""))
    see = f" The log: {log_url}" if log_url else ""
    return BuildFailed(
        f"the build failed: {text or build.get('status', 'it does not say why')}",
        hint=f"nothing new was deployed. Correct the source or its requirements.{see}",
        log_url=log_url,
    )
