"""Who answers at an address: one harmless request, and what its answer says.

An answer of the function itself proves that a revision of it serves, whatever the status: a webhook that needs a body
answers a bare GET with 500. A page of the platform (no permission, no such service, no instance) proves nothing.
"""

from typing import Final

import requests

from pytest_deploygate.core.errors import TargetUnavailable
from pytest_deploygate.core.function_spec import ConfirmRequest
from pytest_deploygate.core.identifiers import RevisionName, Secret
from pytest_deploygate.core.redaction import strip_query

REVISION_HEADER: Final = "X-Revision"
"""Response header by which a function may say which revision it is (its variable ``K_REVISION``)."""
_CONNECT_S: Final = 5.0
_PAGES: Final = frozenset((403, 404, 429, 500, 502, 503, 504))
"""Statuses of pages that Cloud Run gives by itself (Cloud Run, "Troubleshoot")."""
_MARKS: Final = (
    "<h1>error:",
    "rate exceeded.",
    "!!1",
    "upstream connect error",
    "upstream request timeout",
    "no healthy upstream",
)
"""What those pages hold: Cloud Run's own, the one for 429, Google's robot page, and the proxy before the instances."""
_FORBIDDEN: Final = 403


class AccessDenied(TargetUnavailable):
    """The platform let the request through to nobody: it needs a token, or another one."""


class RevisionProbe:
    """Asks addresses by ``confirm``; one answer may take ``timeout_s``."""

    def __init__(
        self, session: requests.Session, confirm: ConfirmRequest, *, timeout_s: float
    ) -> None:
        self._session = session
        self._confirm = confirm
        self._timeout_s = timeout_s

    def ask(self, url: str, token: Secret | None) -> RevisionName | None:
        """Which revision answered one request to ``url``, or None if the answer does not say.

        Raises:
            Closed: the platform refused the request itself.
            TargetUnavailable: nobody answered, only the platform did, or with a status that is not expected.
        """
        response = self._send(url, token)
        named = response.headers.get(REVISION_HEADER)
        what = f"{strip_query(url)} answered {response.status_code} {response.reason}"
        if not named and _is_of_platform(response):
            kind = AccessDenied if response.status_code == _FORBIDDEN else TargetUnavailable
            raise kind(
                f"{what}, which is a page of the platform and not of the function",
                hint="look at the service: is it ready, and may you call it?",
            )
        expect = self._confirm.expect
        if expect and response.status_code not in expect:
            raise TargetUnavailable(
                f"{what}; `confirm` expects {', '.join(map(str, expect))}",
                hint="look at the function's log, or correct `confirm` in the settings",
            )
        return RevisionName(named) if named else None

    def _send(self, url: str, token: Secret | None) -> requests.Response:
        confirm = self._confirm
        headers = {} if token is None else {"Authorization": f"Bearer {token.reveal()}"}
        if confirm.body:
            is_json = confirm.body.lstrip()[:1] in {"{", "["}
            headers["Content-Type"] = "application/json" if is_json else "text/plain"
        try:
            return self._session.request(
                confirm.method,
                _with_path(url, confirm.path),
                data=confirm.body.encode() or None,
                headers=headers,
                timeout=(_CONNECT_S, self._timeout_s),
                allow_redirects=False,
            )
        except requests.RequestException as error:
            raise TargetUnavailable(
                f"{strip_query(url)} did not answer: {type(error).__name__}",
                hint="is the service up? deploygate status",
            ) from error


def _with_path(url: str, path: str) -> str:
    return f"{url.rstrip('/')}{path}" if path else url


def _is_of_platform(response: requests.Response) -> bool:
    """Whether Cloud Run or its front end answered, and no code of the function."""
    if response.status_code not in _PAGES:
        return False
    text = response.text[:4000].lower()
    return any(mark in text for mark in _MARKS)
