"""Hands one message to its receiver, and finds the values that the settings only refer to."""

import base64
import hashlib
import hmac
import os
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Final

import requests

from pytest_deploygate.core.errors import ConfigError, DeployGateError, TargetUnavailable
from pytest_deploygate.core.identifiers import Secret
from pytest_deploygate.core.notification import Delivery, NotifyChannel
from pytest_deploygate.core.record import RolloutRecord
from pytest_deploygate.notify.message_bodies import Message, heading, messages_of

TIMEOUT_S: Final = 10.0
SIGNATURE: Final = "X-Deploygate-Signature"
DELIVERY: Final = "X-Deploygate-Delivery"
EVENT: Final = "X-Deploygate-Event"


class NotDelivered(DeployGateError):
    """A receiver did not take a message; it may be sent again."""


def resolve_reference(
    text: str,
    variables: Mapping[str, str],
    read_secret: "Callable[[str], str] | None" = None,
) -> Secret:
    """The value that a setting refers to.

    Raises:
        ConfigError: there is none.
        TargetUnavailable: Secret Manager did not answer.
    """
    kind, _, name = text.partition(":")
    if kind == "secret":
        return Secret((read_secret or read_google_secret)(name).strip())
    value = variables.get(name, "").strip()
    if not value:
        raise ConfigError(
            f"the environment variable {name} is not set", hint=f"export {name}=... for this job"
        )
    return Secret(value)


def read_google_secret(name: str) -> str:
    """The value of a version of a secret in Secret Manager."""
    from google.auth import default
    from google.auth.exceptions import GoogleAuthError
    from google.auth.transport.requests import AuthorizedSession

    try:
        credentials, _ = default(scopes=["https://www.googleapis.com/auth/cloud-platform"])
        with AuthorizedSession(credentials) as session:  # type: ignore[no-untyped-call]
            url = f"https://secretmanager.googleapis.com/v1/{name}:access"
            answer = session.get(url, timeout=TIMEOUT_S)
            answer.raise_for_status()
            return base64.b64decode(answer.json()["payload"]["data"]).decode()
    except (GoogleAuthError, requests.RequestException, KeyError, ValueError) as error:
        raise TargetUnavailable(
            f"the secret {name} cannot be read: {type(error).__name__}",
            hint="the job needs roles/secretmanager.secretAccessor on it",
        ) from error


def deliver(
    channel: NotifyChannel,
    record: RolloutRecord,
    delivery: Delivery,
    now: datetime,
    *,
    variables: Mapping[str, str] = os.environ,
) -> None:
    """Send everything that ``channel`` is to be told of ``delivery``; ``record`` is clean of secrets.

    Raises:
        NotDelivered: the receiver did not take it.
        ConfigError, TargetUnavailable: a value that the settings refer to is not to be had.
    """
    url = resolve_reference(channel.url, variables)
    if channel.form == "apprise":
        _send_by_apprise(url, record, delivery)
        return
    key = resolve_reference(channel.signing_key, variables) if channel.signing_key else None
    for message in messages_of(channel.form, record, delivery):
        headers = {
            "Content-Type": message.content_type,
            "User-Agent": "pytest-deploygate",
            DELIVERY: message.message_id,
            EVENT: delivery.event.value,
        }
        if key is not None:
            headers[SIGNATURE] = sign(key, message.body, now)
        _post(url, message, headers)


def sign(key: Secret, body: bytes, now: datetime) -> str:
    """``t=SECONDS,v1=HEX``: HMAC-SHA256 of the seconds, a point and the body."""
    seconds = int(now.timestamp())
    signed = f"{seconds}.".encode() + body
    digest = hmac.new(key.reveal().encode(), signed, hashlib.sha256).hexdigest()
    return f"t={seconds},v1={digest}"


def _post(url: Secret, message: Message, headers: Mapping[str, str]) -> None:
    try:
        # no redirect: the address is a secret, and whoever it leads to must not get the message
        answer = requests.post(
            url.reveal(),
            data=message.body,
            headers=dict(headers),
            timeout=TIMEOUT_S,
            allow_redirects=False,
            stream=True,
        )
        with answer:
            status = answer.status_code
    except requests.RequestException as error:
        # the library's own text has the address
        raise NotDelivered(f"no answer: {type(error).__name__}") from None
    if not 200 <= status < 300:
        raise NotDelivered(f"the receiver answered {status}")


def _send_by_apprise(url: Secret, record: RolloutRecord, delivery: Delivery) -> None:
    try:
        import apprise
    except ImportError:
        raise ConfigError(
            "apprise is not installed", hint="pip install 'pytest-deploygate[apprise]'"
        ) from None
    receiver = apprise.Apprise()
    if not receiver.add(url.reveal()):
        raise ConfigError("the address is none that apprise knows")
    body = (
        f"{record.reason}\nserving: {record.serving or 'not known'}\nrollout: {record.rollout_id}"
    )
    if not receiver.notify(body=body, title=heading(record, delivery.event)):
        raise NotDelivered("apprise could not deliver it")
