"""Unpacks uploaded source archives without trusting them."""

import contextlib
import hashlib
import shutil
import stat
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

MAX_UNPACKED_BYTES = 512 * 1024 * 1024
"""Limit of an unpacked function (Cloud Functions quotas: "Max deployment size, uncompressed")."""
MAX_FILES = 20_000
MAX_NAME_BYTES, MAX_PATH_BYTES = 255, 1024
"""What file systems hold: one name, and a path below a home that is itself some hundred bytes long."""
MAX_RATIO = 500
"""Unpacked to packed size beyond which an archive of some size is taken for a bomb; real source is below 50."""
_BOMB_FLOOR_BYTES = 16 * 1024 * 1024


class BadArchive(Exception):
    """The archive cannot be unpacked safely; the text says why."""


def content_digest(archive: Path) -> str:
    """SHA-256 over names, executable bits and contents of the files, however and whenever they were packed.

    Raises:
        BadArchive: as :func:`unpack`.
    """
    found = []
    with _open_checked(archive) as bundle:
        for member in bundle.infolist():
            digest = hashlib.sha256()
            for chunk in _chunks(bundle, member):
                digest.update(chunk)
            mark = "x" if _is_executable(member) else ""
            found.append(f"{member.filename}\0{mark}\0{digest.hexdigest()}")
    return hashlib.sha256("\n".join(sorted(found)).encode()).hexdigest()


def unpack(archive: Path, into: Path) -> None:
    """Unpack the zip file ``archive`` to the directory ``into``, which appears complete or not at all.

    Raises:
        BadArchive: not a zip file, a member outside the directory (absolute, ``..``), a link or device, too many
            files, too large.
    """
    into.parent.mkdir(parents=True, exist_ok=True)
    staging = Path(tempfile.mkdtemp(prefix=f"{into.name}.", dir=into.parent))
    try:
        with _open_checked(archive) as bundle:
            for member in bundle.infolist():
                _extract(bundle, member, staging)
        staging.chmod(0o755)
        if into.exists():
            shutil.rmtree(into)
        staging.rename(into)
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
    _check_names(members)


def _check_names(members: list[zipfile.ZipInfo]) -> None:
    """Refuse names that no directory can hold: too long, not text, twice, or a file where a folder is needed."""
    files: set[tuple[str, ...]] = set()
    folders: set[tuple[str, ...]] = set()
    for member in members:
        name = member.filename
        parts = PurePosixPath(name.replace("\\", "/")).parts
        try:
            is_long = len(name.encode()) > MAX_PATH_BYTES or any(
                len(part.encode()) > MAX_NAME_BYTES for part in parts
            )
        except UnicodeEncodeError as error:
            raise BadArchive(f"the archive holds a name that is not text: {name!r}") from error
        if is_long:
            raise BadArchive(f"the archive holds a name that is too long: {name[:80]!r}...")
        if not member.is_dir():
            if parts in files:
                raise BadArchive(f"the archive holds {name!r} twice")
            files.add(parts)
        folders.update(parts[:end] for end in range(1, len(parts) + member.is_dir()))
    if clash := files & folders:
        raise BadArchive(f"the archive holds {'/'.join(min(clash))!r} as a file and as a folder")


@contextlib.contextmanager
def _open_checked(archive: Path) -> Iterator[zipfile.ZipFile]:
    try:
        with zipfile.ZipFile(archive) as bundle:
            _check(bundle.infolist())
            yield bundle
    except (
        zipfile.BadZipFile,
        zlib.error,
        EOFError,
        NotImplementedError,
        RuntimeError,
        UnicodeError,
    ) as error:
        raise BadArchive(f"the uploaded source is not a readable zip file: {error}") from error


def _chunks(bundle: zipfile.ZipFile, member: zipfile.ZipInfo) -> Iterator[bytes]:
    written = 0
    with bundle.open(member) as source:
        while chunk := source.read(1 << 20):
            written += len(chunk)
            if written > member.file_size:  # the directory of the archive may lie about sizes
                raise BadArchive("the archive unpacks to more than it says")
            yield chunk


def _extract(bundle: zipfile.ZipFile, member: zipfile.ZipInfo, into: Path) -> None:
    path = into / PurePosixPath(member.filename.replace("\\", "/"))
    if member.is_dir():
        path.mkdir(parents=True, exist_ok=True)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as target:
        for chunk in _chunks(bundle, member):
            target.write(chunk)
    path.chmod(0o755 if _is_executable(member) else 0o644)


def _is_executable(member: zipfile.ZipInfo) -> bool:
    return bool((member.external_attr >> 16) & 0o111)
