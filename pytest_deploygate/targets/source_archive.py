"""Packs the source of a function: what gcloud would upload, less what must never leave the machine.

The zip is reproducible (sorted names, fixed dates; of modes only whether a file can be executed).
Its identity is the digest of the manifest, one line ``name NUL [x]sha256 LF`` for each file in the
order of the names, because deflate may differ between builds of zlib.
"""

import fnmatch
import hashlib
import os
import re
import tempfile
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Final

from pytest_deploygate.core.artifacts import Package
from pytest_deploygate.core.errors import ConfigError
from pytest_deploygate.core.identifiers import Digest
from pytest_deploygate.system.private_folder import make_private_folder
from pytest_deploygate.targets.function_layout import FunctionLayout, check_function
from pytest_deploygate.targets.ignore_rules import FILE_NAME, IgnoreRules
from pytest_deploygate.targets.secret_scan import ALLOW, Find, scan_file, split_allowed
from pytest_deploygate.targets.source_files import read_file

MAX_UNPACKED_BYTES: Final = 512 * 1024 * 1024
"""Largest tree that gcloud uploads: 512 MB before packing (``api_lib/functions/v2/deploy``)."""
_EARLIEST: Final = (1980, 1, 1, 0, 0, 0)
_REGULAR_644: Final = 0o100644 << 16
_REGULAR_755: Final = 0o100755 << 16
_UNIX: Final = 3

_DENIED: Final[tuple[tuple[str, str], ...]] = (
    *((p, "may hold secrets") for p in (".env", ".env.*", "*.env", ".netrc", ".pypirc", ".npmrc")),
    *((p, "may hold a private key") for p in ("*.pem", "*.key", "*.p12", "*.pfx", "*.jks", "id_*")),
    *(
        (p, "may hold credentials")
        for p in (
            "*credentials*.json",
            "*service-account*.json",
            "*service_account*.json",
            "client_secret*.json",
            "gha-creds-*.json",
            ".google*.json",
            ".google-token",
            "*.tfstate",
            "*.tfstate.*",
            ".gcloud",
            ".config",
            ".boto",
            ".aws",
            ".ssh",
            ".kube",
        )
    ),
    *((p, "version control") for p in (".git", ".hg", ".svn")),
    *(
        (p, "installed or generated here")
        for p in (
            ".venv",
            "venv",
            "node_modules",
            "__pycache__",
            "*.pyc",
            ".tox",
            ".nox",
            ".pytest_cache",
            ".mypy_cache",
            ".ruff_cache",
            ".hypothesis",
            ".coverage",
            ".DS_Store",
        )
    ),
    (".deploygate", "our own records"),
)
"""Names that nothing re-includes, each with the reason; matched without regard to case."""

_PRIVATE_KEY_NAMES: Final = re.compile(r"id_(?:rsa|dsa|ecdsa|ed25519)(?:_sk)?(?:\..*)?$")


@dataclass(slots=True, kw_only=True)
class SourceTree:
    """A walk through the source: paths to pack by name in the archive, and what was left out."""

    source: Path
    home: Path
    rules: IgnoreRules
    files: dict[str, Path] = field(default_factory=dict)
    left_out: list[tuple[str, str]] = field(default_factory=list)
    allowed: Mapping[str, str] = field(default_factory=dict)
    allowed_secrets: list[tuple[str, str]] = field(default_factory=list)


def make_package(
    source: Path,
    *,
    home: Path,
    entry_point: str,
    runtime: str,
    source_file: str = "main.py",
    allowed: Mapping[str, str] = MappingProxyType({}),
) -> Package:
    """Pack ``source`` into ``home``/packages and return it; the same content gives the same file.

    ``source_file`` holds the function (the build variable ``GOOGLE_FUNCTION_SOURCE``). What looks like a secret is
    packed only in the files that ``allowed`` names.

    Raises:
        ConfigError: what :func:`survey_source` says, a secret, an unreadable or unusable file, or too much of it.
            Nothing was written then.
    """
    layout = FunctionLayout(
        source=source, entry_point=entry_point, runtime=runtime, source_file=source_file
    )
    tree = survey_source(layout, home=home)
    tree.allowed = allowed
    folder = home / "packages"
    make_private_folder(folder)
    digest, path = _write(tree, folder)
    return Package(
        path=str(path),
        digest=digest,
        size_bytes=path.stat().st_size,
        files=tuple(sorted(tree.files)),
        left_out=tuple(sorted(tree.left_out)),
        allowed_secrets=tuple(tree.allowed_secrets),
    )


def survey_source(layout: FunctionLayout, *, home: Path) -> SourceTree:
    """Look for what would be packed, and whether it is a function; reads little and writes nothing.

    Raises:
        ConfigError: there is no source, no such entry point, a syntax error, or a link out of the source.
    """
    source = layout.source
    if not source.is_dir():
        raise ConfigError(
            f"the source directory {source} does not exist",
            hint="correct `source` in the settings",
        )
    tree = SourceTree(source=source.resolve(), home=home.resolve(), rules=IgnoreRules.read(source))
    _walk(tree, "", tree.source, (tree.source,))
    check_function(tree.files, dict(tree.left_out), replace(layout, source=tree.source))
    return tree


def why_denied(name: str) -> str | None:
    """Why a file or directory of this name is never packed, or None."""
    lowered = name.lower()
    for pattern, reason in _DENIED:
        if pattern == "id_*":
            if _PRIVATE_KEY_NAMES.match(lowered):
                return reason
        elif fnmatch.fnmatchcase(lowered, pattern.lower()):
            return reason
    return None


