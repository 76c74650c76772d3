"""What commands ask a running emulator."""

import json
from collections.abc import Sequence
from typing import NamedTuple

from pytest_deploygate.core.errors import TargetRefused, TargetUnavailable
from pytest_deploygate.emulator import lifecycle

_TIMEOUT_S = (2, 30)
_GCLOUD_APIS = ("CLOUDBUILD", "CLOUDFUNCTIONS", "CLOUDRESOURCEMANAGER", "RUN", "SERVICEUSAGE")
"""Those that ``gcloud functions deploy`` calls."""


class LocalService(NamedTuple):
    """A function that the emulator serves; ``serving`` has `REVISION PERCENT`."""

    service: str
    url: str
    serving: Sequence[str]


class LocalState(NamedTuple):
    """What ``emulator up`` and ``emulator status`` show."""

    is_up: bool
    endpoint: str = ""
    pid: int = 0
    version: str = ""
    home: str = ""
    services: Sequence[LocalService] = ()
    variables: Sequence[str] = ()
    """`NAME=value` for other clients."""


def client_variables(endpoint: str) -> tuple[str, ...]:
    """Environment variables by which gcloud, Terraform and functions outside of it find the emulator."""
    return (
        *(f"CLOUDSDK_API_ENDPOINT_OVERRIDES_{api}={endpoint}/" for api in _GCLOUD_APIS),
        "CLOUDSDK_AUTH_DISABLE_CREDENTIALS=true",
        f"GOOGLE_CLOUDFUNCTIONS2_CUSTOM_ENDPOINT={endpoint}/v2/",
        f"GOOGLE_CLOUD_RUN_V2_CUSTOM_ENDPOINT={endpoint}/v2/",
        f"GOOGLE_SHEETS_API_ENDPOINT={endpoint}",
        "NO_PROXY=127.0.0.1,localhost",
    )


def call_emulator(endpoint: str, method: str, path: str, body: object = None) -> object:
    """The answer of the admin API below ``/_local/``.

    Raises:
        TargetUnavailable: there is none.
        TargetRefused: it is an error.
    """
    import requests  # no other command needs it

    try:
        with requests.Session() as session:
            session.trust_env = False  # a proxy of the environment is not for loopback
            answer = session.request(
                method, f"{endpoint}/_local/{path}", json=body, timeout=_TIMEOUT_S
            )
    except requests.RequestException as error:
        raise TargetUnavailable(
            f"the emulator does not answer: {type(error).__name__}", hint="deploygate emulator logs"
        ) from error
    if not answer.ok:
        raise TargetRefused(f"the emulator refuses: {_message(answer.text)}")
    return answer.json() if answer.content else None


def _message(text: str) -> str:
    """The sentence in an error of the admin API, or the beginning of whatever else it is."""
    try:
        return str(json.loads(text)["error"]["message"])
    except (ValueError, KeyError, TypeError):
        return text[:500]


def read_state(cloud: lifecycle.RunningEmulator) -> LocalState:
    """What a running emulator serves."""
    answer = call_emulator(cloud.endpoint, "GET", "services")
    services = answer["services"] if isinstance(answer, dict) else []
    return LocalState(
        is_up=True,
        endpoint=cloud.endpoint,
        pid=cloud.pid,
        version=cloud.version,
        home=str(cloud.home),
        variables=client_variables(cloud.endpoint),
        services=[
            LocalService(
                service=str(service["service"]).rpartition("/")[2],
                url=str(service["url"]),
                serving=[
                    f"{t['revision']} {t['percent']}" for t in service["traffic"] if t["percent"]
                ],
            )
            for service in services
        ],
    )
