"""The official clients over REST, for Google and for the emulator alike.

Only endpoint and credentials differ. Loading this module costs about a second (protobuf): import it
where a target is made, never where the plugin loads.
"""

import os
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

import requests
from google.api_core.client_options import ClientOptions
from google.auth.credentials import AnonymousCredentials, Credentials
from google.auth.transport.requests import AuthorizedSession
from google.cloud import functions_v2, run_v2

from pytest_deploygate.core.errors import ConfigError
from pytest_deploygate.targets.api_caller import ApiCaller
from pytest_deploygate.targets.json_api import JsonApi

LOOPBACK: Final = ("127.0.0.1", "localhost", "::1")
_PROXY_VARIABLES: Final = ("http_proxy", "https_proxy", "all_proxy")


def base_url(endpoint: str, api: str, version: str) -> str:
    """Where the API ``api`` (``monitoring``) is asked: at ``endpoint``, or at Google's own address."""
    place = endpoint.rstrip("/") or f"https://{api}.googleapis.com"
    return f"{place}/{version}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Clients:
    """Clients of one endpoint. ``session`` carries the credentials; ``plain`` none, for signed URLs.

    ``endpoint`` is empty for Google's own addresses.
    """

    functions: functions_v2.FunctionServiceClient
    services: run_v2.ServicesClient
    revisions: run_v2.RevisionsClient
    session: requests.Session
    plain: requests.Session
    endpoint: str = ""

    def json_api(self, api: str, version: str, caller: ApiCaller) -> JsonApi:
        """The API ``api`` asked in plain JSON."""
        return JsonApi(self.session, base_url(self.endpoint, api, version), caller)

    def close(self) -> None:
        """Close all connections."""
        for client in (self.functions, self.services, self.revisions):
            client.transport.close()  # type: ignore[no-untyped-call]
        self.session.close()
        self.plain.close()


def connect(endpoint: str, credentials: Credentials | None) -> Clients:
    """Clients for ``endpoint`` (with scheme; empty: Google's own); opens no connection yet.

    Raises:
        ConfigError: the endpoint is no address.
    """
    options = None
    if endpoint:
        parts = urlsplit(endpoint)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ConfigError(
                f"the endpoint {endpoint!r} is no address",
                hint="write it with its scheme: http://127.0.0.1:8790",
            )
        options = ClientOptions(api_endpoint=endpoint.rstrip("/"))
        if parts.hostname in LOOPBACK:
            bypass_proxies()
    who = credentials or AnonymousCredentials()  # type: ignore[no-untyped-call]
    session = authorized_session(credentials) if credentials else requests.Session()
    return Clients(
        functions=functions_v2.FunctionServiceClient(
            credentials=who, transport="rest", client_options=options
        ),
        services=run_v2.ServicesClient(credentials=who, transport="rest", client_options=options),
        revisions=run_v2.RevisionsClient(credentials=who, transport="rest", client_options=options),
        session=session,
        plain=requests.Session(),
        endpoint=endpoint,
    )


def authorized_session(credentials: Credentials) -> requests.Session:
    """A session that sends ``credentials`` along."""
    session: requests.Session = AuthorizedSession(credentials)  # type: ignore[no-untyped-call]
    return session


def bypass_proxies() -> None:
    """Let no proxy of the environment stand between this process and loopback.

    By the environment, because the clients keep several sessions and the suites have their own.
    """
    if not any(os.environ.get(n) or os.environ.get(n.upper()) for n in _PROXY_VARIABLES):
        return
    for name in ("no_proxy", "NO_PROXY"):
        known = [part for part in os.environ.get(name, "").split(",") if part]
        os.environ[name] = ",".join([*known, *(h for h in LOOPBACK if h not in known)])
