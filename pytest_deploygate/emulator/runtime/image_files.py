"""Files of an image: nobody writes them once it is built."""

import os
import shutil
import stat
from pathlib import Path

_WRITE_BITS = stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH


def seal(folder: Path) -> None:
    """Take the right to write from all files below ``folder``; directories stay, so that they can be removed."""
    for directory, _, names in os.walk(folder):
        for name in names:
            path = Path(directory, name)
            if not path.is_symlink():
                path.chmod(stat.S_IMODE(path.stat().st_mode) & ~_WRITE_BITS)


def make_writable_copy(source: Path, target: Path) -> None:
    """Copy a sealed tree; its owner may write the files of the copy."""
    shutil.copytree(source, target, symlinks=True, copy_function=_copy)


def _copy(source: str, target: str) -> None:
    shutil.copy2(source, target)
    path = Path(target)
    path.chmod(path.stat().st_mode | stat.S_IWUSR)
