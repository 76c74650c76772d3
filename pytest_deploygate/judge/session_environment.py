"""The environment variables that the session gets: the user's, or those without what the deployer acts with."""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Final

from pytest_deploygate.config.document import SessionCredentials
from pytest_deploygate.wiring import STATE_VARIABLE

_NAMES: Final = frozenset(
    (
        *("GOOGLE_APPLICATION_CREDENTIALS", "GOOGLE_GHA_CREDS_PATH", "GOOGLE_OAUTH_ACCESS_TOKEN"),
        *("GOOGLE_CREDENTIALS", "GOOGLE_CLOUD_KEYFILE_JSON", "GCLOUD_KEYFILE_JSON"),
        *("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "ACTIONS_ID_TOKEN_REQUEST_URL", "GITHUB_TOKEN"),
        *("GH_TOKEN", "CI_JOB_TOKEN", "CI_JOB_JWT", "CI_JOB_JWT_V2"),
        *("PGPASSWORD", "PGPASSFILE", "PGSERVICEFILE", STATE_VARIABLE),
    )
)
"""Variables that name credentials of Google's clients, identities of CI jobs, and the record with its password."""
_BEGINNING: Final = "CLOUDSDK_AUTH_"


def session_variables(
    variables: Mapping[str, str],
    credentials: SessionCredentials,
    *,
    kept: Collection[str],
    folder: Path,
) -> dict[str, str]:
    """What the session gets of ``variables``; those in ``kept`` whatever they are.

    Where credentials are withheld, Google's clients find neither those of ``gcloud`` in the home directory (``folder``
    takes its place) nor those of the machine.
    """
    if credentials is SessionCredentials.SHARED:
        return dict(variables)
    left = {
        name: value
        for name, value in variables.items()
        if name in kept or not (name in _NAMES or name.startswith(_BEGINNING))
    }
    empty = {"CLOUDSDK_CONFIG": str(folder / "no-credentials"), "NO_GCE_CHECK": "true"}
    return left | {name: value for name, value in empty.items() if name not in kept}
