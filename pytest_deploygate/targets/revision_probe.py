"""Who answers at an address: one harmless request, and what its answer says."""

from typing import Final

import requests

from pytest_deploygate.core.errors import TargetUnavailable
from pytest_deploygate.core.identifiers import RevisionName, Secret
from pytest_deploygate.core.redaction import strip_query

REVISION_HEADER: Final = "X-Revision"
"""Response header by which a function may say which revision it is (its variable ``K_REVISION``)."""
_CONNECT_S: Final = 5.0
_SERVER_ERROR: Final = 500


def revision_at(
    session: requests.Session, url: str, token: Secret | None, *, timeout_s: float
) -> RevisionName | None:
    """Which revision answered one GET of ``url``, or None if the answer does not say.

    Any answer but a server error is one: a function may take no GET (405), or no call without a
    token (403).

    Raises:
        TargetUnavailable: nobody answered, or with a server error.
    """
    headers = {} if token is None else {"Authorization": f"Bearer {token.reveal()}"}
    try:
        response = session.get(
            url, headers=headers, timeout=(_CONNECT_S, timeout_s), allow_redirects=False
        )
    except requests.RequestException as error:
        raise TargetUnavailable(
            f"{strip_query(url)} did not answer: {type(error).__name__}",
            hint="Is the service up? deploygate status",
        ) from error
    if response.status_code >= _SERVER_ERROR:
        raise TargetUnavailable(
            f"{strip_query(url)} answered {response.status_code} {response.reason}",
            hint="Look at the function's log.",
        )
    named = response.headers.get(REVISION_HEADER)
    return RevisionName(named) if named else None
