"""Compiles the module of a function, and every module of the source that it imports, without running any."""

import ast
import sys
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Final

from pytest_deploygate.core.errors import ConfigError
from pytest_deploygate.targets.source_files import read_file

_PACKAGE: Final = "__init__.py"


def check_syntax(files: Mapping[str, Path], main: str, *, minor: int) -> ast.Module | None:
    """Compile ``main`` and what it imports, also inside of functions; ``files`` are those to be packed, by name.

    A file that nothing imports may be of any form: a template, or for another version of Python. Returns the module
    ``main``, or None where this interpreter cannot tell: the function runs with a later Python 3.``minor``.

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
        if minor > sys.version_info.minor:
            return None  # a later Python, whose grammar we cannot judge
        place = f"{name}:{error.lineno}" if error.lineno else name
        line = f": {error.text.strip()}" if error.text and error.text.strip() else ""
        raise ConfigError(
            f"{place}: {type(error).__name__}: {error.msg}{line}",
            hint="the function could not even be loaded; correct the line",
        ) from error
    return module


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
