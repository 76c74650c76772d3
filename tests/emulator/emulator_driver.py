"""Drives an emulator in tests, with Google's own clients and with plain requests."""

import io
import time
import zipfile
from collections.abc import Callable
from typing import NamedTuple, Self, TypeVar

import requests
from google.api_core.client_options import ClientOptions
from google.api_core.future.polling import DEFAULT_POLLING
from google.auth.credentials import AnonymousCredentials
from google.cloud import functions_v2, run_v2

from pytest_deploygate.emulator.lifecycle import RunningEmulator

T = TypeVar("T")

PARENT = "projects/p1/locations/us-central1"
POLLING = DEFAULT_POLLING.with_delay(initial=0.05, maximum=0.2).with_timeout(90)
INVOKER = "roles/run.invoker"
LATEST = run_v2.TrafficTargetAllocationType.TRAFFIC_TARGET_ALLOCATION_TYPE_LATEST
REVISION = run_v2.TrafficTargetAllocationType.TRAFFIC_TARGET_ALLOCATION_TYPE_REVISION
WHO = """
import os

def hello(request):
    return {"revision": os.environ["K_REVISION"], "color": os.environ.get("COLOR"), "version": VERSION}
"""
"""Says which revision answered."""


def who(version: int = 1) -> str:
    """Source of a function that says which revision answered, different for each version."""
    return WHO.replace("VERSION", str(version))


