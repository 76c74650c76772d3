"""Unpacks uploaded source archives without trusting them."""

import shutil
import stat
import tempfile
import zipfile
from pathlib import Path, PurePosixPath

MAX_UNPACKED_BYTES = 512 * 1024 * 1024
"""Limit of an unpacked function (Cloud Functions quotas: "Max deployment size, uncompressed")."""
MAX_FILES = 20_000
MAX_RATIO = 500
"""Unpacked to packed size beyond which an archive of some size is taken for a bomb; real source is below 50."""
_BOMB_FLOOR_BYTES = 16 * 1024 * 1024


class BadArchive(Exception):
    """The archive cannot be unpacked safely; the text says why."""


def unpack(archive: Path, into: Path) -> None:
    """Unpack the zip file ``archive`` to the directory ``into``, which appears complete or not at all.

    Raises:
        BadArchive: not a zip file, a member outside the directory (absolute, ``..``), a link or device, too many
            files, too large.
    """
    into.parent.mkdir(parents=True, exist_ok=True)
    staging = Path(tempfile.mkdtemp(prefix=f"{into.name}.", dir=into.parent))
    try:
        with zipfile.ZipFile(archive) as bundle:
            members = bundle.infolist()
            _check(members)
            budget = MAX_UNPACKED_BYTES
            for member in members:
                budget -= _extract(bundle, member, staging, budget)
        staging.chmod(0o755)
        if into.exists():
            shutil.rmtree(into)
        staging.rename(into)
    except (zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError, UnicodeError) as error:
        raise BadArchive(f"the uploaded source is not a readable zip file: {error}") from error
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _check(members: list[zipfile.ZipInfo]) -> None:
    if len(members) > MAX_FILES:
        raise BadArchive(f"the archive holds {len(members)} files, at most {MAX_FILES} are allowed")
    unpacked = sum(member.file_size for member in members)
    packed = sum(member.compress_size for member in members)
    if unpacked > MAX_UNPACKED_BYTES or (
        unpacked > _BOMB_FLOOR_BYTES and unpacked > MAX_RATIO * max(packed, 1)
    ):
        raise BadArchive(f"the archive unpacks from {packed} to {unpacked} bytes")
    for member in members:
        path = PurePosixPath(member.filename.replace("\\", "/"))
        drive = len(member.filename) > 1 and member.filename[1] == ":"
        if path.is_absolute() or drive or ".." in path.parts or "\0" in member.filename:
            raise BadArchive(f"the archive holds a path outside of it: {member.filename!r}")
        kind = stat.S_IFMT(member.external_attr >> 16)
        if kind not in {0, stat.S_IFREG, stat.S_IFDIR}:
            raise BadArchive(f"the archive holds a link or device: {member.filename!r}")


def _extract(bundle: zipfile.ZipFile, member: zipfile.ZipInfo, into: Path, budget: int) -> int:
    path = into / PurePosixPath(member.filename.replace("\\", "/"))
    if member.is_dir():
        path.mkdir(parents=True, exist_ok=True)
        return 0
    path.parent.mkdir(parents=True, exist_ok=True)
    written = 0
    with bundle.open(member) as source, path.open("wb") as target:
        while chunk := source.read(1 << 20):
            written += len(chunk)
            if written > min(
                budget, member.file_size
            ):  # the directory of the archive may lie about sizes
                raise BadArchive("the archive unpacks to more than it says")
            target.write(chunk)
    return written
