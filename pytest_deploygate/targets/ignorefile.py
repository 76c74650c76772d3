"""Which paths of a source directory gcloud would leave out of an upload.

Rules as gcloud has them (``gcloud topic gcloudignore`` and its ``gcloudignore.py``): one
``.gcloudignore`` at the top, git's patterns, the last match wins, ``#!include:FILE`` takes in a
file of the same directory. What lies below an ignored directory can never be re-included, therefore
callers walk from the top and do not enter ignored directories. Where there is no ``.gcloudignore``
and git or node leave traces, gcloud's built-in list applies; it is not written to disk.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pathspec import GitIgnoreSpec

from pytest_deploygate.core.errors import ConfigError

FILE_NAME: Final = ".gcloudignore"
_INCLUDE: Final = "#!include:"
_TRACES: Final = (".git", ".gitignore", "node_modules")
_BUILT_IN: Final = (FILE_NAME, ".git", ".gitignore", "node_modules")


@dataclass(frozen=True, slots=True, kw_only=True)
class IgnoreRules:
    """Compiled patterns of one source directory; ``origin`` says for messages where they are from."""

    spec: GitIgnoreSpec
    origin: str

    @classmethod
    def read(cls, directory: Path) -> "IgnoreRules":
        """The rules of ``directory``.

        Raises:
            ConfigError: the file cannot be read or understood, or includes what it must not.
        """
        own = directory / FILE_NAME
        if own.is_file():
            lines, origin = _with_includes(directory, _lines(own)), FILE_NAME
        elif any((directory / trace).exists() for trace in _TRACES):
            lines, origin = list(_BUILT_IN), "gcloud's built-in list"
            if (directory / ".gitignore").is_file():
                lines += _lines(directory / ".gitignore")
                origin = "gcloud's built-in list and .gitignore"
        else:
            lines, origin = [], "nothing"
        try:
            return cls(spec=GitIgnoreSpec.from_lines(lines), origin=origin)
        except ValueError as error:
            raise ConfigError(
                f"{own}: a pattern cannot be understood: {error}",
                hint="Patterns are those of .gitignore.",
            ) from error

    def is_ignored(self, path: str, *, is_dir: bool) -> bool:
        """Whether ``path`` (relative, with slashes) is left out, its parents not considered."""
        return self.spec.match_file(f"{path}/" if is_dir else path)


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"{path} cannot be read: {error}", hint="It must be a readable text file in UTF-8."
        ) from error


def _with_includes(directory: Path, lines: list[str]) -> list[str]:
    """``lines`` with each include replaced by the file's lines, one level deep as in gcloud."""
    result: list[str] = []
    for line in lines:
        if not line.startswith(_INCLUDE):
            result.append(line)
            continue
        name = line.removeprefix(_INCLUDE).strip()
        included = directory / name
        if Path(name).name != name or not included.is_file():
            raise ConfigError(
                f"{directory / FILE_NAME} includes {name!r}, which is not a file beside it",
                hint=f"Name a file of {directory}, or remove the line.",
            )
        for inner in _lines(included):
            if inner.startswith(_INCLUDE):
                raise ConfigError(
                    f"{included} is included and includes another file ({inner})",
                    hint=f"gcloud follows one level only: name the file in {FILE_NAME} itself.",
                )
            result.append(inner)
    return result
