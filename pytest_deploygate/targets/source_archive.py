"""Packs the source of a function: what gcloud would upload, less what must never leave the machine.

The zip is reproducible (sorted names, fixed dates and modes). Its identity is the digest of the
manifest, one line ``name NUL sha256 LF`` for each file in the order of the names, because deflate
may differ between builds of zlib.
"""

import ast
import fnmatch
import hashlib
import os
import re
import sys
import tempfile
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from pytest_deploygate.core.artifacts import Package
from pytest_deploygate.core.errors import ConfigError
from pytest_deploygate.core.identifiers import Digest
from pytest_deploygate.core.release import AllowedSecret
from pytest_deploygate.targets.ignore_rules import FILE_NAME, IgnoreRules
from pytest_deploygate.targets.secret_scan import ALLOW, Find, reason_to_allow, scan_file

MAX_UNPACKED_BYTES: Final = 512 * 1024 * 1024
"""Largest tree that gcloud uploads: 512 MB before packing (``api_lib/functions/v2/deploy``)."""
_EARLIEST: Final = (1980, 1, 1, 0, 0, 0)
_REGULAR_644: Final = 0o100644 << 16
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
class _Tree:
    """A walk through the source: paths to pack by name in the archive, and what was left out."""

    source: Path
    home: Path
    rules: IgnoreRules
    files: dict[str, Path] = field(default_factory=dict)
    left_out: list[tuple[str, str]] = field(default_factory=list)
    allowed: tuple[AllowedSecret, ...] = ()
    allowed_secrets: list[tuple[str, str]] = field(default_factory=list)


def make_package(
    source: Path,
    *,
    home: Path,
    entry_point: str,
    runtime: str,
    allowed: Iterable[AllowedSecret] = (),
) -> Package:
    """Pack ``source`` into ``home``/packages and return it; the same content gives the same file.

    What looks like a secret is packed only in the files that ``allowed`` names.

    Raises:
        ConfigError: nothing to pack, an entry point that is not there, a secret, a link out of the
        tree, an unreadable
            or unusable file, or too much of it. Nothing was written then.
    """
    if not source.is_dir():
        raise ConfigError(
            f"the source directory {source} does not exist",
            hint="Correct `source` in the settings.",
        )
    tree = _Tree(
        source=source.resolve(),
        home=home.resolve(),
        rules=IgnoreRules.read(source),
        allowed=tuple(allowed),
    )
    _walk(tree, "", tree.source, (tree.source,))
    _check_function(tree, entry_point=entry_point, runtime=runtime)
    folder = home / "packages"
    folder.mkdir(parents=True, exist_ok=True)
    digest, path = _write(tree, folder)
    return Package(
        path=str(path),
        digest=digest,
        size_bytes=path.stat().st_size,
        files=tuple(sorted(tree.files)),
        left_out=tuple(sorted(tree.left_out)),
        allowed_secrets=tuple(tree.allowed_secrets),
    )


def denied(name: str) -> str | None:
    """Why a file or directory of this name is never packed, or None."""
    lowered = name.lower()
    for pattern, reason in _DENIED:
        if pattern == "id_*":
            if _PRIVATE_KEY_NAMES.match(lowered):
                return reason
        elif fnmatch.fnmatchcase(lowered, pattern.lower()):
            return reason
    return None


def _walk(tree: _Tree, prefix: str, directory: Path, parents: tuple[Path, ...]) -> None:
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
            hint=f"Correct its permissions, or add it to {FILE_NAME}.",
        ) from error


def _reason_to_leave_out(tree: _Tree, name: str, path: Path, *, is_dir: bool) -> str | None:
    if reason := denied(path.name):
        return reason
    if is_dir and path.resolve() == tree.home:
        return "our own records"
    if tree.rules.is_ignored(name, is_dir=is_dir):
        return tree.rules.origin
    return None


def _inside(tree: _Tree, path: Path, name: str) -> Path:
    """Where a link leads: followed as by gcloud, but never out of the tree or to a denied name."""
    real = path.resolve()
    if not real.exists():
        raise ConfigError(
            f"{name} is a link that leads nowhere", hint=f"Remove it, or add it to {FILE_NAME}."
        )
    if not real.is_relative_to(tree.source):
        raise ConfigError(
            f"{name} is a link out of the source directory, to {real}",
            hint=f"Copy what it leads to into the source, or add it to {FILE_NAME}.",
        )
    for part in real.relative_to(tree.source).parts:
        if reason := denied(part):
            raise ConfigError(
                f"{name} is a link to {real}, which is never uploaded: {reason}",
                hint=f"Remove the link, or add it to {FILE_NAME}.",
            )
    return real


def _check_name(name: str, path: Path) -> None:
    try:
        name.encode("utf-8")
    except UnicodeEncodeError:
        raise ConfigError(
            f"{name!r} has a name that is not UTF-8, which an archive cannot carry",
            hint="Rename the file.",
        ) from None
    if path.name.startswith("._") and path.suffix == ".py":
        raise ConfigError(
            f"{name} is a resource fork that macOS left behind, not a Python module",
            hint=f"Delete it (`dot_clean .`), or add the line `._*` to {FILE_NAME}.",
        )


