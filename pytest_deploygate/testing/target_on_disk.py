"""The fake target for sessions that run in a process of their own: what it knows is in a file.

``target = "pytest_deploygate.testing.target_on_disk:make"`` in a project's settings uses it. What it builds is the
text of the file, or of all files of the folder, that the settings name as ``source``; ``fake.pickle`` in the project's
root is the cloud.
"""

import hashlib
import os
import pickle
import threading
from collections.abc import Callable
from pathlib import Path

from pytest_deploygate.config.environment import Environment
from pytest_deploygate.config.settings import Settings
from pytest_deploygate.core.artifacts import Package
from pytest_deploygate.core.identifiers import Digest
from pytest_deploygate.ports import Clock, Target
from pytest_deploygate.targets.secret_scan import scan_file, split_allowed
from pytest_deploygate.testing.fake_cloud import FakeCloud
from pytest_deploygate.testing.fake_target import FakeTarget
from pytest_deploygate.testing.faults import FakeClock


def cloud_file(root: Path) -> Path:
    """Where the cloud of the project at ``root`` is kept."""
    return root / "fake.pickle"


def write_cloud(path: Path, content: bytes) -> None:
    """Replace the cloud at once: who reads it meanwhile, or is killed, loses nothing, as with a platform."""
    fresh = path.with_suffix(f".{os.getpid()}-{threading.get_ident()}")
    fresh.write_bytes(content)
    fresh.replace(path)


class _KeptTarget:
    """Reads the cloud before every call and writes it afterwards, as a platform remembers by itself."""

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
            path = cloud_file(self._root)
            if path.exists():
                self._target.cloud = pickle.loads(path.read_bytes())  # noqa: S301 # as below
            try:
                return call(*args, **kwargs)
            finally:
                write_cloud(path, pickle.dumps(self._target.cloud))

        return remembered


class _SourceTarget(FakeTarget):
    """Packs the text of the source."""

    def package(self) -> Package:
        """The source as it is now."""
        source = Path(self.spec.source)
        files = sorted(source.rglob("*.py")) if source.is_dir() else [source]
        self.source = "".join(file.read_text(encoding="utf-8") for file in files)
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
    path = cloud_file(settings.root)
    cloud = FakeCloud(FakeClock())
    if path.exists():
        cloud = pickle.loads(path.read_bytes())  # noqa: S301 # a session of this very project wrote it
    return _KeptTarget(_SourceTarget(cloud, spec=environment.spec), settings.root)  # type: ignore[return-value]  # delegates
