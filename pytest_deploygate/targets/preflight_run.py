"""Everything that can be found wrong with a deployment to Cloud Run without changing anything."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from google.cloud import run_v2

from pytest_deploygate.core.errors import DeployGateError, TargetError
from pytest_deploygate.core.function_spec import FunctionSpec
from pytest_deploygate.core.preflight import PreflightFinding
from pytest_deploygate.core.service_limits import ServiceLimits, cpus_of, limit_problems
from pytest_deploygate.core.units import Memory
from pytest_deploygate.targets import converters
from pytest_deploygate.targets.image_builds import ImageBuilds
from pytest_deploygate.targets.json_api import Json, JsonApi
from pytest_deploygate.targets.preflight_findings import ask, blocking_finding, note, wrong_setting
from pytest_deploygate.targets.preflight_project import ProjectPreflight
from pytest_deploygate.targets.preflight_service import ServicePreflight
from pytest_deploygate.targets.preflight_settings import settings_problems
from pytest_deploygate.targets.run_template import KEPT_VARIABLES

APIS: Final = ("run.googleapis.com", "cloudbuild.googleapis.com", "artifactregistry.googleapis.com")
"""APIs without which nothing can be deployed to Cloud Run."""
_OF_FUNCTIONS: Final = ("goog-managed-by", "cloudfunctions")
"""Label of a service that a function of Cloud Functions has; it is empty after a detach."""
_SET_BY_IMAGE: Final = ("FUNCTION_TARGET", "FUNCTION_SIGNATURE_TYPE")


@dataclass(frozen=True, slots=True, kw_only=True)
class RunPreflight:
    """What is asked about a service, its project and its image; ``run_api`` is that of Cloud Run in JSON."""

    spec: FunctionSpec
    run_api: JsonApi
    builds: ImageBuilds
    on_project: ProjectPreflight
    on_service: ServicePreflight

    def run(self) -> tuple[PreflightFinding, ...]:
        """All findings, the blocking ones first; ends early when the platform cannot even be asked."""
        found = [*settings_problems(self.spec), *self._places(), *self._secret_folders()]
        name = self.on_service.services.name_of(self.spec)
        try:
            service = self.on_service.services.get(name)
        except DeployGateError as error:
            found.append(blocking_finding(error.message, error.hint))
            return tuple(found)
        found += self.on_project.apis()
        found += ask(self._image)
        found += ask(self.on_project.secret_versions)
        known = service.template.service_account if service is not None else ""
        found += ask(lambda: self.on_project.account(self.spec.service_account or known))
        if service is None:
            found += ask(lambda: self._template(run_v2.RevisionTemplate()))
            found += ask(lambda: self.on_service.ingress(None))
            found += ask(self._job)
            found += ask(self._other_regions)
        else:
            found += ask(lambda: self._origin(service))
            found += ask(lambda: self._variables(service))
            found += ask(lambda: self._template(service.template))
            found += ask(lambda: self.on_service.run(service, {}))
        return tuple(sorted(found, key=lambda f: not f.is_blocking))

    def _places(self) -> Iterator[PreflightFinding]:
        """Resources of the build that are of another region or project than the environment's."""
        spec = self.spec
        named = {
            "build-worker-pool": spec.build_worker_pool,
            "vpc-connector": spec.vpc_connector,
            "vpc-subnetwork": spec.container.vpc_subnetwork,
        }
        for key, name in named.items():
            parts = name.removeprefix("https://").split("/")
            for kind in ("locations", "regions"):
                region = parts[parts.index(kind) + 1] if kind in parts[:-1] else spec.region
                if region != spec.region:
                    yield wrong_setting(
                        f"{key} is in {region}, and the environment's region is {spec.region}",
                        f"correct {key} or `region` in the settings",
                    )
        project = parts_of(spec.docker_repository).get("projects", spec.project)
        if project != spec.project:
            yield note(
                f"docker-repository is of the project {project}, not of {spec.project}",
                "the build account and Cloud Run's service agent need access to it: "
                "roles/artifactregistry.writer, roles/artifactregistry.reader",
            )

    def _secret_folders(self) -> Iterator[PreflightFinding]:
        """One directory shows one secret."""
        files = self.spec.container.secret_files
        folders: dict[str, str] = {}
        for path in sorted(files):
            folder, _, file = path.rpartition("/")
            if not path.startswith("/") or not folder or not file:
                yield wrong_setting(
                    f"{path!r} in secret-files is no path of a file below a directory",
                    'write it like "/secrets/api/key"',
                )
            elif folder in folders:
                yield wrong_setting(
                    f"secret-files has {folders[folder]} and {path} in one directory, which can show one secret only",
                    "give each a directory of its own",
                )
            folders[folder] = path

    def _image(self) -> Iterator[PreflightFinding]:
        """Whether an image that is deployed as it is can be named by digest, and is there."""
        image = self.spec.container.image
        if not image:
            return
        pinned = self.builds.pin(image)
        if self.builds.is_gone(pinned) and not self.spec.container.command:
            yield blocking_finding(
                f"there is no image {pinned}",
                "push it, or name another one under `image`",
            )

    def _job(self) -> Iterator[PreflightFinding]:
        """A job of the same name is no service."""
        parent, _, short = self.on_service.services.name_of(self.spec).rpartition("/services/")
        try:
            found = self.run_api.get(f"looking for a job {short}", f"{parent}/jobs/{short}")
        except TargetError:  # who may not look at jobs may well deploy services
            return
        if found is not None:
            yield blocking_finding(
                f"{short} is a job of Cloud Run, not a service: a job takes no requests",
                "take another name",
            )

    def _other_regions(self) -> Iterator[PreflightFinding]:
        short = converters.short_name(self.on_service.services.name_of(self.spec))
        names, token = list[str](), ""
        while True:
            answer: Json = self.run_api.require(
                "looking for the service in other regions",
                f"projects/{self.spec.project}/locations/-/services",
                {"pageToken": token} if token else None,
            )
            names += [str(one.get("name", "")) for one in answer.get("services", [])]
            token = str(answer.get("nextPageToken", ""))
            if not token:
                break
        regions = {n.split("/")[3] for n in names if n.endswith(f"/services/{short}")}
        if regions:
            yield note(
                f"{short} exists in {', '.join(sorted(regions))} and not in {self.spec.region}: this would be a "
                "first release there",
                "correct `region` in the settings if that is not meant",
            )

    def _origin(self, service: run_v2.Service) -> Iterator[PreflightFinding]:
        """Where the service comes from, and whether it is one of ours already."""
        short, labels = converters.short_name(service.name), dict(service.labels)
        if labels.get(_OF_FUNCTIONS[0]) == _OF_FUNCTIONS[1]:
            yield note(
                f"{short} belongs to a function of Cloud Functions, whose next update starts from what is deployed "
                "here and builds again",
                "when nobody deploys the function any more, detach it (for good): gcloud functions detach "
                f"{self.spec.function} --region={self.spec.region}",
            )
        if not service.latest_ready_revision and not converters.has_rollout_labels(labels):
            yield blocking_finding(
                f"{short} exists and never had a ready revision: {converters.origin_of(service)}",
                "mend or delete it, or take another name",
            )
        elif not converters.has_rollout_labels(labels):
            yield note(
                f"{short} exists and was never deployed by pytest-deploygate: {converters.origin_of(service)}",
                "say that what serves is good, then deploy: deploygate adopt ENV REVISION --reason TEXT",
            )

    def _template(self, now: run_v2.RevisionTemplate) -> Iterator[PreflightFinding]:
        """What the platform would refuse of the settings together with what the service keeps."""
        spec = self.spec
        if spec.container.vpc_tags and not (
            spec.container.vpc_network
            or spec.container.vpc_subnetwork
            or now.vpc_access.network_interfaces
        ):
            yield wrong_setting(
                "vpc-tags are named, and no network whose instances could have them",
                "name vpc-network or vpc-subnetwork, too",
            )
        [first, *others] = now.containers or [run_v2.Container()]
        if others and not first.ports:
            yield blocking_finding(
                f"{spec.function} has {len(others) + 1} containers, and the one that takes requests is not the first: "
                "a release would replace another",
                "put the container with `ports` first, or take the others out",
            )
        scaling = now.scaling
        kept = ServiceLimits(
            memory_mib=Memory.parse(spec.memory).mib,
            cpu=cpus_of(spec.cpu or first.resources.limits.get("cpu", "")),
            concurrency=spec.concurrency or now.max_instance_request_concurrency,
            min_instances=scaling.min_instance_count
            if spec.min_instances is None
            else spec.min_instances,
            max_instances=spec.max_instances or scaling.max_instance_count,
        )
        said = {found.sentence for found in settings_problems(spec)}
        for problem in limit_problems(kept):
            if problem not in said:
                yield wrong_setting(
                    f"{problem}, with what the service has and the settings do not name",
                    "name it in the settings: Google would refuse it",
                )

    def _variables(self, service: run_v2.Service) -> Iterator[PreflightFinding]:
        spec = self.spec
        containers = service.template.containers
        known = {v.name for v in containers[0].env} if containers else set[str]()
        named = {*spec.variables, *spec.verify_variables, *spec.secrets}
        named = named.union(*spec.verify_variants.values())
        gone = known - named - {*KEPT_VARIABLES, *_SET_BY_IMAGE}
        if gone:
            yield note(
                f"{converters.short_name(service.name)} has variables that the settings do not name, and the new "
                f"revision will not have: {', '.join(sorted(gone))}",
                "name them under `environment-variables` or `secrets` if they are needed",
            )


def parts_of(name: str) -> dict[str, str]:
    """Parts of a full name by their kind: ``{"projects": "p", "locations": "l"}``."""
    parts = name.split("/")
    return dict(zip(parts[::2], parts[1::2], strict=False))
