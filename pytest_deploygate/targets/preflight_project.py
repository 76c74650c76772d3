"""What preflight asks of the project: which APIs are enabled, and whether we may act as the service account."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import requests
from google.api_core.exceptions import from_http_response

from pytest_deploygate.core.errors import DeployGateError, TargetRefused
from pytest_deploygate.core.function_spec import FunctionSpec
from pytest_deploygate.core.preflight import PreflightFinding
from pytest_deploygate.targets.api_caller import ApiCaller
from pytest_deploygate.targets.api_errors import enable
from pytest_deploygate.targets.preflight_findings import (
    blocking_finding,
    note,
    permissions_not_told,
)
from pytest_deploygate.targets.secret_versions import SecretVersions

_ACT_AS: Final = "iam.serviceAccounts.actAs"


@dataclass(frozen=True, slots=True, kw_only=True)
class ProjectPreflight:
    """What is asked, of whom; ``session`` carries the credentials, the addresses are those of the APIs v1."""

    spec: FunctionSpec
    secrets: SecretVersions
    session: requests.Session
    caller: ApiCaller
    iam_url: str
    usage_url: str
    needed_apis: tuple[str, ...]

    def apis(self) -> list[PreflightFinding]:
        """APIs that only the build will miss: it would fail minutes later. Who may not ask is told that."""
        has_secrets = self.spec.secrets or self.spec.container.secret_files
        needed = self.needed_apis + (("secretmanager.googleapis.com",) if has_secrets else ())
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
            return [note(error.message, hint)]
        if not off:
            return []
        return [blocking_finding(f"APIs are not enabled: {', '.join(off)}", enable(*off))]

    def secret_versions(self) -> Iterator[PreflightFinding]:
        """Whether each secret is there and may be read."""
        self.secrets.resolve(self.spec)
        self.secrets.resolve_files(self.spec)
        yield from ()

    def account(self, email: str) -> Iterator[PreflightFinding]:
        """Whether we may let the function run as its service account ``email``; of none nothing is asked."""
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
            yield permissions_not_told(error)
        if not is_granted:
            yield blocking_finding(
                f"we may not act as the function's service account {email}",
                f"gcloud iam service-accounts add-iam-policy-binding {email} "
                "--role=roles/iam.serviceAccountUser --member=WHO",
            )
