"""The target: one function, or container, as a service of Cloud Run, at Google or in the emulator.

A release is a build that makes an image (``builds:submit``), or an image that there is, and one write of the service by
which Cloud Run makes a revision of its digest, under a name of ours. Nothing here asks the Cloud Functions API.
"""

import json
import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_deploygate.core.artifacts import Backup, Package
from pytest_deploygate.core.errors import TargetRefused
from pytest_deploygate.core.function_spec import CopyRole, Variant
from pytest_deploygate.core.identifiers import Digest, RevisionName, RolloutId, VariantName
from pytest_deploygate.core.preflight import PreflightFinding
from pytest_deploygate.core.release import RolloutLabels, Snapshot
from pytest_deploygate.targets import gcloud_run_commands
from pytest_deploygate.targets.service_target import ServiceTarget

if TYPE_CHECKING:
    from google.cloud import run_v2

    from pytest_deploygate.targets.image_builds import ImageBuilds
    from pytest_deploygate.targets.run_deployments import ServiceDeployments
    from pytest_deploygate.targets.run_names import RevisionNames
    from pytest_deploygate.targets.run_release import ImageDeployment, Release
    from pytest_deploygate.targets.run_template import BuildSource
    from pytest_deploygate.targets.source_storage import SourceStorage

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Begun:
    """A deployment that this process began; ``image`` is empty while it is still built."""

    deployment: "ImageDeployment"
    image: str = ""


