"""Settings that a service of Cloud Run has and a function of Cloud Functions does not."""

from collections.abc import Mapping
from typing import Annotated, Final, NamedTuple

from pytest_deploygate.core.secret_ref import SECRET, SecretRef
from pytest_deploygate.core.setting import Setting

_CLOUD_RUN: Final = "cloud-run"


class StartupProbe(NamedTuple):
    """How a new instance shows that it may be given requests."""

    path: Annotated[
        str,
        Setting(
            "path that must answer with 200 to 399",
            example='"/ready"',
            is_a="a path that begins with /",
            pattern="/.*",
            default="none: it must listen on its port",
        ),
    ] = ""
    period_s: Annotated[
        int,
        Setting("how often it is asked", example="5", unit="seconds", at_least=1, at_most=240),
    ] = 10
    failures: Annotated[
        int,
        Setting("so many bad answers end the start", example="12", at_least=1, at_most=240),
    ] = 3


class ContainerSpec(NamedTuple):
    """What the container of a service has beside what every function has."""

    image: Annotated[
        str,
        Setting(
            "image that is deployed instead of a build of `source`; a tag of Artifact Registry is resolved to its "
            "digest",
            example='"us-central1-docker.pkg.dev/my-project-123/apps/hello@sha256:..."',
            is_filled=True,
            only_for=_CLOUD_RUN,
        ),
    ] = ""
    command: Annotated[
        tuple[str, ...],
        Setting(
            "program that the container runs instead of the image's own; the emulator runs it on this machine, in "
            "`source`, in place of an image that it did not build",
            example='["python", "server.py"]',
            only_for=_CLOUD_RUN,
        ),
    ] = ()
    secret_files: Annotated[
        Mapping[str, SecretRef],
        SECRET._replace(
            help="secrets as files, by path; `latest` is resolved to a number when it is deployed",
            example='{ "/secrets/api/key" = "api-key:latest" }',
            only_for=_CLOUD_RUN,
        ),
    ] = {}
    vpc_network: Annotated[
        str,
        Setting(
            "VPC network that instances are in (Direct VPC)",
            example='"default"',
            default="as it is on the platform",
            only_for=_CLOUD_RUN,
        ),
    ] = ""
    vpc_subnetwork: Annotated[
        str,
        Setting(
            "its subnetwork",
            example='"default"',
            default="as it is on the platform",
            only_for=_CLOUD_RUN,
        ),
    ] = ""
    vpc_tags: Annotated[
        tuple[str, ...],
        Setting(
            "network tags of instances",
            example='["web"]',
            default="as it is on the platform",
            only_for=_CLOUD_RUN,
        ),
    ] = ()
    startup_probe: Annotated[
        StartupProbe,
        Setting(
            "how a new instance shows that it may be given requests",
            example='{ path = "/ready" }',
            only_for=_CLOUD_RUN,
        ),
    ] = StartupProbe()
