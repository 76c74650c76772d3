"""Compiles the module of a function, and every module of the source that it imports, without running any."""

import ast
import json
import subprocess
import sys
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Final, NamedTuple

from pytest_deploygate.core.errors import ConfigError
from pytest_deploygate.system.interpreters import find_interpreter
from pytest_deploygate.targets.source_files import read_file

_PACKAGE: Final = "__init__.py"
_COMPILES: Final = """
import json, sys, warnings
warnings.simplefilter("ignore")
try:
    compile(sys.stdin.buffer.read(), sys.argv[1], "exec", dont_inherit=True)
except SyntaxError as error:
    print(json.dumps([type(error).__name__, error.msg, error.lineno or 0, error.text or ""]))
"""
"""Run by the interpreter of a later runtime; imports nothing of the function."""
_COMPILES_S: Final = 20


class _Mistake(NamedTuple):
    """A syntax error, as an interpreter tells it."""

    kind: str
    message: str
    line: int
    text: str


def check_syntax(files: Mapping[str, Path], main: str, *, minor: int) -> ast.Module | None:
    """Compile ``main`` and what it imports, also inside of functions; ``files`` are those to be packed, by name.

    A file that nothing imports may be of any form: a template, or for another version of Python. Returns the module
    ``main``, or None where this interpreter cannot read it: the function runs with a later Python 3.``minor``. What
    is right there is then asked of that Python, where this machine has it.

    Raises:
        ConfigError: a module has a syntax error.
    """
    found: dict[str, ast.Module | None] = {}
    waiting = [main]
    while waiting:
        name = waiting.pop()
        if name in found:
            continue
        module = found[name] = _compile(name, read_file(files[name]), minor)
        if module is not None:
            waiting += [file for file in _imported_files(module, name) if file in files]
    return found[main]


def _compile(name: str, content: bytes, minor: int) -> ast.Module | None:
    if b"\0" in content:
        return None  # refused with its name when the files are packed
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what the compiler warns of is no error
            module = ast.parse(content, filename=name)
            compile(module, name, "exec", dont_inherit=True)
    except SyntaxError as error:
        ours = _Mistake(type(error).__name__, error.msg, error.lineno or 0, error.text or "")
        is_later = minor > sys.version_info.minor
        found = _ask_later_python(name, content, minor, ours) if is_later else ours
        if found is None:
            return None
        place = f"{name}:{found.line}" if found.line else name
        line = f": {found.text.strip()}" if found.text.strip() else ""
        raise ConfigError(
            f"{place}: {found.kind}: {found.message}{line}",
            hint="the function could not even be loaded; correct the line",
        ) from error
    return module


def _ask_later_python(name: str, content: bytes, minor: int, ours: _Mistake) -> _Mistake | None:
    """The mistake that Python 3.``minor`` sees; without it on this machine, ``ours`` if every version sees that."""
    interpreter = find_interpreter(f"python3{minor}")
    if interpreter.is_exact:
        try:
            done = subprocess.run(
                [interpreter.path, "-I", "-c", _COMPILES, name],
                input=content,
                capture_output=True,
                timeout=_COMPILES_S,
                check=True,
            )
        except (OSError, subprocess.SubprocessError):
            return None
        return _Mistake(*json.loads(done.stdout)) if done.stdout.strip() else None
    is_of_every_version = ours.kind in (IndentationError.__name__, TabError.__name__)
    return ours if is_of_every_version else None


def _imported_files(module: ast.Module, name: str) -> Iterator[str]:
    """Names of the files that ``module`` may load, if they exist; ``name`` is its own."""
    for node in ast.walk(module):
        match node:
            case ast.Import(names=aliases):
                for alias in aliases:
                    yield from _files_of(alias.name.split("."))
            case ast.ImportFrom(module=base, names=aliases, level=level):
                above = PurePosixPath(name).parts[:-level] if level else ()
                parts = [*above, *(base.split(".") if base else [])]
                for alias in aliases:
                    yield from _files_of([*parts, alias.name])
            case _:
                pass


def _files_of(parts: list[str]) -> Iterator[str]:
    """Files of a dotted name and of every package above it."""
    for count in range(1, len(parts) + 1):
        path = "/".join(parts[:count])
        yield f"{path}.py"
        yield f"{path}/{_PACKAGE}"