def _walk(tree: SourceTree, prefix: str, directory: Path, parents: tuple[Path, ...]) -> None:
    for entry in _entries(directory):
        name = f"{prefix}{entry.name}"
        path = Path(entry.path)
        is_dir = entry.is_dir()
        reason = _reason_to_leave_out(tree, name, path, is_dir=is_dir)
        if reason is not None:
            tree.left_out.append((f"{name}/" if is_dir else name, reason))
            continue
        real = _inside(tree, path, name) if entry.is_symlink() else path
        if not is_dir and not entry.is_file():
            tree.left_out.append((name, "not a regular file"))
        elif not is_dir:
            _check_name(name, path)
            tree.files[name] = path
        elif real in parents:
            tree.left_out.append((f"{name}/", "a link to a directory above it"))
        else:
            _walk(tree, f"{name}/", path, (*parents, real))


def _entries(directory: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(directory) as entries:
            return sorted(entries, key=lambda e: e.name)
    except OSError as error:
        raise ConfigError(
            f"{directory} cannot be read: {error.strerror}",
            hint=f"correct its permissions, or add it to {FILE_NAME}",
        ) from error


def _reason_to_leave_out(tree: SourceTree, name: str, path: Path, *, is_dir: bool) -> str | None:
    if reason := why_denied(path.name):
        return reason
    if is_dir and path.resolve() == tree.home:
        return "our own records"
    if tree.rules.is_ignored(name, is_dir=is_dir):
        return tree.rules.origin
    return None


def _inside(tree: SourceTree, path: Path, name: str) -> Path:
    """Where a link leads: followed as by gcloud, but never out of the tree or to a denied name."""
    real = path.resolve()
    if not real.exists():
        raise ConfigError(
            f"{name} is a link that leads nowhere", hint=f"remove it, or add it to {FILE_NAME}"
        )
    if not real.is_relative_to(tree.source):
        raise ConfigError(
            f"{name} is a link out of the source directory, to {real}",
            hint=f"copy what it leads to into the source, or add it to {FILE_NAME}",
        )
    for part in real.relative_to(tree.source).parts:
        if reason := why_denied(part):
            raise ConfigError(
                f"{name} is a link to {real}, which is never uploaded: {reason}",
                hint=f"remove the link, or add it to {FILE_NAME}",
            )
    return real


def _check_name(name: str, path: Path) -> None:
    try:
        name.encode("utf-8")
    except UnicodeEncodeError:
        raise ConfigError(
            f"{name!r} has a name that is not UTF-8, which an archive cannot carry",
            hint="rename the file",
        ) from None
    if path.name.startswith("._") and path.suffix == ".py":
        raise ConfigError(
            f"{name} is a resource fork that macOS left behind, not a Python module",
            hint=f"delete it (`dot_clean .`), or add the line `._*` to {FILE_NAME}",
        )


def _write(tree: SourceTree, folder: Path) -> tuple[Digest, Path]:
    """Write the zip under a name of its digest; returns the digest and the path."""
    manifest = hashlib.sha256()
    finds: list[Find] = []
    size = 0
    with tempfile.NamedTemporaryFile(dir=folder, suffix=".part", delete=False) as part:
        temporary = Path(part.name)
        try:
            with zipfile.ZipFile(part, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as archive:
                for name in sorted(tree.files):
                    path = tree.files[name]
                    content = read_file(path)
                    is_executable = os.access(path, os.X_OK)
                    size += len(content)
                    _check_content(name, content, size)
                    passed, refused = split_allowed(scan_file(name, content), tree.allowed)
                    tree.allowed_secrets += passed
                    finds += refused
                    mark = "x" if is_executable else ""
                    line = f"{name}\0{mark}{hashlib.sha256(content).hexdigest()}\n"
                    manifest.update(line.encode())
                    archive.writestr(_member(name, is_executable=is_executable), content)
            part.flush()
            _check_finds(finds)
            digest = Digest(manifest.hexdigest())
            path = folder / f"{digest[:32]}.zip"
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
    return digest, path


def _member(name: str, *, is_executable: bool) -> zipfile.ZipInfo:
    member = zipfile.ZipInfo(name, date_time=_EARLIEST)
    member.create_system = _UNIX
    member.external_attr = _REGULAR_755 if is_executable else _REGULAR_644
    member.compress_type = zipfile.ZIP_DEFLATED
    return member


def _check_content(name: str, content: bytes, size: int) -> None:
    if size > MAX_UNPACKED_BYTES:
        raise ConfigError(
            f"the source is too big: more than {MAX_UNPACKED_BYTES // 2**20} MiB before packing",
            hint=f"leave out what the function does not need, by {FILE_NAME}",
        )
    if name.endswith(".py") and b"\0" in content:
        raise ConfigError(
            f"{name} contains null bytes and is no Python source",
            hint=f"save it as UTF-8, delete it, or add it to {FILE_NAME}",
        )


def _check_finds(finds: list[Find]) -> None:
    if finds:
        shown = "\n".join(f"  {find}" for find in finds[:20])
        raise ConfigError(
            f"the source was not packed: it seems to hold {len(finds)} secret(s)\n{shown}",
            hint="move it to Secret Manager and name it under `secrets`, or leave the file out by "
            f"{FILE_NAME}; if it is harmless, write `{ALLOW}` on its line, or name the file and the "
            "reason in the settings: "
            'allowed-secrets = { "data/*.json" = "made up for tests" }',
        )
