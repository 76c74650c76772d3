"""Everything that can be found wrong with a deployment without changing anything.

What the platform would refuse later, minutes into a build, is found here in seconds; and what it
would not refuse but nobody wants: a name too long for its tags, a split that would be lost,
variables that would vanish.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

import requests
from google.api_core.exceptions import from_http_response
from google.cloud import functions_v2, run_v2

from pytest_deploygate.core.errors import DeployGateError, TargetRefused
from pytest_deploygate.core.preflight import PreflightFinding
from pytest_deploygate.core.release import OWN_TAGS, FunctionSpec
from pytest_deploygate.core.service_limits import ServiceLimits, limit_problems
from pytest_deploygate.core.units import Memory
from pytest_deploygate.targets import converters
from pytest_deploygate.targets.api_caller import ApiCaller
from pytest_deploygate.targets.api_errors import NEEDED_APIS, enable
from pytest_deploygate.targets.functions_api import CloudFunctions
from pytest_deploygate.targets.run_api import RunServices
from pytest_deploygate.targets.run_revisions import RunRevisions
from pytest_deploygate.targets.secret_versions import SecretVersions

LONGEST_HOST_LABEL: Final = 46
"""Most characters that a tag and the service's name may have together (Cloud Run tags)."""
_NAME: Final = re.compile(r"[a-z](?:[-_a-z0-9]{0,61}[a-z0-9])?")
_VARIABLE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_SET_BY_PLATFORM: Final = (
    "PORT",
    "K_SERVICE",
    "K_REVISION",
    "K_CONFIGURATION",
)
"""Variables that no deployment may set (Cloud Run, "reserved environment variables").

``FUNCTION_TARGET`` is none of them: functions that firebase deployed carry it as a user variable.
"""
_ON_FUNCTION: Final = (
    "cloudfunctions.functions.get",
    "cloudfunctions.functions.update",
    "cloudfunctions.functions.sourceCodeGet",
)
_ON_SERVICE: Final = ("run.services.get", "run.services.update", "run.services.getIamPolicy")
_OPEN: Final = "run.services.setIamPolicy"
_CALL: Final = "run.routes.invoke"
_ACT_AS: Final = "iam.serviceAccounts.actAs"
_TERRAFORM: Final = "goog-terraform-provisioned"
"""Label of resources that Terraform's provider made."""
_NUMBER: Final = re.compile(r"\d+(\.\d+)?")
_State = functions_v2.Function.State
_Ingress = run_v2.IngressTraffic
_INTERNAL: Final = (
    _Ingress.INGRESS_TRAFFIC_INTERNAL_ONLY,
    _Ingress.INGRESS_TRAFFIC_INTERNAL_LOAD_BALANCER,
    _Ingress.INGRESS_TRAFFIC_NONE,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Preflight:
    """What is asked, of whom; ``session`` carries the credentials, the addresses are those of the APIs v1."""

    spec: FunctionSpec
    functions: CloudFunctions
    services: RunServices
    revisions: RunRevisions
    secrets: SecretVersions
    session: requests.Session
    caller: ApiCaller
    iam_url: str
    usage_url: str

    def run(self) -> tuple[PreflightFinding, ...]:
        """All findings, the blocking ones first; ends early when the platform cannot even be asked."""
        found = [*self._names()]
        try:
            function = self.functions.get()
        except DeployGateError as error:
            found.append(_blocking(error.message, error.hint))
            return tuple(found)
        found += self._apis()
        found += self._asked(self._runtime)
        found += self._asked(self._secrets)
        found += self._asked(lambda: self._account(function))
        if function is None:
            found += self._asked(self._service_alone)
            found += self._asked(self._other_regions)
        else:
            found += self._asked(lambda: self._function(function))
            found += self._asked(lambda: self._service(function))
        return tuple(sorted(found, key=lambda f: not f.is_blocking))

    def _asked(self, ask: Callable[[], Iterator[PreflightFinding]]) -> list[PreflightFinding]:
        """The findings of one question; one that cannot be answered is a finding itself."""
        try:
            return list(ask())
        except DeployGateError as error:
            return [_blocking(error.message, error.hint)]

    def _apis(self) -> list[PreflightFinding]:
        """APIs that only the build will miss: it would fail minutes later. Who may not ask is told that."""
        needed = (
            (*NEEDED_APIS, "secretmanager.googleapis.com") if self.spec.secrets else NEEDED_APIS
        )
        parent = f"projects/{self.spec.project}"
        url = f"{self.usage_url}/{parent}/services:batchGet"
        query = [("names", f"{parent}/services/{name}") for name in needed]

        def ask() -> list[str]:
            response = self.session.get(url, params=query, timeout=self.caller.timeout_s)
            if not response.ok:
                raise from_http_response(response)  # type: ignore[no-untyped-call]
            found = response.json().get("services", [])
            off = [one["name"] for one in found if one.get("state") == "DISABLED"]
            return [name.rpartition("/")[2] for name in off]

        try:
            off = self.caller.read("asking which APIs are enabled", ask)
        except DeployGateError as error:
            hint = "look at them yourself: gcloud services list --enabled"
            return [PreflightFinding(is_blocking=False, sentence=error.message, hint=hint)]
        if not off:
            return []
        return [_blocking(f"APIs are not enabled: {', '.join(off)}", enable(*off))]

    def _names(self) -> Iterator[PreflightFinding]:
        name = self.spec.function
        if not _NAME.fullmatch(name):
            yield _blocking(
                f"{name!r} cannot be the name of a function",
                "at most 63 of a-z, 0-9, - and _, beginning with a letter",
            )
        longest = max(OWN_TAGS, key=len)
        if len(longest) + len(name) > LONGEST_HOST_LABEL:
            yield _blocking(
                f"the name {name!r} has {len(name)} characters; with the tag {longest} in front its "
                f"address would have more than the {LONGEST_HOST_LABEL} that Cloud Run takes",
                f"shorten it to {LONGEST_HOST_LABEL - len(longest)} characters",
            )

        yield from self._variables()
        yield from self._limits()

    def _limits(self) -> Iterator[PreflightFinding]:
        """Relations that the platform refuses minutes into a deployment."""
        spec = self.spec
        for variables in (spec.variables, {**spec.variables, **spec.verify_variables}):
            wanted = ServiceLimits(
                memory_mib=Memory.parse(spec.memory).mib,
                cpu=float(spec.cpu) if _NUMBER.fullmatch(spec.cpu) else None,
                concurrency=spec.concurrency,
                min_instances=spec.min_instances,
                max_instances=spec.max_instances,
                variables=variables,
            )
            problems = list(limit_problems(wanted))
            for problem in problems:
                yield _blocking(problem, "correct it in the settings: Google would refuse it")
            if problems:
                return

    def _service_alone(self) -> Iterator[PreflightFinding]:
        """A Cloud Run service of the function's name is no first release, and not ours to create over."""
        name = self.services.name_of(self.spec)
        service = self.services.get(name)
        if service is not None:
            yield _blocking(
                f"the Cloud Run service {converters.short_name(name)} exists and has no function: "
                f"{converters.origin_of(service)}",
                'deploy to it with `target = "cloud-run"`, or take another name',
            )

    def _other_regions(self) -> Iterator[PreflightFinding]:
        regions = self.functions.regions_of_same_name()
        if regions:
            yield PreflightFinding(
                is_blocking=False,
                sentence=f"{self.spec.function} exists in {', '.join(regions)} and not in "
                f"{self.spec.region}: this would be a first release there",
                hint="correct `region` in the settings if that is not meant",
            )

    def _variables(self) -> Iterator[PreflightFinding]:
        """Names that the platform refuses, or that would say two things."""
        variables = {*self.spec.variables, *self.spec.verify_variables}
        for key in sorted({*variables, *self.spec.secrets}):
            if not _VARIABLE.fullmatch(key):
                yield _blocking(
                    f"{key!r} cannot be the name of a variable",
                    "letters, digits and _, not beginning with a digit",
                )
            elif key in _SET_BY_PLATFORM or key.startswith("X_GOOGLE_"):
                yield _blocking(
                    f"the platform itself sets the variable {key}", "take another name for yours"
                )
        for key in sorted(variables & set(self.spec.secrets)):
            yield _blocking(
                f"{key} is both a plain variable and a secret", "keep it under `secrets` alone"
            )
        for key in sorted({*self.spec.labels} & {*converters.OWN_LABELS}):
            yield _blocking(f"the label {key} is ours", "take another name for yours")

    def _runtime(self) -> Iterator[PreflightFinding]:
        offered = self.functions.runtimes()
        if offered and self.spec.runtime not in offered:
            python = ", ".join(r for r in offered if r.startswith("python"))
            yield _blocking(
                f"the region {self.spec.region} does not offer the runtime {self.spec.runtime}",
                f"it offers {python}",
            )

    def _secrets(self) -> Iterator[PreflightFinding]:
        self.secrets.resolve(self.spec)
        yield from ()

    def _account(self, function: functions_v2.Function | None) -> Iterator[PreflightFinding]:
        """Whether we may let the function run as its service account."""
        known = function.service_config.service_account_email if function is not None else ""
        email = self.spec.service_account or known
        if not email:
            return
        url = f"{self.iam_url}/projects/-/serviceAccounts/{email}:testIamPermissions"

        def ask() -> bool:
            body = {"permissions": [_ACT_AS]}
            response = self.session.post(url, json=body, timeout=self.caller.timeout_s)
            if not response.ok:
                raise from_http_response(response)  # type: ignore[no-untyped-call]
            return _ACT_AS in response.json().get("permissions", [])

        is_granted = True
        try:
            is_granted = self.caller.read(f"reading our permissions on {email}", ask)
        except TargetRefused as error:
            yield _unasked(error)
        if not is_granted:
            yield _blocking(
                f"we may not act as the function's service account {email}",
                f"gcloud iam service-accounts add-iam-policy-binding {email} "
                "--role=roles/iam.serviceAccountUser --member=WHO",
            )

    def _function(self, function: functions_v2.Function) -> Iterator[PreflightFinding]:
        name = self.spec.function
        if function.environment == functions_v2.Environment.GEN_1:
            yield _blocking(
                f"{name} is a function of the 1st generation", "upgrade it, or take another name"
            )
        if "event_trigger" in function:
            yield _blocking(f"{name} is triggered by events, not by HTTP", "take another name")
        if function.state == _State.DELETING:
            yield _blocking(f"{name} is being deleted right now", "wait until that has ended")
        if function.state == _State.DEPLOYING:
            yield PreflightFinding(
                is_blocking=False,
                sentence=f"{name} is being deployed right now by somebody else",
                hint="the rollout waits until that has ended, and asks once more",
            )
        yield from self._permissions(
            lambda: self.functions.missing_permissions(_ON_FUNCTION),
            lambda _: "roles/cloudfunctions.developer",
        )
        gone = set(function.service_config.environment_variables) - set(self.spec.variables)
        gone -= {*converters.PLATFORM_VARIABLES, *self.spec.verify_variables}
        if gone:
            yield PreflightFinding(
                is_blocking=False,
                sentence=f"{name} has variables that the settings do not name, and the new "
                f"revision will not have: {', '.join(sorted(gone))}",
                hint="name them under `environment-variables` if they are needed",
            )

    def _service(self, function: functions_v2.Function) -> Iterator[PreflightFinding]:
        name = function.service_config.service
        service = self.services.get(name) if name else None
        if service is None:
            return
        yield from self._traffic(service)
        yield from self._reachable(service)
        yield from self._terraform(function, service)
        is_public = self.services.is_public(service)
        needed: tuple[str, ...] = _ON_SERVICE
        if self.spec.public and not is_public:
            needed = (*_ON_SERVICE, _OPEN)
            yield PreflightFinding(
                is_blocking=False,
                sentence=f"the settings say that {self.spec.function} is public, but it asks for "
                "a token; only a first release is opened",
                hint="open it by hand: gcloud functions add-invoker-policy-binding "
                f"{self.spec.function} --region={self.spec.region} --member=allUsers",
            )
        if not is_public:
            needed = (*needed, _CALL)  # the candidate asks for a token as long as the service does
        yield from self._permissions(
            lambda: self.services.missing_permissions(name, needed), _role_for
        )

    def _permissions(
        self, missing: Callable[[], tuple[str, ...]], role_for: Callable[[tuple[str, ...]], str]
    ) -> Iterator[PreflightFinding]:
        """What we may not do. Who may not even ask is told that: the write says 403 itself."""
        try:
            found = missing()
        except TargetRefused as error:
            yield _unasked(error)
            return
        if found:
            yield _missing(found, role_for(found))

    def _reachable(self, service: run_v2.Service) -> Iterator[PreflightFinding]:
        """Whether the URLs of tags, at which the candidate is judged, can be reached at all."""
        if service.default_uri_disabled:
            yield _blocking(
                f"the default URL of {_slug(service)} is disabled, and the URLs of tags with it: no "
                "candidate could be judged",
                f"gcloud run services update {_slug(service)} --region={self.spec.region} "
                "--default-url",
            )
        is_internal = service.ingress in _INTERNAL or self.spec.ingress != "ALLOW_ALL"
        if is_internal:
            yield PreflightFinding(
                is_blocking=False,
                sentence=f"ingress of {_slug(service)} is internal: the URLs of tags answer only "
                "from inside the project's network",
                hint='run the checks there, or set `ingress = "all"` and close it by IAM',
            )

    def _terraform(
        self, function: functions_v2.Function, service: run_v2.Service
    ) -> Iterator[PreflightFinding]:
        labels = {**function.labels, **service.labels}
        if _TERRAFORM in labels:
            yield PreflightFinding(
                is_blocking=False,
                sentence=f"{self.spec.function} is managed by Terraform, whose next apply gives all "
                "traffic to the latest revision and resets what a rollout changed",
                hint="add to the resource: lifecycle { ignore_changes = [build_config, "
                "service_config[0].all_traffic_on_latest_revision, "
                "service_config[0].environment_variables, labels] }",
            )

    def _traffic(self, service: run_v2.Service) -> Iterator[PreflightFinding]:
        plan = converters.resolved(converters.plan_of(service), converters.latest_ready(service))
        shown = converters.shown_traffic(service)
        if plan.is_split and shown.sole is not None:
            yield _blocking(
                f"an update of traffic failed: the service asks for {plan}, and {shown} serves; every "
                "deployment after it is refused",
                f"ask for what serves: gcloud run services update-traffic {_slug(service)} "
                f"--region={self.spec.region} --to-revisions={shown.sole}=100",
            )
        elif plan.is_split:
            yield _blocking(
                f"traffic is split: {plan}; a rollout needs one revision that has all of it",
                "give one revision all the traffic: deploygate rollback ENV --to REVISION",
            )
        if service.reconciling:
            yield _blocking(
                f"{converters.short_name(service.name)} is being changed right now",
                "wait until that has ended",
            )
        if plan.sole is not None:
            found = self.revisions.describe(service.name, plan.sole)
            if found is None or not found.is_ready:
                yield PreflightFinding(
                    is_blocking=False,
                    sentence=f"{plan.sole} has the traffic and is not ready",
                    hint="the current revision is not ready, so rollback would not help",
                )


def _slug(service: run_v2.Service) -> str:
    return converters.short_name(service.name)


def _unasked(error: TargetRefused) -> PreflightFinding:
    return PreflightFinding(
        is_blocking=False,
        sentence=f"our permissions cannot be asked: {error.message}",
        hint="what is missing will be said by the first write that needs it",
    )


def _blocking(sentence: str, hint: str) -> PreflightFinding:
    return PreflightFinding(is_blocking=True, sentence=sentence, hint=hint)


def _role_for(missing: tuple[str, ...]) -> str:
    if missing == (_CALL,):
        return "roles/run.invoker"
    return (
        "roles/run.developer (roles/run.admin to open it, roles/run.invoker to call what is closed)"
    )


def _missing(permissions: tuple[str, ...], role: str) -> PreflightFinding:
    return _blocking(f"permissions are missing: {', '.join(permissions)}", f"ask for {role}")
