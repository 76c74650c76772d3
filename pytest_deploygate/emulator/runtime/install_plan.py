"""What a build installs, as Google's buildpacks for Python do it, and what an environment so made depends on.

Sources: GoogleCloudPlatform/buildpacks, ``cmd/python/functions_framework``, ``cmd/python/pip`` and ``pkg/python``.
functions-framework, where the source does not name it, and ``requirements.txt`` are installed one after the other;
``pip check`` then refuses what does not fit together. ``pyproject.toml`` counts only without ``requirements.txt`` and
from Python 3.13 on, and must name functions-framework itself. A ``Procfile`` is not read: the group of buildpacks for
functions has none that would.
"""

import hashlib
import os
import re
import shutil
import sys
import tomllib
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

_FRAMEWORK = re.compile(r"functions[-_.]framework\b", re.IGNORECASE)
_FRAMEWORK_LINE = re.compile(rf"^\s*{_FRAMEWORK.pattern}", re.IGNORECASE | re.MULTILINE)
_FROM_INDEX = re.compile(
    r"[A-Za-z0-9][A-Za-z0-9._-]*\s*(\[[^]]*\])?\s*(?P<version>[<>=!~][^;@]*?)?\s*(;[^@]*?)?"
    r"(\s+--hash=\S+)*"
)
_ARCHIVE = re.compile(r"\.(whl|zip|tar(\.\w+)?|tgz|egg)$", re.IGNORECASE)
_OUTSIDE = re.compile(r"(?:^|[\s=@])(?:file:(?://)?)?(/(?!workspace/)[^\s]*)", re.MULTILINE)
_FIRST_WITH_PYPROJECT = 13
_PIP_FILES = (
    "/etc/pip.conf",
    "~/.config/pip/pip.conf",
    "~/.pip/pip.conf",
    "~/Library/Application Support/pip/pip.conf",
    f"{sys.prefix}/pip.conf",
)


class PlanError(Exception):
    """The source says what cannot be installed; the text is for the build log."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InstallPlan:
    """Steps in their order: arguments for pip, or for uv where ``uses_uv``."""

    steps: tuple[tuple[str, ...], ...]
    identity: str
    """Equal for two sources only if the same gets installed."""
    uses_uv: bool = False


def read_install_plan(source: Path, runtime: str, content: str) -> InstallPlan:
    """What to install for the function in ``source``, whose files have the digest ``content``.

    Raises:
        PlanError: it needs what Google's build does not have, or what this machine lacks.
    """
    requirements, pyproject = source / "requirements.txt", source / "pyproject.toml"
    if requirements.exists():
        text = requirements.read_text(encoding="utf-8", errors="replace")
        if outside := _OUTSIDE.search(_without_comments(text)):
            raise PlanError(f"requirements.txt names {outside[1]}, which is not part of the source")
        steps: list[tuple[str, ...]] = [("install", "-r", "requirements.txt")]
        if not _FRAMEWORK_LINE.search(text):
            steps.insert(0, ("install", "functions-framework"))
        return InstallPlan(steps=tuple(steps), identity=_identity(text, source, content))
    if pyproject.exists() and _minor(runtime) >= _FIRST_WITH_PYPROJECT:
        return _plan_of_pyproject(source, pyproject, content)
    return InstallPlan(steps=(("install", "functions-framework"),), identity="")


def _plan_of_pyproject(source: Path, pyproject: Path, content: str) -> InstallPlan:
    try:
        found = tomllib.loads(pyproject.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise PlanError(f"pyproject.toml is not TOML: {error}") from error
    if (source / "poetry.lock").exists() or "poetry" in found.get("tool", {}):
        raise PlanError(
            "pyproject.toml is a Poetry project, which the emulator cannot build; "
            "`poetry export -o requirements.txt` makes a file that both builds read"
        )
    project = found.get("project", {})
    dependencies = project.get("dependencies", []) if isinstance(project, dict) else []
    if not isinstance(dependencies, list) or not all(isinstance(d, str) for d in dependencies):
        raise PlanError("project.dependencies of pyproject.toml is not a list of texts")
    if not any(_FRAMEWORK.match(dependency) for dependency in dependencies):
        raise PlanError(
            "This project is using pyproject.toml but its dependencies do not include "
            "functions-framework: add it to project.dependencies"
        )
    if shutil.which("uv") is not None:
        sync = ("sync", "--active", "--link-mode=copy")
        return InstallPlan(steps=(sync,), identity=content, uses_uv=True)
    if (source / "uv.lock").exists():
        raise PlanError("uv.lock needs uv on this machine: pip install uv")
    if "build-system" in found:
        return InstallPlan(steps=(("install", "."),), identity=content)
    return InstallPlan(
        steps=(("install", *dependencies),),
        identity=_identity("\n".join(dependencies), source, content),
    )


def _identity(text: str, source: Path, content: str) -> str:
    """The requirements themselves where all come from an index; in doubt the digest of the whole source.

    What is not pinned is looked up again each day, as by the platform (its cache of a layer expires after one).
    """
    lines = [line.strip() for line in _without_comments(text.replace("\\\n", " ")).splitlines()]
    found = [_FROM_INDEX.fullmatch(line) for line in lines if line]
    if not all(
        match and not _ARCHIVE.search(match[0]) and not (source / match[0]).exists()
        for match in found
    ):
        return content
    pinned = all(match and (match["version"] or "").startswith("==") for match in found)
    day = "" if pinned else datetime.now(UTC).date().isoformat()
    return f"{text}\0{day}"


def _without_comments(text: str) -> str:
    return re.sub(r"(^|\s)#.*", "", text)


def _minor(runtime: str) -> int:
    match = re.fullmatch(r"python3(\d+)", runtime)
    return int(match[1]) if match else 0


def settings_of_pip() -> str:
    """Digest of all that this machine tells pip: an environment depends on the index that it came from."""
    digest = hashlib.sha256()
    for name in sorted(name for name in os.environ if name.startswith(("PIP_", "UV_"))):
        digest.update(f"{name}={os.environ[name]}\0".encode("utf-8", "surrogateescape"))
    for name in (*_PIP_FILES, os.environ.get("PIP_CONFIG_FILE", "")):
        path = Path(name).expanduser()
        if name and path.is_file():
            digest.update(path.read_bytes())
    return digest.hexdigest()
