"""Holds a source to what Google's build needs: the file of the function, its entry point, its requirements.

Sources: GoogleCloudPlatform/buildpacks, ``cmd/python/functions_framework`` and ``pkg/python/pyproject``.
"""

import ast
import re
import sys
import tomllib
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pytest_deploygate.core.errors import ConfigError
from pytest_deploygate.targets.module_syntax import check_syntax
from pytest_deploygate.targets.source_files import read_file

_DYNAMIC: Final = frozenset({"globals", "locals", "vars", "setattr", "exec", "eval", "__getattr__"})
"""A module that uses one of these may bind names that no reader of its text can see."""
_FIRST_WITH_PYPROJECT: Final = 13
_FRAMEWORK: Final = re.compile(r"functions[-_.]framework\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class FunctionLayout:
    """Where the settings say that the function is."""

    source: Path
    entry_point: str
    runtime: str
    source_file: str


def check_function(
    files: Mapping[str, Path], left_out: Mapping[str, str], layout: FunctionLayout
) -> None:
    """Refuse a source that Google's build would refuse; ``files`` are those to be packed, by name.

    Raises:
        ConfigError: the file, the entry point or the requirements are not there, or a module has a syntax error.
    """
    name = layout.source_file
    main = files.get(name)
    if main is None:
        raise ConfigError(
            f"there is no {name} in {layout.source}{_left_out_note(left_out, name)}",
            hint="the Python runtime loads the function from main.py at the top of the source, "
            "or from the file that the build variable GOOGLE_FUNCTION_SOURCE names",
        )
    _check_requirements(files, left_out, layout)
    module = check_syntax(files, name, minor=_minor(layout.runtime))
    names = _names_defined(module) if module is not None else None
    if names is not None and layout.entry_point not in names:
        known = ", ".join(sorted(n for n in names if not n.startswith("_"))) or "nothing"
        raise ConfigError(
            f"{name} defines no {layout.entry_point!r}; it defines {known}",
            hint=f"correct `entry-point` in the settings, or the name in {name}",
        )


def _left_out_note(left_out: Mapping[str, str], name: str) -> str:
    return f" (left out: {left_out[name]})" if name in left_out else ""


def _check_requirements(
    files: Mapping[str, Path], left_out: Mapping[str, str], layout: FunctionLayout
) -> None:
    if "requirements.txt" in files:
        return
    if "pyproject.toml" not in files:
        raise ConfigError(
            f"there is neither requirements.txt nor pyproject.toml in {layout.source}"
            f"{_left_out_note(left_out, 'requirements.txt')}",
            hint="add requirements.txt; an empty one will do",
        )
    try:
        text = read_file(files["pyproject.toml"]).decode()
        project = tomllib.loads(text).get("project", {})
        dependencies = project.get("dependencies", [])
        named = any(_FRAMEWORK.match(dependency) for dependency in dependencies)
    except (ValueError, AttributeError, TypeError) as error:
        raise ConfigError(
            f"pyproject.toml of {layout.source} cannot be read: {error}",
            hint="correct it, or add requirements.txt",
        ) from error
    if _minor(layout.runtime) < _FIRST_WITH_PYPROJECT:
        if dependencies:
            raise ConfigError(
                f"Google's build for {layout.runtime} does not read pyproject.toml, "
                f"so it would install none of {', '.join(dependencies)}",
                hint="add requirements.txt, or use runtime python313 or later",
            )
    elif not named and "poetry" not in tomllib.loads(text).get("tool", {}):
        raise ConfigError(
            "pyproject.toml does not name functions-framework, which Google's build then refuses",
            hint="add functions-framework to project.dependencies",
        )


def _names_defined(module: ast.Module) -> set[str] | None:
    """Names that the module binds, or None where its text does not tell."""
    names: set[str] = set()
    for node in _statements_on_import(module):
        match node:
            case ast.Global(names=bound):
                names.update(bound)
            case ast.FunctionDef(name=bound) | ast.AsyncFunctionDef(name=bound):
                names.add(bound)
            case ast.ClassDef(name=bound):
                names.add(bound)
            case ast.Import(names=aliases) | ast.ImportFrom(names=aliases):
                names.update((a.asname or a.name).partition(".")[0] for a in aliases)
            case ast.Name(id=bound, ctx=ast.Store()):
                names.add(bound)
            case ast.Name(id=bound) if bound in _DYNAMIC:
                return None
            case ast.Attribute(attr="modules" | "__dict__" | "__setattr__"):
                return None
            case ast.MatchAs(name=str(bound)) | ast.MatchStar(name=str(bound)):
                names.add(bound)
            case _:
                pass
    return None if names & {"*", "__getattr__"} else names


def _statements_on_import(module: ast.Module) -> Iterator[ast.AST]:
    """All nodes that are not local to a function or class, and the ``global`` statements of those."""
    waiting: deque[ast.AST] = deque([module])
    while waiting:
        node = waiting.popleft()
        yield node
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Lambda):
            for inner in ast.walk(node):
                is_dynamic = isinstance(inner, ast.Name) and inner.id in _DYNAMIC
                if isinstance(inner, ast.Global) or is_dynamic:
                    yield inner
        else:
            waiting.extend(ast.iter_child_nodes(node))


def _minor(runtime: str) -> int:
    """12 for ``python312``; high for what is no Python, so that nothing is refused for its age."""
    digits = re.fullmatch(r"python3(\d+)", runtime)
    return int(digits[1]) if digits is not None else sys.maxsize