def zipped(**members: str) -> bytes:
    """A zip file; ``main_py`` is the member ``main.py``."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, text in members.items():
            archive.writestr(".".join(name.rsplit("_", 1)), text)
    return buffer.getvalue()


def short_name(name: str) -> str:
    """Last part of a resource name."""
    return name.rsplit("/", 1)[-1]


def until(read: Callable[[], T], holds: Callable[[T], bool], *, seconds: float = 20) -> T:
    """Read again and again until it holds."""
    deadline = time.monotonic() + seconds
    while not holds(found := read()):
        assert time.monotonic() < deadline, f"still {found!r} after {seconds} s"
        time.sleep(0.05)
    return found


class Driver:
    """One emulator."""

    def __init__(self, cloud: RunningEmulator) -> None:
        self.cloud = cloud
        credentials = AnonymousCredentials()  # type: ignore[no-untyped-call]
        options = ClientOptions(api_endpoint=cloud.endpoint)
        self.functions = functions_v2.FunctionServiceClient(
            credentials=credentials, transport="rest", client_options=options
        )
        self.services = run_v2.ServicesClient(
            credentials=credentials, transport="rest", client_options=options
        )
        self.revisions = run_v2.RevisionsClient(
            credentials=credentials, transport="rest", client_options=options
        )
        self._newest_call = 0
        self.http = requests.Session()
        self.http.trust_env = False
        # a connection that is kept may be closed by the emulator just when it is used again
        self.http.headers["Connection"] = "close"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.http.close()
        for client in (self.functions, self.services, self.revisions):
            client.transport.close()  # type: ignore[no-untyped-call]

    def local(self, method: str, path: str, body: object = None) -> dict[str, object]:
        """Call a side endpoint."""
        answer = self.http.request(
            method, f"{self.cloud.endpoint}/_local/{path}", json=body, timeout=20
        )
        assert answer.ok, answer.text
        found: dict[str, object] = answer.json()
        return found

    def calls(self, after: int = 0) -> list[dict[str, object]]:
        """Admin calls that the emulator saw."""
        found = self.local("GET", f"admin-log?after={after}")["calls"]
        assert isinstance(found, list)
        if found:
            self._newest_call = max(self._newest_call, int(str(found[-1]["seq"])))
        return found

    def last_call(self) -> int:
        """Number of the newest call that the emulator saw; what was asked for before is not read again."""
        self.calls(after=self._newest_call)
        return self._newest_call

    def fault(self, **rule: object) -> None:
        """Put one fault in force."""
        self.local("POST", "faults", [rule])

    def lose_image(self, revision: str) -> None:
        """Let the image of a revision without traffic be gone, and its instance too."""
        self.fault(image_missing=revision)
        self.local("POST", f"revisions/{revision}/inject_fault", {"kill": True})
        statistics = f"revisions/{revision}/statistics"
        until(lambda: self.local("GET", statistics)["is_running"], lambda runs: not runs)

    def upload(self, archive: bytes) -> functions_v2.StorageSource:
        """Upload a source archive."""
        request = functions_v2.GenerateUploadUrlRequest(
            parent=PARENT, environment=functions_v2.Environment.GEN_2
        )
        url = self.functions.generate_upload_url(request, timeout=20)
        answer = self.http.put(
            url.upload_url, data=archive, headers={"content-type": "application/zip"}, timeout=20
        )
        assert answer.ok, answer.text
        return url.storage_source

    def function(
        self,
        function_id: str,
        source: str | bytes | None = None,
        *,
        memory: str = "512Mi",
        timeout_s: int = 20,
        runtime: str = "python311",
        labels: dict[str, str] | None = None,
        **variables: str,
    ) -> functions_v2.Function:
        """A function message; ``source`` is the text of ``main.py``, or an archive."""
        build = functions_v2.BuildConfig(runtime=runtime, entry_point="hello")
        if source is not None:
            archive = source if isinstance(source, bytes) else zipped(main_py=source)
            build.source = functions_v2.Source(storage_source=self.upload(archive))
        return functions_v2.Function(
            name=f"{PARENT}/functions/{function_id}",
            environment=functions_v2.Environment.GEN_2,
            labels=labels or {},
            build_config=build,
            service_config=functions_v2.ServiceConfig(
                available_memory=memory, timeout_seconds=timeout_s, environment_variables=variables
            ),
        )

    def create(self, function: functions_v2.Function) -> functions_v2.Function:
        """Create a function and wait."""
        operation = self.functions.create_function(
            parent=PARENT, function=function, function_id=short_name(function.name), timeout=20
        )
        return finished_function(operation)

    def update(self, function: functions_v2.Function, *paths: str) -> functions_v2.Function:
        """Update the masked fields and wait."""
        request = functions_v2.UpdateFunctionRequest(
            function=function, update_mask={"paths": list(paths)}
        )
        return finished_function(self.functions.update_function(request, timeout=20))

    def deploy(
        self, function_id: str, source: str, *, public: bool = True, **variables: str
    ) -> run_v2.Service:
        """Create a function, open it, and give its service."""
        wanted = self.function(function_id, source)
        wanted.service_config.environment_variables = variables
        function = self.create(wanted)
        if public:
            self.open(function.service_config.service)
        return self.service(function.service_config.service)

    def open(self, service: str) -> None:
        """Let everybody call the service."""
        policy = self.services.get_iam_policy({"resource": service}, timeout=20)
        policy.bindings.add(role=INVOKER, members=["allUsers"])
        self.services.set_iam_policy({"resource": service, "policy": policy}, timeout=20)

    def service(self, name: str) -> run_v2.Service:
        """The service."""
        return self.services.get_service(name=name, timeout=20, retry=None)

    def traffic(
        self, service: str, *targets: run_v2.TrafficTarget, etag: str | None = None
    ) -> run_v2.Service:
        """Set the whole traffic list under an etag (by default the current one) and wait."""
        etag = etag or self.service(service).etag
        message = run_v2.Service(name=service, etag=etag, traffic=list(targets))
        request = run_v2.UpdateServiceRequest(service=message, update_mask={"paths": ["traffic"]})
        return finished_service(self.services.update_service(request, timeout=20))

    def get(self, url: str, **headers: str) -> requests.Response:
        """GET from a function."""
        return self.http.get(url, headers=headers, timeout=30)

    def answering(self, url: str) -> str:
        """Short name of the revision that answers at ``url``."""
        answer = self.get(url)
        assert answer.status_code == 200, answer.text
        return str(answer.json()["revision"])


def finished(operation: object) -> object:
    """Wait for an operation and give its result."""
    return operation.result(polling=POLLING)  # type: ignore[attr-defined]


def finished_function(operation: object) -> functions_v2.Function:
    """Wait for an operation whose result is a function."""
    found = finished(operation)
    assert isinstance(found, functions_v2.Function)
    return found


def finished_service(operation: object) -> run_v2.Service:
    """Wait for an operation whose result is a service."""
    found = finished(operation)
    assert isinstance(found, run_v2.Service)
    return found


def is_done(operation: object) -> bool:
    """Whether an operation has ended, asked of the emulator."""
    return bool(operation.done())  # type: ignore[attr-defined]


class RevisionPair(NamedTuple):
    """A public service with two ready revisions, short names; ``first`` has all traffic."""

    service: run_v2.Service
    first: str
    second: str


def make_pair(driver: Driver, function_id: str, source: Callable[[int], str] = who) -> RevisionPair:
    """Deploy such a pair; ``source`` gives the text of a release."""
    service = driver.deploy(function_id, source(1))
    first = short_name(service.latest_ready_revision)
    driver.traffic(service.name, to(first, 100))
    second = driver.update(
        driver.function(function_id, source(2)), "build_config"
    ).service_config.revision
    return RevisionPair(driver.service(service.name), first, second)


def to(revision: str, percent: int = 0, tag: str = "") -> run_v2.TrafficTarget:
    """A traffic target."""
    return run_v2.TrafficTarget(
        type_=REVISION, revision=short_name(revision), percent=percent, tag=tag
    )


def latest() -> run_v2.TrafficTarget:
    """All traffic to the latest ready revision."""
    return run_v2.TrafficTarget(type_=LATEST, percent=100)
