"""Sources in Cloud Storage: where a build of Cloud Run finds what it is to build, and a backup what was built."""

import hashlib
from pathlib import Path
from typing import Final
from urllib.parse import quote

from google.api_core.exceptions import from_http_response

from pytest_deploygate.core.errors import ConfigError, TargetRefused, TargetUnavailable
from pytest_deploygate.core.function_spec import FunctionSpec
from pytest_deploygate.core.identifiers import Digest
from pytest_deploygate.targets.api_caller import ApiCaller
from pytest_deploygate.targets.api_errors import Conflict
from pytest_deploygate.targets.clients import Clients, base_url
from pytest_deploygate.targets.json_api import Json
from pytest_deploygate.targets.run_template import BuildSource

_TRANSFER_S: Final = 300.0
_CHUNK_BYTES: Final = 1 << 20
_NOT_FOUND: Final = 404


class SourceStorage:
    """Puts archives into the bucket that gcloud uses, too: ``run-sources-PROJECT-REGION``, made where there is none."""

    def __init__(self, clients: Clients, caller: ApiCaller, spec: FunctionSpec) -> None:
        self._session = clients.session
        self._caller = caller
        self._spec = spec
        self._api = clients.json_api("storage", "storage/v1", caller)
        self._upload_url = base_url(clients.endpoint, "storage", "upload/storage/v1")
        self._download_url = base_url(clients.endpoint, "storage", "storage/v1")
        self._bucket = f"run-sources-{spec.project}-{spec.region}"

    def upload(self, path: Path, digest: str) -> BuildSource:
        """Put an archive there, under a name by its content; the same archive again is a new generation.

        Raises:
            TargetUnavailable: it did not get there.
            TargetRefused: we may not write there.
        """
        self._make_bucket()
        slug = self._spec.function.lower().replace("_", "-")
        name = f"services/{slug}/{digest[:32]}.zip"
        try:
            content = path.read_bytes()
        except OSError as error:
            raise ConfigError(f"{path} cannot be read: {error.strerror}") from error

        def put() -> Json:
            response = self._session.post(
                f"{self._upload_url}/b/{self._bucket}/o",
                params={"uploadType": "media", "name": name},
                data=content,
                headers={"content-type": "application/zip"},
                timeout=(10, _TRANSFER_S),
            )
            if not response.ok:
                raise from_http_response(response)  # type: ignore[no-untyped-call]
            found: Json = response.json()
            return found

        # an archive that got there twice is two generations of one object, of which one is built
        found = self._caller.read(f"uploading the source to gs://{self._bucket}", put)
        return BuildSource(
            bucket=self._bucket,
            object=name,
            generation=str(found.get("generation", "")),
            runtime=self._spec.runtime,
            entry_point=self._spec.entry_point,
            variables=dict(self._spec.build_variables),
        )

    def _make_bucket(self) -> None:
        doing = f"looking for the bucket {self._bucket}"
        if self._api.get(doing, f"b/{self._bucket}") is not None:
            return
        body: Json = {
            "name": self._bucket,
            "location": self._spec.region,
            "iamConfiguration": {"uniformBucketLevelAccess": {"enabled": True}},
        }
        project = {"project": self._spec.project}
        try:
            self._api.write(
                f"making the bucket {self._bucket}", "POST", "b", body=body, params=project
            )
        except Conflict:  # somebody else was faster
            return

    def download(self, source: BuildSource, into: Path) -> Digest:
        """Fetch an archive; returns its SHA-256.

        Raises:
            TargetRefused: it is not there any more.
            TargetUnavailable: it did not arrive whole.
        """

        def fetch() -> Digest:
            name = quote(source.object, safe="")
            query = {"alt": "media", "generation": source.generation}
            url = f"{self._download_url}/b/{source.bucket}/o/{name}"
            with self._session.get(
                url, params=query, stream=True, timeout=(10, _TRANSFER_S)
            ) as got:
                if got.status_code == _NOT_FOUND:
                    raise TargetRefused(f"the source {source.location} is gone")
                if not got.ok:
                    raise TargetUnavailable(f"downloading the source: {got.status_code}")
                digest = hashlib.sha256()
                with into.open("wb") as file:
                    for chunk in got.iter_content(_CHUNK_BYTES):
                        digest.update(chunk)
                        file.write(chunk)
            return Digest(digest.hexdigest())

        return self._caller.read(f"downloading the source {source.location}", fetch)
