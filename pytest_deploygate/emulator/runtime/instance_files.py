"""The file system of one instance: what a function writes is seen by no other instance, and gone with it.

As on Cloud Run, an instance begins with the image as it was built, and all that it writes is kept in memory and counts
as memory. Its source is a copy. Its environment is a tree of hard links to files that nobody may write, so that it
costs no space and little time; new files in it are the instance's own. Both work without privileges.
"""

import contextlib
import os
import secrets
import shutil
from dataclasses import dataclass
from pathlib import Path

from pytest_deploygate.emulator.runtime.builder import Build
from pytest_deploygate.emulator.runtime.image_files import make_writable_copy


@dataclass(frozen=True, slots=True, kw_only=True)
class InstanceFiles:
    """Directories of one instance below ``folder``."""

    folder: Path
    source: Path
    """Working directory."""
    environment: Path
    temporary: Path
    """Its ``/tmp``."""
    home: Path
    image_bytes: int
    """Size of the source as it was built."""

    @property
    def python(self) -> Path:
        """The interpreter of its environment."""
        return self.environment / "bin" / "python"

    def written_bytes(self) -> int:
        """What the instance has written and not removed; the environment is not looked at, as it has many files."""
        grown = _size_of(self.source) - self.image_bytes
        return max(grown, 0) + _size_of(self.temporary) + _size_of(self.home)

    def remove(self) -> None:
        """Remove them all."""
        shutil.rmtree(self.folder, ignore_errors=True)


def make_instance_files(parent: Path, build: Build) -> InstanceFiles:
    """Make the files of a new instance of ``build`` in a directory of its own below ``parent``."""
    folder = parent / secrets.token_hex(8)
    files = InstanceFiles(
        folder=folder,
        source=folder / "workspace",
        environment=folder / "environment",
        temporary=folder / "tmp",
        home=folder / "home",
        image_bytes=_size_of(Path(build.source)),
    )
    try:
        for directory in (files.temporary, files.home):
            directory.mkdir(parents=True)
        folder.chmod(0o700)
        make_writable_copy(Path(build.source), files.source)
        shutil.copytree(build.environment, files.environment, symlinks=True, copy_function=_link)
    except BaseException:
        files.remove()
        raise
    return files


def _link(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:  # another file system, or one without hard links
        shutil.copy2(source, target)


def _size_of(folder: Path) -> int:
    total = 0
    for directory, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(OSError):
                total += Path(directory, name).lstat().st_size
    return total
