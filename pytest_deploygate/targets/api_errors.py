"""Turns what the client libraries raise into the errors of the package.

Decided on the HTTP code and the status name that the answer carries, never on the text of a
message; and on what was asked: a read that fails changed nothing, a write whose answer is lost may
have been applied. Source of the table: the REST transports raise ``google.api_core`` exceptions by
HTTP code alone, and ``requests`` exceptions unwrapped.
"""

import email.utils
import re
import time
from dataclasses import dataclass
from typing import Final

import requests
from google.api_core import exceptions as api
from google.auth import exceptions as auth
from google.protobuf import json_format
from urllib3 import exceptions as urllib3

from pytest_deploygate.core.errors import (
    DeployGateError,
    OutcomeUnknown,
    TargetRefused,
    TargetUnavailable,
)
from pytest_deploygate.core.redaction import strip_queries


class Conflict(TargetUnavailable):
    """Somebody else was faster: a stale etag, or another operation under way. Read again first."""


_NEVER_SENT: Final = (
    urllib3.NewConnectionError,
    urllib3.ConnectTimeoutError,
    urllib3.NameResolutionError,
    urllib3.ProxyError,
    urllib3.SSLError,
)
RAISED: Final = (
    DeployGateError,
    api.GoogleAPIError,
    auth.GoogleAuthError,
    requests.RequestException,
    urllib3.HTTPError,
    json_format.Error,
    ValueError,
    OSError,
)
"""All that a call may raise: the last four where an answer is cut off or is not what was promised."""
_LOGIN: Final = "gcloud auth application-default login"
API_IS_OFF: Final = "SERVICE_DISABLED"
"""Reason (``google.api.ErrorReason``) of an answer of an API that the project has not enabled."""
NEEDED_APIS: Final = (
    "cloudfunctions.googleapis.com",
    "run.googleapis.com",
    "cloudbuild.googleapis.com",
    "artifactregistry.googleapis.com",
)
"""APIs without which no function can be deployed."""
_PERMISSION: Final = re.compile(r"[Pp]ermission '([a-z]+(?:\.[A-Za-z]+){2})'")
"""How an answer names a permission that its details leave out; a hint is made of it, and nothing decided."""
_ROLES: Final = (
    ("cloudfunctions.", "roles/cloudfunctions.developer"),
    ("run.services.setIamPolicy", "roles/run.admin"),
    ("run.routes.invoke", "roles/run.invoker"),
    ("run.", "roles/run.developer"),
    ("iam.serviceAccounts.actAs", "roles/iam.serviceAccountUser on the account that is named"),
    ("iam.serviceAccounts.", "roles/iam.serviceAccountOpenIdTokenCreator on the deploying account"),
    ("secretmanager.versions.access", "roles/secretmanager.secretAccessor"),
    ("secretmanager.", "roles/secretmanager.viewer"),
    ("artifactregistry.", "roles/artifactregistry.writer on the repository of the image"),
    ("cloudbuild.", "roles/cloudbuild.builds.viewer"),
    ("monitoring.", "roles/monitoring.viewer"),
    ("logging.", "roles/logging.viewer"),
    ("serviceusage.", "roles/serviceusage.serviceUsageConsumer"),
)
"""The least role that has a permission, by how the permission begins (docs/how-to/google.md); the first counts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorAnswer:
    """An error answer of an API: HTTP code, status name (``ABORTED``), message, and what its ErrorInfo says."""

    http: int
    status: str
    message: str
    reason: str = ""
    api: str = ""
    """Host of the API that the answer is about (``run.googleapis.com``), where it says so."""
    permission: str = ""
    """Permission that is missing, where the answer names it."""
    retry_after_s: float | None = None

    @property
    def is_conflict(self) -> bool:
        """Whether somebody else was faster: a stale etag, or another operation under way."""
        return (self.http == 409 and self.status != "ALREADY_EXISTS") or self.http == 412


def error_answer_of(error: BaseException) -> ErrorAnswer | None:
    """The error answer that ``error`` carries, or None if there was no answer."""
    if not isinstance(error, api.GoogleAPICallError):
        return None
    status, message, retry_after = "", error.message or "", None
    response = error.response
    if isinstance(response, requests.Response):
        status, said = _read_error(response)
        message = said or message
        retry_after = retry_after_of(response)
    if not status and error.grpc_status_code is not None:
        status = error.grpc_status_code.name
    told = dict(error.metadata or {})
    named = _PERMISSION.search(message)
    return ErrorAnswer(
        http=int(error.code or 0),
        status=status,
        message=strip_queries(message),
        reason=error.reason or "",
        api=str(told.get("service", "")),
        permission=str(told.get("permission", "")) or (named[1] if named is not None else ""),
        retry_after_s=retry_after,
    )


def _read_error(response: requests.Response) -> tuple[str, str]:
    """Status name and message of an error answer; the exception itself has neither by itself."""
    try:
        error = response.json()["error"]
        return str(error.get("status", "")), str(error.get("message", ""))
    except (ValueError, KeyError, TypeError, AttributeError):
        return "", ""


def retry_after_of(response: requests.Response) -> float | None:
    """Seconds that the header ``Retry-After`` asks for (RFC 9110 10.2.3), or None."""
    text = response.headers.get("Retry-After", "")
    if text.isdigit():
        return float(text)
    parsed = email.utils.parsedate_tz(text)
    return None if parsed is None else max(0.0, email.utils.mktime_tz(parsed) - time.time())


def is_never_sent(error: BaseException) -> bool:
    """Whether the request certainly did not reach the server."""
    if isinstance(error, requests.ConnectTimeout | requests.exceptions.ProxyError):
        return True
    if not isinstance(error, requests.ConnectionError):
        return False
    inner = error.args[0] if error.args else None
    reason = getattr(inner, "reason", inner)
    return isinstance(reason, _NEVER_SENT)


def translate_error(error: Exception, *, doing: str, is_write: bool) -> DeployGateError:
    """The error of the package for ``error``, raised while ``doing`` (``reading the service S``)."""
    if isinstance(error, DeployGateError):
        return error
    answer = error_answer_of(error)
    if answer is not None:
        return _answer_error(answer, doing, is_write=is_write)
    if isinstance(error, auth.GoogleAuthError):
        return _auth_error(error, doing)
    if is_never_sent(error):
        return TargetUnavailable(
            f"{doing}: no connection: {_short(error)}",
            hint="is the address right, and is a proxy in the way? For the emulator: "
            "deploygate emulator up",
        )
    return lost_answer_error(f"{doing}: {_short(error)}", is_write=is_write)


def lost_answer_error(message: str, *, is_write: bool) -> DeployGateError:
    """For a request that was sent and got no usable answer."""
    if is_write:
        return OutcomeUnknown(
            f"{message}; it may have been applied all the same",
            hint="look at what is true now before anything else: deploygate status",
        )
    return TargetUnavailable(message, hint="nothing was changed; try again")


def _short(error: Exception) -> str:
    text = strip_queries(str(error)).splitlines()
    return f"{type(error).__name__}: {text[0][:300]}" if text else type(error).__name__


def _answer_error(answer: ErrorAnswer, doing: str, *, is_write: bool) -> DeployGateError:
    said = f"{doing}: {answer.http} {answer.status}: {answer.message}".replace("  ", " ")
    if answer.is_conflict:
        return Conflict(
            said,
            hint="another deployment or change of the same function is under way. Wait until it "
            "has ended, then try again",
        )
    match answer.http:
        case 401:
            return TargetRefused(said, hint=f"the credentials are not accepted: {_LOGIN}")
        case 403:
            return TargetRefused(said, hint=_hint_forbidden(answer))
        case 404:
            return TargetRefused(said, hint="check project, region and name in the settings")
        case 409:
            return TargetRefused(
                said,
                hint="it exists already: somebody else made it, or an earlier deployment left it. "
                "Look at what is there: deploygate status",
            )
        case 429:
            return TargetUnavailable(
                said, hint="a quota is used up: wait a minute, or ask for more of it"
            )
        case 501:
            return TargetRefused(said, hint="the platform does not offer this call here")
        case code if code >= 500 or code == 408:
            return lost_answer_error(said, is_write=is_write)
        case _:
            return TargetRefused(said, hint="the platform does not take these settings")


def enable(*apis: str) -> str:
    """What to type for ``apis`` that are off."""
    return f"Enable what is off, then wait a minute: gcloud services enable {' '.join(apis)}"


def _hint_forbidden(answer: ErrorAnswer) -> str:
    if answer.reason == API_IS_OFF:
        return enable(answer.api) if answer.api else enable(*NEEDED_APIS)
    role = next((role for start, role in _ROLES if answer.permission.startswith(start)), "")
    if role:
        return f"the deploying account lacks {answer.permission}: ask for {role}"
    return (
        "the deploying account needs roles/run.developer on the project (for the target google also "
        "roles/cloudfunctions.developer), and roles/iam.serviceAccountUser on the function's service account; "
        "roles/run.admin to open the service to the public"
    )


def _auth_error(error: auth.GoogleAuthError, doing: str) -> DeployGateError:
    said = f"{doing}: {_short(error)}"
    if isinstance(error, auth.TransportError) or error.retryable:
        return TargetUnavailable(said, hint="the token server did not answer; try again")
    return TargetRefused(said, hint=f"the credentials are not accepted: {_LOGIN}")
