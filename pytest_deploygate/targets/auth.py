"""Credentials: those of the machine for the APIs, ID tokens for calling a service that is not public.

Found as Google's libraries find them (Application Default Credentials): a key file, a workload
identity federation file, what ``gcloud auth application-default login`` left, or the metadata
server. Never stored, never logged.
"""

import os
from typing import Final

import requests
from google.auth import default, external_account, impersonated_credentials
from google.auth.credentials import Credentials, with_scopes_if_required
from google.auth.exceptions import GoogleAuthError, TransportError
from google.auth.transport.requests import AuthorizedSession, Request
from google.oauth2 import id_token

from pytest_deploygate.core.errors import ConfigError, TargetRefused, TargetUnavailable
from pytest_deploygate.core.identifiers import Secret
from pytest_deploygate.ports import Clock

SCOPE: Final = "https://www.googleapis.com/auth/cloud-platform"
SHEETS: Final = "https://www.googleapis.com/auth/spreadsheets"
"""Scope of the Sheets API, which does not take :data:`SCOPE`."""
IAM_CREDENTIALS: Final = "https://iamcredentials.googleapis.com/v1"
_TOKEN_LIFE_S: Final = 2700.0
"""ID tokens live for an hour; a new one is fetched well before."""
_TIMEOUT_S: Final = 30.0
_HOW: Final = (
    "On your machine: gcloud auth application-default login. In CI: google-github-actions/auth "
    "with workload identity federation, or GOOGLE_APPLICATION_CREDENTIALS naming a key file."
)


def credentials_for(project: str, *scopes: str) -> Credentials:
    """The machine's own credentials, for deploying to ``project`` and for ``scopes``.

    Raises:
        ConfigError: there are none, or the file that names them is unusable.
    """
    try:
        # with scopes, the library would ask the network which project a federated identity is of
        credentials, _ = default()
        scoped: Credentials = with_scopes_if_required(credentials, [SCOPE, *scopes])  # type: ignore[no-untyped-call]
    except (GoogleAuthError, ValueError) as error:
        named = os.environ.get("GOOGLE_APPLICATION_CREDENTIALS")
        where = f" (GOOGLE_APPLICATION_CREDENTIALS is {named})" if named else ""
        raise ConfigError(
            f"no usable Google credentials for the project {project}{where}: "
            f"{(str(error) or type(error).__name__).splitlines()[0]}",
            hint=_HOW,
        ) from error
    return scoped


def access_token(project: str, *scopes: str) -> Secret:
    """An access token for what the checks read themselves, good for about an hour.

    Raises:
        ConfigError: there are no credentials.
        TargetRefused, TargetUnavailable: they give no token.
    """
    credentials = credentials_for(project, *scopes)
    try:
        credentials.refresh(Request())  # type: ignore[no-untyped-call]
    except TransportError as error:
        raise TargetUnavailable(
            f"the token server did not answer: {type(error).__name__}", hint="try again"
        ) from error
    except GoogleAuthError as error:
        raise TargetRefused(
            f"these credentials give no access token: {type(error).__name__}", hint=_HOW
        ) from error
    return Secret(str(credentials.token))


class CallTokens:
    """ID tokens for one audience, kept while they live; ``iam_url`` is the IAM Credentials API's."""

    def __init__(
        self, credentials: Credentials, clock: Clock, *, iam_url: str = IAM_CREDENTIALS
    ) -> None:
        self._credentials = credentials
        self._clock = clock
        self._iam_url = iam_url
        self._kept: tuple[str, float, Secret] | None = None

    def token(self, audience: str) -> Secret:
        """A bearer token for calling the service whose address is ``audience``.

        Raises:
            TargetRefused: these credentials cannot make one.
            TargetUnavailable: the token server does not answer.
        """
        now = self._clock.monotonic()
        if self._kept is not None and self._kept[0] == audience and now < self._kept[1]:
            return self._kept[2]
        try:
            made = Secret(self._make(audience))
        except (TransportError, requests.ConnectionError, requests.Timeout) as error:
            raise TargetUnavailable(
                f"no ID token for {audience}: the token server did not answer",
                hint="nothing was changed; try again",
            ) from error
        except (GoogleAuthError, requests.RequestException, KeyError, ValueError) as error:
            raise TargetRefused(
                f"these credentials cannot make an ID token for {audience}: {type(error).__name__}",
                hint="calling a private service takes a service account. Use one, or act as one: "
                "gcloud auth application-default login --impersonate-service-account=EMAIL; with "
                "workload identity federation, name the service account and give it "
                "roles/iam.serviceAccountTokenCreator on itself",
            ) from error
        self._kept = (audience, now + _TOKEN_LIFE_S, made)
        return made

    def _make(self, audience: str) -> str:
        credentials = self._credentials
        if isinstance(credentials, impersonated_credentials.Credentials):
            token = impersonated_credentials.IDTokenCredentials(  # type: ignore[no-untyped-call]
                credentials, target_audience=audience, include_email=True
            )
            token.refresh(Request())
            return str(token.token)
        if isinstance(credentials, external_account.Credentials):
            email = credentials.service_account_email
            if not email:
                raise ValueError("a federated identity without a service account")
            return self._from_iam(str(email), audience)
        return str(id_token.fetch_id_token(Request(), audience))  # type: ignore[no-untyped-call]

    def _from_iam(self, email: str, audience: str) -> str:
        """For workload identity federation, whose credentials sign nothing themselves."""
        session = AuthorizedSession(self._credentials)  # type: ignore[no-untyped-call]
        with session:
            response = session.post(
                f"{self._iam_url}/projects/-/serviceAccounts/{email}:generateIdToken",
                json={"audience": audience, "includeEmail": True},
                timeout=_TIMEOUT_S,
            )
            response.raise_for_status()
            return str(response.json()["token"])