def _check_function(tree: _Tree, *, entry_point: str, runtime: str) -> None:
    """That the builder finds what it needs: ``main.py``, the entry point, the requirements."""
    main = tree.files.get("main.py")
    if main is None:
        raise ConfigError(
            f"there is no main.py in {tree.source}{_why(tree, 'main.py')}",
            hint="The Python runtime loads the function from main.py at the top of the source.",
        )
    if not tree.files.keys() & {"requirements.txt", "pyproject.toml"}:
        raise ConfigError(
            f"there is neither requirements.txt nor pyproject.toml in {tree.source}"
            f"{_why(tree, 'requirements.txt')}",
            hint="Add requirements.txt; an empty one will do.",
        )
    content = _read(main)
    if b"\0" in content:
        return  # refused with its name when the files are read
    names = _names_defined(content, runtime)
    if names is not None and entry_point not in names:
        known = ", ".join(sorted(n for n in names if not n.startswith("_"))) or "nothing"
        raise ConfigError(
            f"main.py defines no {entry_point!r}; it defines {known}",
            hint="Correct `entry-point` in the settings, or the name in main.py.",
        )


def _why(tree: _Tree, name: str) -> str:
    reason = dict(tree.left_out).get(name)
    return f" (left out: {reason})" if reason else ""


def _names_defined(content: bytes, runtime: str) -> set[str] | None:
    """Names that the top level of ``main.py`` binds, or None where that cannot be told."""
    try:
        module = ast.parse(content, filename="main.py")
    except SyntaxError as error:
        if _is_newer(runtime):
            return None
        raise ConfigError(
            f"main.py:{error.lineno}: {error.msg}", hint="The function could not even be loaded."
        ) from error
    names: set[str] = set()
    for node in _top_level(module.body):
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                names.add(name)
            case ast.ClassDef(name=name):
                names.add(name)
            case ast.Import(names=aliases) | ast.ImportFrom(names=aliases):
                if any(alias.name == "*" for alias in aliases):
                    return None
                names.update((a.asname or a.name).partition(".")[0] for a in aliases)
            case ast.Assign() | ast.AnnAssign():
                names.update(n.id for n in ast.walk(node) if isinstance(n, ast.Name))
            case _:
                pass
    return names


def _top_level(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """Statements that run on import, those inside ``if``, ``try`` and ``with`` too."""
    for node in body:
        yield node
        for part in ("body", "orelse", "finalbody", "handlers"):
            if isinstance(node, ast.If | ast.Try | ast.With):
                inner = getattr(node, part, [])
                for item in inner:
                    if isinstance(item, ast.ExceptHandler):
                        yield from _top_level(item.body)
                    else:
                        yield from _top_level([item])


def _is_newer(runtime: str) -> bool:
    """Whether ``runtime`` (``python312``) is a later Python, whose grammar we cannot judge."""
    digits = re.fullmatch(r"python3(\d+)", runtime)
    return digits is not None and int(digits[1]) > sys.version_info.minor


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigError(
            f"{path} cannot be read: {error.strerror}",
            hint=f"Correct its permissions, or add it to {FILE_NAME}.",
        ) from error


def _write(tree: _Tree, folder: Path) -> tuple[Digest, Path]:
    """Write the zip under a name of its digest; returns the digest and the path."""
    manifest = hashlib.sha256()
    finds: list[Find] = []
    size = 0
    with tempfile.NamedTemporaryFile(dir=folder, suffix=".part", delete=False) as part:
        temporary = Path(part.name)
        try:
            with zipfile.ZipFile(part, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as archive:
                for name in sorted(tree.files):
                    content = _read(tree.files[name])
                    size += len(content)
                    _check_content(name, content, size)
                    finds += _refused_finds(tree, name, content)
                    line = f"{name}\0{hashlib.sha256(content).hexdigest()}\n"
                    manifest.update(line.encode())
                    archive.writestr(_member(name), content)
            part.flush()
            _check_finds(finds)
            digest = Digest(manifest.hexdigest())
            path = folder / f"{digest[:32]}.zip"
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
    return digest, path


def _member(name: str) -> zipfile.ZipInfo:
    member = zipfile.ZipInfo(name, date_time=_EARLIEST)
    member.create_system = _UNIX
    member.external_attr = _REGULAR_644
    member.compress_type = zipfile.ZIP_DEFLATED
    return member


def _check_content(name: str, content: bytes, size: int) -> None:
    if size > MAX_UNPACKED_BYTES:
        raise ConfigError(
            f"the source is too big: more than {MAX_UNPACKED_BYTES // 2**20} MiB before packing",
            hint=f"Leave out what the function does not need, by {FILE_NAME}.",
        )
    if name.endswith(".py") and b"\0" in content:
        raise ConfigError(
            f"{name} contains null bytes and is no Python source",
            hint=f"Save it as UTF-8, delete it, or add it to {FILE_NAME}.",
        )


def _refused_finds(tree: _Tree, name: str, content: bytes) -> tuple[Find, ...]:
    """What looks like a secret in a file, unless the settings allow it; then it is noted with the reason."""
    finds = scan_file(name, content)
    reason = reason_to_allow(name, tree.allowed) if finds else None
    if reason is None:
        return finds
    tree.allowed_secrets += [(str(find), reason) for find in finds]
    return ()


def _check_finds(finds: list[Find]) -> None:
    if finds:
        shown = "\n".join(f"  {find}" for find in finds[:20])
        raise ConfigError(
            f"the source was not packed: it seems to hold {len(finds)} secret(s)\n{shown}",
            hint="move it to Secret Manager and name it under `secrets`, or leave the file out by "
            f"{FILE_NAME}; if it is harmless, write `{ALLOW}` on its line, or name the file and the "
            "reason in the settings: "
            'allowed-secrets = [{ path = "data/*.json", reason = "made up for tests" }]',
        )
