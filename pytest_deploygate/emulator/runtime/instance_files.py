"""The file system of one instance: what a function writes is seen by no other instance, and gone with it.

As on Cloud Run, an instance begins with the image as it was built, and all that it writes is kept in memory and counts
as memory. Its source is a copy. Its environment is that of the build, over which the launcher lays a layer of the
instance's own, so that it costs no space and next to no time; where there are no layers the launcher makes a copy. All
works unprivileged.
"""

import contextlib
import os
import secrets
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pytest_deploygate.emulator.runtime.builder import Build
from pytest_deploygate.emulator.runtime.image_files import make_writable_copy

SECRETS_BELOW = "/tmp"  # noqa: S108 - the instance's own
"""Where mounted secrets can be seen: the only directory that each instance has to itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InstanceFiles:
    """Directories of one instance below ``folder``."""

    folder: Path
    source: Path
    """Working directory."""
    temporary: Path
    """Its ``/tmp``."""
    home: Path
    layer: Path
    """What the launcher lays over the environment."""
    image_bytes: int
    """Size of the source as it was built."""

    def written_bytes(self) -> int:
        """What the instance has written and not removed; of the environment only what is in the layer over it."""
        grown = _size_of(self.source) - self.image_bytes
        own = (self.temporary, self.home, self.layer / "changes")
        return max(grown, 0) + sum(_size_of(folder) for folder in own)

    def write_secrets(self, contents: Mapping[str, str]) -> None:
        """Put secrets, given by path below ``/tmp``, into the instance's own ``/tmp``."""
        for path, content in contents.items():
            place = self.temporary / Path(path).relative_to(SECRETS_BELOW)
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(content, encoding="utf-8")
            place.chmod(0o400)

    def remove(self) -> None:
        """Remove them all."""
        with contextlib.suppress(OSError):
            (self.layer / "work" / "work").chmod(
                0o700
            )  # the kernel makes it so that nobody may look
        shutil.rmtree(self.folder, ignore_errors=True)


def make_instance_files(parent: Path, build: Build | None) -> InstanceFiles:
    """Make the files of a new instance of ``build`` in a directory of its own below ``parent``; None has none."""
    folder = parent / secrets.token_hex(8)
    files = InstanceFiles(
        folder=folder,
        source=folder / "workspace",
        temporary=folder / "tmp",
        home=folder / "home",
        layer=folder / "layer",
        image_bytes=0 if build is None else _size_of(Path(build.source)),
    )
    try:
        for directory in (
            files.temporary,
            files.home,
            files.layer / "changes",
            files.layer / "work",
        ):
            directory.mkdir(parents=True)
        folder.chmod(0o700)
        if build is None:
            files.source.mkdir()
            return files
        make_writable_copy(Path(build.source), files.source)
    except BaseException:
        files.remove()
        raise
    return files


def _size_of(folder: Path) -> int:
    total = 0
    for directory, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(OSError):
                total += Path(directory, name).lstat().st_size
    return total