class CloudRunTarget(ServiceTarget):
    """Implements :class:`pytest_deploygate.ports.Target` by the Cloud Run Admin API."""

    @cached_property
    def _builds(self) -> "ImageBuilds":
        from pytest_deploygate.targets.image_builds import ImageBuilds

        return ImageBuilds(self._clients, self._caller, self._spec)

    @cached_property
    def _storage(self) -> "SourceStorage":
        from pytest_deploygate.targets.source_storage import SourceStorage

        return SourceStorage(self._clients, self._caller, self._spec)

    @cached_property
    def _deployments(self) -> "ServiceDeployments":
        from pytest_deploygate.targets.run_deployments import ServiceDeployments

        return ServiceDeployments(self._clients, self._caller, self._revisions)

    @cached_property
    def _begun(self) -> dict[str, _Begun]:
        """What this process began, by the operation's name."""
        return {}

    @cached_property
    def _names(self) -> "RevisionNames":
        from pytest_deploygate.targets.run_names import RevisionNames

        service = self._service_name()
        return RevisionNames(
            self._slug, lambda name: self._revisions.revision(service, name) is not None
        )

    def _service_name(self) -> str:
        return self._services.name_of(self._spec)

    # -- looking ---------------------------------------------------------------------------------

    def preflight(self) -> tuple[PreflightFinding, ...]:
        """Everything that can be found wrong without changing anything."""
        from pytest_deploygate.targets.preflight_run import APIS, RunPreflight

        return RunPreflight(
            spec=self._spec,
            run_api=self._clients.json_api("run", "v2", self._caller),
            builds=self._builds,
            on_project=self._preflight_of_project(APIS),
            on_service=self._preflight_of_service(is_function=False),
        ).run()

    def snapshot(self) -> Snapshot:
        """The service as it is now."""
        name = self._service_name()
        service = self._services.get(name)
        if service is None:
            return Snapshot(exists=False)
        return self._snapshot_of(service, is_public=self._access.read_public(name))

    def _snapshot_of(self, service: "run_v2.Service", *, is_public: bool) -> Snapshot:
        from pytest_deploygate.targets import converters

        return converters.snapshot_of(service, is_public=is_public)

    def find_operation(self) -> str | None:
        """Name of the service while the platform still changes it, else None.

        A build that goes on is none: it makes an image, which nobody deploys but the process that began it.
        """
        service = self._services.get(self._service_name())
        return service.name if service is not None and service.reconciling else None

    def gcloud_commands(self, snapshot: Snapshot | None, steps: tuple[int, ...]) -> tuple[str, ...]:
        """The same rollout in gcloud's words, ready to paste into a shell."""
        return gcloud_run_commands.commands(self._spec, snapshot, steps=steps, cwd=Path.cwd())

    # -- before staging --------------------------------------------------------------------------

    def package(self) -> Package:
        """The source as an archive, or the digest of the image that is deployed; changes nothing.

        Raises:
            ConfigError: the source must not be shipped, or a plain variable looks like a secret.
            TargetRefused: the image cannot be resolved to a digest.
        """
        from pytest_deploygate.targets.container_images import digest_in
        from pytest_deploygate.targets.source_package import check_variables

        image = self._spec.container.image
        if not image:
            return super().package()
        allowed = check_variables(self._spec)
        pinned = self._builds.pin(image)
        return Package(
            path=pinned,
            digest=Digest(digest_in(pinned).removeprefix("sha256:")),
            size_bytes=0,
            files=(),
            allowed_secrets=allowed,
        )

    def _fetch_backup(self, snapshot: Snapshot) -> Backup:
        """Fetch settings of what serves to this side, and its source where it was built of one."""
        from pytest_deploygate.targets import source_backups
        from pytest_deploygate.targets.run_template import BuildSource, template_of_revision

        if snapshot.baseline is None:
            raise TargetRefused(
                "traffic is split or nothing serves, so there is no one revision to back up",
                hint="give one revision all the traffic first",
            )
        name = self._service_name()
        revision = self._revisions.revision(name, snapshot.baseline) or {}
        image = self._revisions.image_by_digest(name, snapshot.baseline)
        service = self._clients.json_api("run", "v2", self._caller).require("reading", name)
        kept = {"name": revision.get("name", ""), **template_of_revision(revision)}
        settings = json.dumps(
            {"service": service, "revision": kept, "image": image}, sort_keys=True
        )
        built = BuildSource.of_revision(revision)
        folder = self._home / "backups"
        try:
            download = None if built is None else self._download_of(built)
            return source_backups.make(download, settings, snapshot.baseline, folder)
        except TargetRefused as error:  # buckets keep sources for a time; the digest serves, too
            logger.warning("target.source_not_backed_up", extra={"reason": error.message})
            return source_backups.make(None, settings, snapshot.baseline, folder)

    def _download_of(self, built: "BuildSource") -> Callable[[Path], Digest]:
        return lambda into: self._storage.download(built, into)

    def upload(self, package: Package) -> str:
        """Hand the archive to the platform; an image is there already."""
        if self._spec.container.image:
            return json.dumps({"image": package.path})
        source = self._storage.upload(Path(package.path), package.digest)
        return json.dumps({"source": source.to_annotation()})

    # -- releasing -------------------------------------------------------------------------------

    def begin_release(self, source: str, rollout_labels: RolloutLabels) -> str:
        """Ask for the build of ``source``, or take the image that it names; returns the operation's name.

        The service is written by :meth:`await_release`, once the digest is known.
        """
        from pytest_deploygate.targets.run_template import BuildSource

        service = self._services.get(self._service_name())
        release = self._release(service, rollout_labels)
        found = json.loads(source)
        if "image" in found:
            return self._begin(release, image=str(found["image"]))
        built = BuildSource(**json.loads(found["source"]))
        started = self._builds.submit(built, release.builder)
        base = started.base_image if release.builder.is_automatic else ""
        release = replace(release, build=built, base_image=base)
        return self._begin(release, operation=started.operation)

    def _release(
        self, service: "run_v2.Service | None", rollout_labels: RolloutLabels
    ) -> "Release":
        from pytest_deploygate.targets.image_builds import builder_of
        from pytest_deploygate.targets.run_release import Release

        is_new = _is_new(service)
        return Release(
            spec=self._spec,
            service=self._service_name(),
            revision=self._names.of_rollout(rollout_labels.rollout),
            rollout_labels=rollout_labels,
            secrets=self._secrets.resolve(self._spec),
            secret_files=self._secrets.resolve_files(self._spec),
            is_new=is_new,
            is_local=self._is_local,
            builder=builder_of(self._spec, service),
        )

    def _begin(self, deployment: "ImageDeployment", *, operation: str = "", image: str = "") -> str:
        """Remember what is to be deployed; the name of the operation says it to whoever comes after a death."""
        name = f"{operation or self._service_name()}#{deployment.revision}"
        self._begun[name] = _Begun(deployment=deployment, image=image)
        return name

    def add_revision(self, of: RevisionName, variant: Variant | VariantName) -> RevisionName:
        """Ask for one more revision of the image that ``of`` runs; returns its name before it has started."""
        return self._revisions.add_revision(
            self._service_name(),
            of,
            partial(self._spec.changes_to, variant),
            chosen=lambda: self._names.of_variant(of, variant),
        )

    def copy_revision(self, of: RevisionName, role: CopyRole, rollout: RolloutId) -> RevisionName:
        """Ask for one more revision that equals ``of``; returns its name before it has started."""
        return self._revisions.copy_revision(
            self._service_name(),
            of,
            f"{rollout}-{role.value}",
            chosen=lambda: self._names.of_copy(rollout, role),
        )

    def begin_restore(self, backup: Backup) -> str:
        """Ask for a new revision made of ``backup``: of its image while there is one, else built of its source.

        A backup that was made of a function of Cloud Functions serves as well.
        """
        from pytest_deploygate.targets import source_backups
        from pytest_deploygate.targets.image_builds import builder_of
        from pytest_deploygate.targets.run_release import Restoration

        described = json.loads(backup.settings)
        restoration = Restoration(
            service=self._service_name(),
            revision=self._names.of_restoration(),
            described=described,
        )
        image = str(described.get("image", ""))
        if image and not self._builds.is_gone(image):
            return self._begin(restoration, image=image)
        if image and not backup.path:
            raise TargetRefused(
                f"the image of the backup {backup.identifier} is gone, and it holds no source: {image}",
                hint="deploy the commit that the revision was made from",
            )
        path = source_backups.read_source(backup)
        source = self._storage.upload(path, backup.sha256)
        builder = builder_of(self._spec, self._services.get(self._service_name()))._replace(
            is_automatic=restoration.is_automatic
        )
        started = self._builds.submit(restoration.build_of(source), builder)
        return self._begin(restoration, operation=started.operation)

    def await_release(
        self, operation: str, *, progress: Callable[[str], None], budget_s: float
    ) -> RevisionName:
        """Wait for the image, write the service, and wait for its revision; may be called again after a crash.

        Raises:
            TargetRefused: another process began it and died before it wrote the service: nothing comes of it.
        """
        deadline = self._clock.monotonic() + budget_s
        service = self._service_name()
        build, _, revision = operation.partition("#")
        if not revision:
            return self._await_others(operation, budget_s=budget_s)
        begun = self._begun.get(operation)
        if begun is not None:
            image = begun.image or self._builds.await_image(
                build, progress=progress, budget_s=budget_s
            )
            self._deployments.write(begun.deployment.with_image(image))
        elif not self._has_asked_for(RevisionName(revision)):
            raise TargetRefused(
                f"the process that began {build} died before it deployed {revision}",
                hint="nothing was changed by it; deploy again",
            )
        progress("revision: under way")
        left_s = deadline - self._clock.monotonic()
        self._deployments.await_started(service, RevisionName(revision), budget_s=left_s)
        progress("revision: done")
        return RevisionName(revision)

    def _has_asked_for(self, revision: RevisionName) -> bool:
        """Whether the service has, or asks for, a revision of that name."""
        name = self._service_name()
        if self._revisions.revision(name, revision) is not None:
            return True
        service = self._services.get(name)
        return service is not None and service.template.revision == revision

    def _await_others(self, service: str, *, budget_s: float) -> RevisionName:
        """Wait until the service stands still, whoever changed it; its newest revision."""
        from pytest_deploygate.targets import converters

        found = self._deployments.await_settled(service, budget_s=budget_s)
        return converters.short_name(str(found.get("latestCreatedRevision", "")))

    def delete_function(self) -> None:
        """Remove a service whose first release was not promoted. Refuses when it is public."""
        service = self._services.get(self._service_name())
        if service is None:
            return
        if self._services.is_public(service):
            raise TargetRefused(
                f"{service.name} is open to the public and was not deleted",
                hint="close it first, if nobody uses it",
            )
        self._deployments.delete(service.name, service.etag)


def _is_new(service: "run_v2.Service | None") -> bool:
    """Whether there is no service yet.

    Raises:
        TargetRefused: there is one of somebody else that never had a ready revision: not ours to end.
    """
    from pytest_deploygate.targets import converters

    if service is None:
        return True
    if not service.latest_ready_revision and not converters.has_rollout_labels(service.labels):
        raise TargetRefused(
            f"the service {converters.short_name(service.name)} exists and never had a ready revision: "
            f"{converters.origin_of(service)}",
            hint="mend or delete it, or take another name",
        )
    return False
