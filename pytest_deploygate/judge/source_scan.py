"""What Python and pytest pass over in silence in files of checks: found by reading, since a warning may be hidden.

Compiled files are kept, so that the warning about an assertion which is always true comes once and never again.
"""

import ast
import contextlib
import hashlib
import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from pytest_deploygate.core.policy import Policy

_ASSERT_OF_PARENTHESES = re.compile(rb"\bassert[\s\\]*\(")
_DEFINES_TEST = re.compile(rb"^[ \t]*(?:async[ \t]+)?def[ \t]+test", re.MULTILINE)
_NO_CHECKS = ("conftest.py", "setup.py")
_NEVER_SEARCHED = ("__pycache__", "build", "dist", "node_modules", "venv", "CVS", "_darcs")
"""Folders that pytest leaves out by itself."""
_TEST = re.compile(rb"\b(?:def|class)[\s\\]+(test\w*)", re.IGNORECASE)


def digest_files(root: Path, files: Iterable[str]) -> dict[str, str]:
    """SHA-256 of each file that has a say in the checks of ``files`` (relative to ``root``), by its name.

    These are all Python files beside a check or in a folder above it, up to ``root``: checks, conftest files and what
    they import from there.
    """
    own = {(root / name).parent for name in files}
    folders = {folder for one in own for folder in (one, *one.parents)}
    return {
        path.relative_to(root).as_posix(): digest_file(path)
        for folder in folders
        if folder.is_relative_to(root)
        for path in folder.glob("*.py")
    }


def digest_file(path: Path) -> str:
    """SHA-256 of a file, or why it cannot be read."""
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        return f"unreadable: {error.strerror}"


def suite_digest(digests: Mapping[str, str]) -> str:
    """SHA-256 over what :func:`digest_files` found."""
    lines = (f"{digest}  {name}\n" for name, digest in sorted(digests.items()))
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def find_unchecked_files(root: Path, policy: Policy, files: Iterable[str]) -> Iterator[str]:
    """Files below the path of a gate that define tests, but are not among ``files``, from which checks came.

    Of a gate that takes only marked tests nobody can tell which files were meant.
    """
    known = set(files)
    folders = {root / path for gate in policy.gates if not gate.marker for path in gate.paths}
    for folder in sorted(folders):
        for path in sorted(_python_files(folder)):
            name = path.relative_to(root).as_posix()
            if name not in known and path.name not in _NO_CHECKS:
                known.add(name)
                with contextlib.suppress(OSError):
                    if _DEFINES_TEST.search(path.read_bytes()):
                        yield name


def _python_files(folder: Path) -> Iterator[Path]:
    for where, folders, names in os.walk(folder):
        folders[:] = [n for n in folders if not n.startswith(".") and n not in _NEVER_SEARCHED]
        yield from (Path(where, name) for name in names if name.endswith(".py"))


def find_vacuous_tests(root: Path, files: Iterable[str]) -> Iterator[str]:
    """A sentence for each check in ``files`` (relative to ``root``) that cannot fail or that another one shadows."""
    for name in files:
        try:
            text = (root / name).read_bytes()
            if not _is_suspect(text):
                continue
            tree = ast.parse(text)
        except (OSError, SyntaxError, ValueError):
            continue  # no Python: another plugin collected it
        yield from (f"{name}:{line}: {what}" for line, what in _find_vacuous(tree))


def _is_suspect(text: bytes) -> bool:
    """Whether it is worth understanding the file: what is looked for cannot be in any other."""
    names = Counter(_TEST.findall(text))
    return bool(_ASSERT_OF_PARENTHESES.search(text)) or any(n > 1 for n in names.values())


def _find_vacuous(tree: ast.Module) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Assert) and isinstance(node.test, ast.Tuple) and node.test.elts:
            yield node.lineno, "an assertion of a tuple is always true; remove the parentheses"
    yield from _find_shadowed(tree)


def _find_shadowed(scope: ast.Module | ast.ClassDef) -> Iterator[tuple[int, str]]:
    seen: dict[str, int] = {}
    for node in scope.body:
        if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            continue
        if node.name.lower().startswith("test"):
            if node.name in seen:
                yield (
                    seen[node.name],
                    f"{node.name} is defined again in line {node.lineno}, so it never runs",
                )
            seen[node.name] = node.lineno
        if isinstance(node, ast.ClassDef):
            yield from _find_shadowed(node)
