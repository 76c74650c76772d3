"""What preflight asks of the Cloud Run service: its traffic, its address, who manages it, and what we may do to it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

from google.cloud import run_v2

from pytest_deploygate.core.function_spec import FunctionSpec
from pytest_deploygate.core.preflight import PreflightFinding
from pytest_deploygate.targets import converters
from pytest_deploygate.targets.preflight_findings import (
    CALL,
    blocking_finding,
    missing_permissions,
    note,
    role_for_service,
)
from pytest_deploygate.targets.run_api import RunServices
from pytest_deploygate.targets.run_revisions import RunRevisions

_ON_SERVICE: Final = ("run.services.get", "run.services.update", "run.services.getIamPolicy")
_OPEN: Final = "run.services.setIamPolicy"
_Ingress = run_v2.IngressTraffic
_INTERNAL: Final = (
    _Ingress.INGRESS_TRAFFIC_INTERNAL_ONLY,
    _Ingress.INGRESS_TRAFFIC_INTERNAL_LOAD_BALANCER,
    _Ingress.INGRESS_TRAFFIC_NONE,
)


class _ServiceManager(NamedTuple):
    """A tool that writes services by itself, the label by which it marks them, and what it does to a rollout."""

    name: str
    label: str
    values: tuple[str, ...]
    does: str
    hint: str
    hint_without_function: str = ""
    """Where it is another one for a service that no function has."""


_KUBECTL: Final = "kubectl.kubernetes.io/"
"""Beginning of annotations that a service has from Knative YAML of a cluster.

``client.knative.dev/user-image`` proves nothing: gcloud and the console write it, too.
"""
_FROM_YAML: Final = "which writes traffic and template of the service from Knative YAML again"
_MANAGERS: Final = (
    _ServiceManager(
        name="Terraform",
        label="goog-terraform-provisioned",
        values=("true",),
        does="whose next apply gives all traffic to the latest revision and resets what a rollout "
        "changed",
        hint="add to the resource: lifecycle { ignore_changes = [build_config, "
        "service_config[0].all_traffic_on_latest_revision, "
        "service_config[0].environment_variables, labels] }",
        hint_without_function="add to the resource: lifecycle { ignore_changes = [template, traffic, "
        "labels, client, build_config] }",
    ),
    _ServiceManager(
        name="Cloud Deploy",
        label="managed-by",
        values=("google-cloud-deploy",),
        does=_FROM_YAML,
        hint="take the service out of its delivery pipeline, or deploy it with that alone",
    ),
    _ServiceManager(
        name="Config Connector",
        label="managed-by-cnrm",
        values=("true",),
        does=_FROM_YAML,
        hint='annotate the resource with cnrm.cloud.google.com/reconcile-interval-in-seconds: "0", '
        "or deploy it with that alone",
    ),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ServicePreflight:
    """What is asked about one service."""

    spec: FunctionSpec
    services: RunServices
    revisions: RunRevisions
    is_function: bool = True

    def run(self, service: run_v2.Service, labels: Mapping[str, str]) -> Iterator[PreflightFinding]:
        """Everything about ``service``; ``labels`` are those of what manages it, too."""
        yield from self._traffic(service)
        yield from self._reachable(service)
        yield from self._managers({**labels, **service.labels}, service.annotations)
        is_public = self.services.is_public(service)
        needed: tuple[str, ...] = _ON_SERVICE
        if self.spec.public and not is_public:
            needed = (*_ON_SERVICE, _OPEN)
            yield note(
                f"the settings say that {self.spec.function} is public, but it asks for "
                "a token; only a first release is opened",
                f"open it by hand: gcloud run services add-iam-policy-binding {_slug(service)} "
                f"--region={self.spec.region} --member=allUsers --role=roles/run.invoker",
            )
        if not is_public:
            needed = (*needed, CALL)  # the candidate asks for a token as long as the service does
        yield from missing_permissions(
            lambda: self.services.missing_permissions(service.name, needed), role_for_service
        )

    def _reachable(self, service: run_v2.Service) -> Iterator[PreflightFinding]:
        """Whether the URLs of tags, at which the candidate is judged, can be reached at all."""
        if service.default_uri_disabled:
            yield blocking_finding(
                f"the default URL of {_slug(service)} is disabled, and the URLs of tags with it: no "
                "candidate could be judged",
                f"gcloud run services update {_slug(service)} --region={self.spec.region} "
                "--default-url",
            )
        yield from self.ingress(service)

    def ingress(self, service: run_v2.Service | None) -> Iterator[PreflightFinding]:
        """Whether what is there, or what a first release will make, answers only inside the project's network."""
        is_internal = service is not None and service.ingress in _INTERNAL
        if is_internal and self.spec.ingress == "ALLOW_ALL":
            yield note(
                f"ingress of {self.spec.function} is internal, and the settings open it to all: the rollout does so "
                "when it deploys, before the candidate is judged, and a rollback leaves it open",
                "name under `ingress` what it is to be",
            )
        elif is_internal or self.spec.ingress not in ("", "ALLOW_ALL"):
            yield note(
                f"ingress of {self.spec.function} is internal: the URLs of tags answer only "
                "from inside the project's network",
                'run the checks there, or set `ingress = "all"` and close it by IAM',
            )

    def _managers(
        self, labels: Mapping[str, str], annotations: Mapping[str, str]
    ) -> Iterator[PreflightFinding]:
        """Tools that write the service from a file of theirs, and with it traffic and template."""
        if any(name.startswith(_KUBECTL) for name in annotations):
            yield note(
                f"{self.spec.function} was written from Knative YAML; who applies the file again resets traffic and "
                "template",
                "take traffic out of the file, or deploy by pytest-deploygate alone",
            )
        for manager in _MANAGERS:
            if labels.get(manager.label) in manager.values:
                yield note(
                    f"{self.spec.function} is managed by {manager.name}, {manager.does}",
                    (not self.is_function and manager.hint_without_function) or manager.hint,
                )

    def _traffic(self, service: run_v2.Service) -> Iterator[PreflightFinding]:
        plan = converters.resolve_latest(
            converters.plan_of(service), converters.latest_ready(service)
        )
        shown = converters.shown_traffic(service)
        if plan.is_split and shown.sole is not None:
            yield blocking_finding(
                f"an update of traffic failed: the service asks for {plan}, and {shown} serves; every "
                "deployment after it is refused",
                f"ask for what serves: gcloud run services update-traffic {_slug(service)} "
                f"--region={self.spec.region} --to-revisions={shown.sole}=100",
            )
        elif plan.is_split:
            yield blocking_finding(
                f"traffic is split: {plan}; a rollout needs one revision that has all of it",
                "give one revision all the traffic: deploygate rollback ENV --to REVISION",
            )
        if service.reconciling and self.is_function:
            yield blocking_finding(
                f"{_slug(service)} is being changed right now", "wait until that has ended"
            )
        elif service.reconciling:
            yield note(
                f"{_slug(service)} is being changed right now by somebody else",
                "the rollout waits until that has ended, and asks once more",
            )
        if plan.sole is not None:
            found = self.revisions.describe(service.name, plan.sole)
            if found is None or not found.is_ready:
                yield note(
                    f"{plan.sole} has the traffic and is not ready",
                    "the current revision is not ready, so rollback would not help",
                )


def _slug(service: run_v2.Service) -> str:
    return converters.short_name(service.name)
