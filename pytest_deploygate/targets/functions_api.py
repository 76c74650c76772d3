"""The Cloud Functions v2 API: the function, its source, and the operations that deploy it."""

import hashlib
import logging
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import requests
from google.cloud import functions_v2
from google.protobuf import field_mask_pb2, json_format

from pytest_deploygate.core.errors import (
    ConfigError,
    OutcomeUnknown,
    TargetRefused,
    TargetUnavailable,
)
from pytest_deploygate.core.function_spec import FunctionSpec
from pytest_deploygate.core.identifiers import Digest
from pytest_deploygate.core.redaction import strip_query
from pytest_deploygate.system.retry import Backoff, attempts
from pytest_deploygate.targets.api_caller import ApiCaller
from pytest_deploygate.targets.clients import LOOPBACK, Clients
from pytest_deploygate.targets.function_operations import (
    DeploymentOperation,
    function_of,
    operation_of,
)

logger = logging.getLogger(__name__)

UPLOAD_HOST: Final = "storage.googleapis.com"
_TRANSFER_S: Final = 300.0
_UPLOAD_ATTEMPTS: Final = 5
_CHUNK_BYTES: Final = 1 << 20


class CloudFunctions:
    """Calls of the Cloud Functions v2 API for one function; ``is_local`` relaxes where source may go."""

    def __init__(
        self, clients: Clients, caller: ApiCaller, spec: FunctionSpec, *, is_local: bool
    ) -> None:
        self._client = clients.functions
        self._api = clients.json_api("cloudfunctions", "v2", caller)
        self._plain = clients.plain
        self._caller = caller
        self._spec = spec
        self._is_local = is_local
        self.parent = f"projects/{spec.project}/locations/{spec.region}"
        self.name = f"{self.parent}/functions/{spec.function}"

    def get(self) -> functions_v2.Function | None:
        """The function as the platform describes it, or None if there is none."""
        found = self._api.get(f"reading the function {self._spec.function}", self.name)
        return None if found is None else function_of(found)

    def require(self) -> functions_v2.Function:
        """The function.

        Raises:
            TargetRefused: it does not exist.
        """
        function = self.get()
        if function is None:
            raise TargetRefused(
                f"the function {self.name} does not exist",
                hint="check project, region and function in the settings, or deploy it first",
            )
        return function

    # -- source ----------------------------------------------------------------------------------

    def upload(self, path: Path) -> str:
        """Put an archive where the platform can build it; returns the place as JSON text.

        The signed address is used without credentials (they would break it) and is shown nowhere.

        Raises:
            TargetUnavailable: it did not get there.
            TargetRefused: the platform named an address that is not its own, or does not take it.
        """
        request = functions_v2.GenerateUploadUrlRequest(
            parent=self.parent, environment=functions_v2.Environment.GEN_2
        )
        answer = self._caller.read(
            "asking where to upload the source",
            lambda: self._client.generate_upload_url(
                request=request, timeout=self._caller.timeout_s, retry=None
            ),
        )
        self._check_host(answer.upload_url)
        self._put(answer.upload_url, path)
        # handed back unchanged, whatever the platform put there
        return str(json_format.MessageToJson(functions_v2.StorageSource.pb(answer.storage_source)))

    def _check_host(self, url: str) -> None:
        parts = urlsplit(url)
        is_known = parts.hostname == UPLOAD_HOST and parts.scheme == "https"
        if not is_known and not (self._is_local and parts.hostname in LOOPBACK):
            raise TargetRefused(
                f"the source would go to {parts.scheme}://{parts.hostname}, which is not "
                f"https://{UPLOAD_HOST}; it was not sent",
                hint="correct `endpoint` in the settings",
            )

    def _put(self, url: str, path: Path) -> None:
        """Send the archive; repeated on 403 too, since permissions spread slowly (as gcloud does)."""
        problem = ""
        for attempt in attempts(self._caller.clock, Backoff(first_s=0.5), most=_UPLOAD_ATTEMPTS):
            if attempt.number > 1:
                logger.warning("target.upload_repeated", extra={"reason": problem})
            problem = self._put_once(url, path)
            if not problem:
                return
        raise TargetUnavailable(
            f"uploading the source to {strip_query(url)} failed: {problem}",
            hint="nothing was deployed. Try again; on 403 look at the organisation's storage rules",
        )

    def _put_once(self, url: str, path: Path) -> str:
        """One attempt; the problem in words, or nothing. What no attempt can mend is raised."""
        try:
            with path.open("rb") as archive:
                response = self._plain.put(
                    url,
                    data=archive,
                    headers={"content-type": "application/zip"},
                    timeout=(10, _TRANSFER_S),
                    allow_redirects=False,
                )
        except requests.RequestException as error:
            return type(error).__name__
        except OSError as error:
            raise ConfigError(f"{path} cannot be read: {error.strerror}") from error
        if response.ok and not response.is_redirect:
            return ""
        problem = f"{response.status_code} {response.reason}"
        if response.status_code in {403, 408, 429} or response.status_code >= 500:
            return problem
        raise TargetRefused(f"uploading the source to {strip_query(url)} failed: {problem}")

    def download(self, into: Path) -> Digest:
        """Fetch the source of the function as it was deployed last; returns its SHA-256.

        Raises:
            TargetUnavailable: it did not arrive whole.
        """
        answer = self._caller.read(
            "asking where to download the source",
            lambda: self._client.generate_download_url(
                request={"name": self.name}, timeout=self._caller.timeout_s, retry=None
            ),
        )
        self._check_host(answer.download_url)

        def fetch() -> Digest:
            return self._fetch(answer.download_url, into)

        try:
            return self._caller.read("downloading the source", fetch)
        except TargetUnavailable as error:
            # the causes carry the signed address
            raise TargetUnavailable(error.message, hint=error.hint) from None

    def _fetch(self, url: str, into: Path) -> Digest:
        digest = hashlib.sha256()
        with self._plain.get(url, stream=True, timeout=(10, _TRANSFER_S)) as response:
            if not response.ok:
                raise TargetUnavailable(
                    f"downloading the source from {strip_query(url)}: {response.status_code}"
                )
            with into.open("wb") as file:
                for chunk in response.iter_content(_CHUNK_BYTES):
                    digest.update(chunk)
                    file.write(chunk)
        return Digest(digest.hexdigest())

    # -- changes ---------------------------------------------------------------------------------

    def create(self, function: functions_v2.Function) -> str:
        """Ask for a new function; returns the operation's name."""
        function.name = self.name
        return self._begin(
            f"creating the function {self._spec.function}",
            "POST",
            f"{self.parent}/functions",
            function,
            {"functionId": self._spec.function},
        )

    def update(self, function: functions_v2.Function, paths: list[str]) -> str:
        """Ask for a change of the fields ``paths`` alone; returns the operation's name."""
        function.name = self.name
        mask = field_mask_pb2.FieldMask(paths=paths).ToJsonString()
        return self._begin(
            f"updating the function {self._spec.function}",
            "PATCH",
            self.name,
            function,
            {"updateMask": mask},
        )

    def delete(self) -> str | None:
        """Ask for the function's removal; the operation's name, or None if it is gone."""
        found = self._api.delete(f"deleting the function {self._spec.function}", self.name)
        return None if found is None else str(found.get("name", ""))

    def _begin(
        self,
        doing: str,
        method: str,
        path: str,
        function: functions_v2.Function,
        params: dict[str, str],
    ) -> str:
        body = json_format.MessageToDict(functions_v2.Function.pb(function))
        found = self._api.write(doing, method, path, body=body, params=params)
        name = found.get("name")
        if not name:
            raise OutcomeUnknown(f"{doing}: the platform named no operation")
        return str(name)

    # -- operations ------------------------------------------------------------------------------

    def operation(self, name: str) -> DeploymentOperation:
        """An operation as it is now, whoever began it.

        Raises:
            OutcomeUnknown: the platform no longer knows it.
        """
        found = self._api.get("reading the state of the deployment", name)
        if found is None:
            raise OutcomeUnknown(
                f"the platform no longer knows the operation {name}",
                hint="look at the function: deploygate status",
            )
        return operation_of(found)

    def operations(self) -> tuple[DeploymentOperation, ...]:
        """Operations on this function that the platform remembers, the newest first.

        The platform lists the whole region: what others began there, of whatever kind, is left out.
        """
        found: list[DeploymentOperation] = []
        token = ""
        while True:
            answer = self._api.require(
                "listing deployments",
                f"{self.parent}/operations",
                {"pageToken": token} if token else None,
            )
            entries = answer.get("operations", [])
            found += [operation_of(entry) for entry in entries if self._is_about_us(entry)]
            token = str(answer.get("nextPageToken", ""))
            if not token:
                break
        found.sort(key=lambda operation: operation.created_at)
        return tuple(reversed(found))

    def _is_about_us(self, entry: object) -> bool:
        """Whether an operation of the region is about this function, of whichever kind it is."""
        metadata = entry.get("metadata") if isinstance(entry, dict) else None
        target = str(metadata.get("target", "")) if isinstance(metadata, dict) else ""
        return _in_project(target) == _in_project(self.name)

    def regions_of_same_name(self) -> tuple[str, ...]:
        """Other regions of the project that have a function of the same name."""
        place = f"projects/{self._spec.project}/locations/-/functions"
        found: list[str] = []
        token = ""
        while True:
            params = {"pageToken": token} if token else None
            answer = self._api.require("looking for the function in other regions", place, params)
            found += [str(one.get("name", "")) for one in answer.get("functions", [])]
            token = str(answer.get("nextPageToken", ""))
            if not token:
                break
        same = (n.split("/") for n in found if n.endswith(f"/functions/{self._spec.function}"))
        return tuple(sorted({parts[3] for parts in same} - {self._spec.region}))

    # -- what preflight asks ---------------------------------------------------------------------

    def runtimes(self) -> tuple[str, ...]:
        """Runtimes that the region offers for functions of the 2nd generation."""
        answer = self._caller.read(
            "listing the runtimes",
            lambda: self._client.list_runtimes(
                request={"parent": self.parent}, timeout=self._caller.timeout_s, retry=None
            ),
        )
        wanted = functions_v2.Environment.GEN_2
        offered = functions_v2.ListRuntimesResponse.pb(
            answer
        ).runtimes  # an unknown enum value is a number there
        return tuple(sorted({str(r.name) for r in offered if r.environment == wanted}))

    def missing_permissions(self, permissions: tuple[str, ...]) -> tuple[str, ...]:
        """Those of ``permissions`` that we do not have on the function."""
        answer = self._api.ask(
            "reading our permissions on the function",
            f"{self.name}:testIamPermissions",
            {"permissions": list(permissions)},
        )
        return tuple(p for p in permissions if p not in answer.get("permissions", []))


def _in_project(name: str) -> list[str]:
    """Parts of a full name without the project, which the platform may name by its number."""
    return name.split("/")[2:]
