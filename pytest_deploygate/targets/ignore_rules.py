"""Which paths of a source directory gcloud would leave out of an upload.

Rules as gcloud has them (``gcloud topic gcloudignore`` and its ``gcloudignore.py``): one
``.gcloudignore`` at the top, git's patterns, the last match wins, ``#!include:FILE`` takes in a
file of the same directory. What lies below an ignored directory can never be re-included, therefore
callers walk from the top and do not enter ignored directories. Where there is no ``.gcloudignore``
and git or node leave traces, gcloud's built-in list applies; it is not written.

Patterns are translated here (gitignore(5)): the library for it lets a file pattern outweigh a later
directory pattern, so that ``*`` followed by ``!*/`` ignores directories that git and gcloud enter.
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pytest_deploygate.core.errors import ConfigError

FILE_NAME: Final = ".gcloudignore"
_INCLUDE: Final = "#!include:"
_TRACES: Final = (".git", ".gitignore", "node_modules")
_BUILT_IN: Final = (FILE_NAME, ".git", ".gitignore", "node_modules")
_TRAILING_SPACES: Final = re.compile(r"(?<!\\)\s+$")
_SET: Final = re.compile(r"\[([!^]?)(\]?(?:\\.|\[:\w+:\]|[^\]\\])*)\]", re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pattern:
    """One line of an ignore file; ``is_negated`` re-includes what an earlier one left out."""

    regex: re.Pattern[str]
    is_negated: bool
    is_for_directories: bool

    @classmethod
    def parse(cls, line: str) -> "Pattern | None":
        """The pattern of a line, or None for blank lines, comments and patterns that match nothing."""
        text = _TRAILING_SPACES.sub("", line)
        if not text or text.startswith("#"):
            return None
        is_negated = text.startswith("!")
        text = text.removeprefix("!")
        is_for_directories = text.endswith("/")
        text = text.removesuffix("/")
        is_anchored = "/" in text
        try:
            regex = re.compile(_regex(text.removeprefix("/")))
        except (re.error, ValueError):
            return None
        if not is_anchored:
            regex = re.compile(f"(?:.*/)?{regex.pattern}", re.DOTALL)
        return cls(regex=regex, is_negated=is_negated, is_for_directories=is_for_directories)


@dataclass(frozen=True, slots=True, kw_only=True)
class IgnoreRules:
    """Patterns of one source directory; ``origin`` says for messages where they are from."""

    patterns: tuple[Pattern, ...]
    origin: str

    @classmethod
    def read(cls, directory: Path) -> "IgnoreRules":
        """The rules of ``directory``.

        Raises:
            ConfigError: the file cannot be read, or includes what it must not.
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
        parsed = (Pattern.parse(line) for line in lines)
        return cls(patterns=tuple(p for p in parsed if p is not None), origin=origin)

    def is_ignored(self, path: str, *, is_dir: bool) -> bool:
        """Whether ``path`` (relative, with slashes) is left out, its parents not considered."""
        for pattern in reversed(self.patterns):
            if pattern.is_for_directories and not is_dir:
                continue
            if pattern.regex.fullmatch(path):
                return not pattern.is_negated
        return False


def _regex(text: str) -> str:
    """Regular expression of a pattern without its leading and trailing slash.

    Raises:
        ValueError: it can match nothing: a set that is not closed, a backslash at the end.
    """
    parts = text.split("/")
    result = ""
    for index, part in enumerate(parts):
        is_last = index == len(parts) - 1
        if part == "**" and len(parts) > 1:
            result += ".+" if is_last else "(?:.*/)?"
        else:
            result += _part(part) + ("" if is_last else "/")
    return f"(?s:{result})"


def _part(text: str) -> str:
    """Regular expression of what stands between two slashes."""
    result, at = "", 0
    while at < len(text):
        char = text[at]
        if char == "*":
            result += "[^/]*"
        elif char == "?":
            result += "[^/]"
        elif char == "[":
            found = _SET.match(text, at)
            if found is None:
                raise ValueError("a set that is not closed")
            result += _set_pattern(found[1], found[2])
            at = found.end() - 1
        elif char == "\\":
            at += 1
            if at == len(text):
                raise ValueError("a backslash at the end")
            result += re.escape(text[at])
        else:
            result += re.escape(char)
        at += 1
    return re.sub(r"(?:\[\^/\]\*){2,}", "[^/]*", result)


def _set_pattern(negation: str, members: str) -> str:
    """A set such as ``[a-z]``; no set matches a slash."""
    inner = re.sub(r"\\(.)", r"\1", members)
    escaped = "".join(char if char == "-" else re.escape(char) for char in inner)
    return f"(?!/)[{'^' if negation else ''}{escaped}]"


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"{path} cannot be read: {error}", hint="it must be a readable text file in UTF-8"
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
                hint=f"name a file of {directory}, or remove the line",
            )
        for inner in _lines(included):
            if inner.startswith(_INCLUDE):
                raise ConfigError(
                    f"{included} is included and includes another file ({inner})",
                    hint=f"gcloud follows one level only: name the file in {FILE_NAME} itself",
                )
            result.append(inner)
    return result
