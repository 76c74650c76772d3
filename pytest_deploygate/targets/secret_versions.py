"""Which version of a secret ``latest`` stands for now: a rollback to a revision with ``latest`` is none.

Asks Secret Manager for each version's name and state (``projects.secrets.versions.get``), never for
its content.
"""

import logging
from collections.abc import Callable, Mapping
from typing import Final

import requests
from google.api_core.exceptions import from_http_response

from pytest_deploygate.core.errors import TargetRefused
from pytest_deploygate.core.function_spec import FunctionSpec
from pytest_deploygate.core.secret_ref import SecretRef
from pytest_deploygate.targets.api_caller import ApiCaller
from pytest_deploygate.targets.api_errors import API_IS_OFF, error_answer_of

logger = logging.getLogger(__name__)

LATEST: Final = "latest"
_HINTS: Final = {
    403: "the deploying account needs roles/secretmanager.viewer on it: gcloud secrets "
    "add-iam-policy-binding {name} --project={project} --role=roles/secretmanager.viewer --member=WHO",
    404: "correct `secrets` in the settings, or make it: gcloud secrets create {name} "
    "--project={project} --data-file=-",
}
"""What to do where the secret may not be seen, or is not there."""


class SecretVersions:
    """Asks through ``session``, which carries the credentials; each answer is kept for the rollout."""

    def __init__(self, session: requests.Session, caller: ApiCaller, *, base_url: str) -> None:
        self._session = session
        self._caller = caller
        self._base_url = base_url
        self._known: dict[tuple[str, str, str], str] = {}

    def resolve(self, spec: FunctionSpec) -> Mapping[str, SecretRef]:
        """The secrets of ``spec`` by variable, each with a number for its version.

        Raises:
            TargetRefused: a secret or its version does not exist, is disabled, or may not be seen.
        """
        return {key: self._pin_version(ref, spec.project) for key, ref in spec.secrets.items()}

    def resolve_files(self, spec: FunctionSpec) -> Mapping[str, SecretRef]:
        """The secrets that are files, by path, each with a number for its version.

        Raises:
            TargetRefused: as with :meth:`resolve`.
        """
        files = spec.container.secret_files
        return {path: self._pin_version(ref, spec.project) for path, ref in files.items()}

    def _pin_version(self, ref: SecretRef, project: str) -> SecretRef:
        wanted = (ref.project or project, ref.name, ref.version or LATEST)
        if wanted not in self._known:
            self._known[wanted] = number = self._ask(*wanted)
            logger.info("target.secret_resolved", extra={"secret": ref.name, "version": number})
        return ref._replace(version=self._known[wanted])

    def _ask(self, project: str, name: str, version: str) -> str:
        url = f"{self._base_url}/projects/{project}/secrets/{name}/versions/{version}"

        def call() -> tuple[str, str]:
            response = self._session.get(url, timeout=self._caller.timeout_s)
            if not response.ok:
                raise from_http_response(response)  # type: ignore[no-untyped-call]
            body = response.json()
            return str(body["name"]), str(body.get("state", ""))

        full_name, state = self._read(project, name, version, call)
        number = full_name.rpartition("/")[2]
        if state != "ENABLED" or not number.isdigit():
            raise TargetRefused(
                f"the version {version} of the secret {name} ({number}) is {state or 'unknown'}",
                hint=f"enable it, or name another version in the settings: {name}:NUMBER",
            )
        return number

    def _read(
        self, project: str, name: str, version: str, call: Callable[[], tuple[str, str]]
    ) -> tuple[str, str]:
        try:
            return self._caller.read(f"reading the version {version} of the secret {name}", call)
        except TargetRefused as error:
            cause = error.__cause__
            answer = error_answer_of(cause) if cause is not None else None
            if answer is None or answer.http not in _HINTS:
                raise
            if answer.reason == API_IS_OFF:
                raise
            hint = _HINTS[answer.http].format(name=name, project=project)
            raise TargetRefused(error.message, hint=hint) from cause
