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

from pytest_deploygate.core.errors import DeployGateError
from pytest_deploygate.core.preflight import PreflightFinding
from pytest_deploygate.core.release import OWN_TAGS, FunctionSpec
from pytest_deploygate.targets import converters
from pytest_deploygate.targets.api_caller import ApiCaller
from pytest_deploygate.targets.api_errors import NEEDED_APIS, enable
from pytest_deploygate.targets.functions_api import CloudFunctions
from pytest_deploygate.targets.run_api import RunServices
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
    "FUNCTION_TARGET",
    "FUNCTION_SIGNATURE_TYPE",
)
"""Variables that no deployment may set (Cloud Run functions, "reserved environment variables")."""
_ON_FUNCTION: Final = (
    "cloudfunctions.functions.get",
    "cloudfunctions.functions.update",
    "cloudfunctions.functions.sourceCodeGet",
)
_ON_SERVICE: Final = ("run.services.get", "run.services.update", "run.services.getIamPolicy")
_OPEN: Final = "run.services.setIamPolicy"
_CALL: Final = "run.routes.invoke"
_ACT_AS: Final = "iam.serviceAccounts.actAs"
_State = functions_v2.Function.State


@dataclass(frozen=True, slots=True, kw_only=True)
class Preflight:
    """What is asked, of whom; ``session`` carries the credentials, the addresses are those of the APIs v1."""

    spec: FunctionSpec
    functions: CloudFunctions
    services: RunServices
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
        if function is not None:
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
            hint = "Look at them yourself: gcloud services list --enabled"
            return [PreflightFinding(is_blocking=False, sentence=error.message, hint=hint)]
        if not off:
            return []
        return [_blocking(f"APIs are not enabled: {', '.join(off)}", enable(*off))]

    def _names(self) -> Iterator[PreflightFinding]:
        name = self.spec.function
        if not _NAME.fullmatch(name):
            yield _blocking(
                f"{name!r} cannot be the name of a function",
                "At most 63 of a-z, 0-9, - and _, beginning with a letter.",
            )
        longest = max(OWN_TAGS, key=len)
        if len(longest) + len(name) > LONGEST_HOST_LABEL:
            yield _blocking(
                f"the name {name!r} has {len(name)} characters; with the tag {longest} in front its "
                f"address would have more than the {LONGEST_HOST_LABEL} that Cloud Run takes",
                f"Shorten it to {LONGEST_HOST_LABEL - len(longest)} characters.",
            )

        yield from self._variables()

    def _variables(self) -> Iterator[PreflightFinding]:
        """Names that the platform refuses, or that would say two things."""
        variables = {*self.spec.variables, *self.spec.verify_variables}
        for key in sorted({*variables, *self.spec.secrets}):
            if not _VARIABLE.fullmatch(key):
                yield _blocking(
                    f"{key!r} cannot be the name of a variable",
                    "Letters, digits and _, not beginning with a digit.",
                )
            elif key in _SET_BY_PLATFORM or key.startswith("X_GOOGLE_"):
                yield _blocking(
                    f"the platform itself sets the variable {key}", "Take another name for yours."
                )
        for key in sorted(variables & set(self.spec.secrets)):
            yield _blocking(
                f"{key} is both a plain variable and a secret", "Keep it under `secrets` alone."
            )
        for key in sorted({*self.spec.labels} & {*converters.OWN_LABELS}):
            yield _blocking(f"the label {key} is ours", "Take another name for yours.")

    def _runtime(self) -> Iterator[PreflightFinding]:
        offered = self.functions.runtimes()
        if offered and self.spec.runtime not in offered:
            python = ", ".join(r for r in offered if r.startswith("python"))
            yield _blocking(
                f"the region {self.spec.region} does not offer the runtime {self.spec.runtime}",
                f"It offers {python}.",
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

        if not self.caller.read(f"reading our permissions on {email}", ask):
            yield _blocking(
                f"we may not act as the function's service account {email}",
                f"gcloud iam service-accounts add-iam-policy-binding {email} "
                "--role=roles/iam.serviceAccountUser --member=WHO",
            )

    def _function(self, function: functions_v2.Function) -> Iterator[PreflightFinding]:
        name = self.spec.function
        if function.environment == functions_v2.Environment.GEN_1:
            yield _blocking(
                f"{name} is a function of the 1st generation", "Upgrade it, or take another name."
            )
        if "event_trigger" in function:
            yield _blocking(f"{name} is triggered by events, not by HTTP", "Take another name.")
        if function.state in (_State.DEPLOYING, _State.DELETING):
            yield _blocking(
                f"{name} is being changed right now ({function.state.name})",
                "Wait until that has ended.",
            )
        missing = self.functions.missing_permissions(_ON_FUNCTION)
        if missing:
            yield _missing(missing, "roles/cloudfunctions.developer")
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
        is_public = self.services.is_public(service)
        needed: tuple[str, ...] = _ON_SERVICE
        if self.spec.public and not is_public:
            needed = (*_ON_SERVICE, _OPEN)
            yield PreflightFinding(
                is_blocking=False,
                sentence=f"the settings say that {self.spec.function} is public, but it asks for "
                "a token; only a first release is opened",
                hint="Open it by hand: gcloud functions add-invoker-policy-binding "
                f"{self.spec.function} --region={self.spec.region} --member=allUsers",
            )
        if not is_public:
            needed = (*needed, _CALL)  # the candidate asks for a token as long as the service does
        missing = self.services.missing_permissions(name, needed)
        if missing:
            yield _missing(missing, _role_for(missing))

    def _traffic(self, service: run_v2.Service) -> Iterator[PreflightFinding]:
        plan = converters.resolved(converters.plan_of(service), converters.latest_ready(service))
        if plan.is_split:
            yield _blocking(
                f"traffic is split: {plan}; a rollout needs one revision that has all of it",
                "Give one revision all the traffic: deploygate rollback ENV --to REVISION",
            )
        if service.reconciling:
            yield _blocking(
                f"{converters.short_name(service.name)} is being changed right now",
                "Wait until that has ended.",
            )
        if plan.sole is not None:
            found = self.services.revision(service.name, plan.sole)
            if found is None or not converters.revision_info(found).is_ready:
                yield PreflightFinding(
                    is_blocking=False,
                    sentence=f"{plan.sole} has the traffic and is not ready",
                    hint="A rollback could only return to what does not work.",
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
    return _blocking(f"permissions are missing: {', '.join(permissions)}", f"Ask for {role}.")
