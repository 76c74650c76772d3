"""What a release, or a backup, makes of a Cloud Run service: as values, once the image is known."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from pytest_deploygate.core.function_spec import FunctionSpec, Variant
from pytest_deploygate.core.identifiers import RevisionName
from pytest_deploygate.core.release import RolloutLabels
from pytest_deploygate.core.secret_ref import SecretRef
from pytest_deploygate.targets.image_builds import ImageBuilder
from pytest_deploygate.targets.json_api import Json
from pytest_deploygate.targets.run_deployments import WantedService
from pytest_deploygate.targets.run_template import (
    FIELDS_OF_REVISION,
    INGRESS,
    BuildSource,
    WantedRevision,
    template_for,
    template_of_revision,
)


class ImageDeployment(Protocol):
    """Something that is to be deployed as soon as its image is there."""

    @property
    def revision(self) -> RevisionName:
        """The name that the revision gets."""
        ...

    def with_image(self, image: str) -> WantedService:
        """The service that runs ``image``, named by digest."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """A release of ``spec`` with the production variables."""

    spec: FunctionSpec
    service: str
    revision: RevisionName
    rollout_labels: RolloutLabels
    secrets: Mapping[str, SecretRef]
    secret_files: Mapping[str, SecretRef]
    is_new: bool
    is_local: bool
    builder: ImageBuilder
    build: BuildSource | None = None
    base_image: str = ""

    def with_image(self, image: str) -> WantedService:
        """The service that runs ``image``, named by digest."""
        made = WantedRevision(
            name=self.revision,
            image=image,
            variables=dict(self.spec.variables_of(Variant.CANDIDATE)),
            secrets=self.secrets,
            secret_files=self.secret_files,
            build=self.build,
            base_image=self.base_image,
        )
        return WantedService(
            name=self.service,
            revision=self.revision,
            template_of=lambda now: template_for(self.spec, made, now, is_local=self.is_local),
            fields=self._fields(image),
            labels=dict(self.spec.labels),
            rollout_labels=self.rollout_labels,
            is_new=self.is_new,
        )

    def _fields(self, image: str) -> Mapping[str, object]:
        fields: dict[str, object] = {"client": "pytest-deploygate"}
        if self.spec.ingress:
            fields["ingress"] = INGRESS[self.spec.ingress]
        if self.build is not None:  # by which others, too, see a function
            fields["buildConfig"] = {
                "functionTarget": self.build.entry_point,
                "sourceLocation": self.build.location,
                "imageUri": image,
                "environmentVariables": dict(self.build.variables),
                "enableAutomaticUpdates": bool(self.base_image),
                **self.builder.to_fields(),
            }
        return fields


@dataclass(frozen=True, slots=True, kw_only=True)
class Restoration:
    """What a backup describes, as a new revision; traffic, access and labels stay as they are."""

    service: str
    revision: RevisionName
    described: Json

    def with_image(self, image: str) -> WantedService:
        """The service that runs ``image``, named by digest."""
        template = template_of_revision(self.described.get("revision") or {})
        if not template:  # a backup of a function of Cloud Functions
            template = dict((self.described.get("service") or {}).get("template") or {})
        containers = [dict(one) for one in template.get("containers") or [{}]]
        containers[0]["image"] = image
        wanted = {**template, "containers": containers, "revision": self.revision}
        return WantedService(
            name=self.service,
            revision=self.revision,
            template_of=lambda now: {**_unknown_fields(now), **wanted},
            fields={},
            labels={},
            rollout_labels=None,
            is_new=False,
        )

    @property
    def is_automatic(self) -> bool:
        """Whether the platform may replace the base image below the one that is deployed."""
        [first, *_] = (self.described.get("revision") or {}).get("containers") or [{}]
        return bool(first.get("baseImageUri"))

    def build_of(self, source: BuildSource) -> BuildSource:
        """``source`` with runtime, entry point and variables of the build before, as far as the backup tells them."""
        known = BuildSource.of_revision(self.described.get("revision") or {})
        if known is not None:
            return source._replace(
                runtime=known.runtime, entry_point=known.entry_point, variables=known.variables
            )
        config = (self.described.get("function") or {}).get("buildConfig") or {}
        return source._replace(
            runtime=str(config.get("runtime") or source.runtime),
            entry_point=str(config.get("entryPoint") or source.entry_point),
            variables=dict(config.get("environmentVariables") or {}),
        )


def _unknown_fields(template: Json) -> Json:
    """What a template has that no backup tells."""
    return {name: value for name, value in template.items() if name not in FIELDS_OF_REVISION}
