"""The fake target for sessions that run in a process of their own: what it knows is in a file.

``target = "tests.fakes.target_on_disk:make"`` in a project's settings uses it. The "source" is the text of the file
that the settings name as ``source``; ``fake.pickle`` in the project's root is the cloud.
"""

import hashlib
import pickle
from collections.abc import Callable
from pathlib import Path

from pytest_deploygate.config.environment import Environment
from pytest_deploygate.config.settings import Settings
from pytest_deploygate.core.artifacts import Package
from pytest_deploygate.core.identifiers import Digest
from pytest_deploygate.core.release import Snapshot
from pytest_deploygate.ports import Clock, Target
from pytest_deploygate.targets.secret_scan import scan_file, split_allowed
from tests.fakes.cloud import Cloud
from tests.fakes.faults import FakeClock
from tests.fakes.target import FakeTarget


def place(root: Path) -> Path:
    """Where the cloud of the project at ``root`` is kept."""
    return root / "fake.pickle"


def peek(root: Path) -> Snapshot:
    """What serves in the project at ``root``, seen from outside."""
    cloud: Cloud = pickle.loads(place(root).read_bytes())
    return cloud.peek()


class _Kept:
    """Writes the cloud to its file after every call, as a platform remembers by itself."""

    def __init__(self, target: FakeTarget, root: Path) -> None:
        self._target = target
        self._root = root

    def __getattr__(self, name: str) -> object:
        value = getattr(self._target, name)
        if not callable(value):
            return value
        return self._remembering(value)

    def _remembering(self, call: Callable[..., object]) -> Callable[..., object]:
        def remembered(*args: object, **kwargs: object) -> object:
            try:
                return call(*args, **kwargs)
            finally:
                place(self._root).write_bytes(pickle.dumps(self._target.cloud))

        return remembered


class _Sourced(FakeTarget):
    """Packs the text of the source file."""

    def package(self) -> Package:
        self.source = Path(self.spec.source).read_text(encoding="utf-8")
        digest = Digest(hashlib.sha256(self.source.encode()).hexdigest())
        allowed, refused = split_allowed(
            scan_file("main.py", self.source.encode()), self.spec.allowed_secrets
        )
        assert not refused
        return Package(
            path=self.spec.source,
            digest=digest,
            size_bytes=len(self.source),
            files=("main.py",),
            allowed_secrets=allowed,
        )


def make(environment: Environment, settings: Settings, clock: Clock) -> Target:
    """The target, as an entry point makes it."""
    del clock
    path = place(settings.root)
    cloud = pickle.loads(path.read_bytes()) if path.exists() else Cloud(FakeClock())
    return _Kept(_Sourced(cloud, spec=environment.spec), settings.root)  # type: ignore[return-value]  # delegates
