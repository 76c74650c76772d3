"""Which version of a secret ``latest`` stands for now: a rollback to a revision with ``latest`` is none.

Asks Secret Manager for the version's name (``projects.secrets.versions.get``), never for its
content.
"""

import logging
from collections.abc import Mapping
from dataclasses import replace
from typing import Final

import requests
from google.api_core.exceptions import from_http_response

from pytest_deploygate.core.errors import TargetRefused
from pytest_deploygate.core.release import FunctionSpec, SecretRef
from pytest_deploygate.targets.calls import Caller

logger = logging.getLogger(__name__)

SECRET_MANAGER: Final = "https://secretmanager.googleapis.com/v1"  # noqa: S105 - an address
LATEST: Final = "latest"


class SecretVersions:
    """Asks through ``session``, which carries the credentials; each answer is kept for the rollout."""

    def __init__(
        self, session: requests.Session, caller: Caller, *, base_url: str = SECRET_MANAGER
    ) -> None:
        self._session = session
        self._caller = caller
        self._base_url = base_url
        self._known: dict[tuple[str, str], str] = {}

    def resolve(self, spec: FunctionSpec) -> Mapping[str, SecretRef]:
        """The secrets of ``spec`` by variable, each with a number for its version.

        Raises:
            TargetRefused: a secret or its version does not exist, is disabled, or may not be seen.
        """
        return {key: self._numbered(ref, spec.project) for key, ref in spec.secrets.items()}

    def _numbered(self, ref: SecretRef, project: str) -> SecretRef:
        if ref.version not in {"", LATEST}:
            return ref
        owner = ref.project or project
        if (owner, ref.name) not in self._known:
            number = self._ask(owner, ref.name)
            self._known[owner, ref.name] = number
            logger.info("target.secret_resolved", extra={"secret": ref.name, "version": number})
        return replace(ref, version=self._known[owner, ref.name])

    def _ask(self, project: str, name: str) -> str:
        url = f"{self._base_url}/projects/{project}/secrets/{name}/versions/{LATEST}"

        def call() -> tuple[str, str]:
            response = self._session.get(url, timeout=self._caller.timeout_s)
            if not response.ok:
                raise from_http_response(response)  # type: ignore[no-untyped-call]
            body = response.json()
            return str(body["name"]), str(body.get("state", ""))

        full_name, state = self._caller.read(
            f"reading the newest version of the secret {name}", call
        )
        number = full_name.rpartition("/")[2]
        if state != "ENABLED" or not number.isdigit():
            raise TargetRefused(
                f"the newest version of the secret {name} ({number}) is {state or 'unknown'}",
                hint=f"Enable it, or name a version in the settings: {name}:NUMBER",
            )
        return number
