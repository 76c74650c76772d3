"""Finds what answers HTTP requests in a project, by reading its source: functions, and applications that have none.

Nothing of it is imported.
"""

import ast
import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

MAIN = "main.py"
"""The file that the Python runtime loads the function from, at the top of the source."""
_SKIPPED = frozenset(
    ("node_modules", "site-packages", "build", "dist", "tests", "test", "gates", "docs")
)
_MOST_FILES = 5000
_MOST_BYTES = 1_000_000
_REQUEST_NAMES = ("request", "req")
_APPLICATIONS = ("Flask", "FastAPI", "Quart", "Starlette")
"""Classes of web frameworks whose instances answer requests by themselves."""


class FoundFunction(NamedTuple):
    """A function that answers HTTP requests. Paths are relative to the project.

    ``source`` is the folder to deploy; ``module`` is the dotted name of the file there, ``main`` where the runtime
    finds it by itself.
    """

    entry_point: str
    file: Path
    source: Path
    module: str
    is_declared: bool
    """Whether a decorator of functions-framework says that it is one."""

    @property
    def is_loaded_by_runtime(self) -> bool:
        """Whether ``source`` has the function where the runtime looks for it."""
        return self.module == MAIN.removesuffix(".py")


class FoundCode(NamedTuple):
    """What answers HTTP requests below a folder.

    ``functions`` are those that are declared, or else those of a ``main.py`` that take a request; ``applications`` the
    files that make a web application at their top, as of Flask.
    """

    functions: tuple[FoundFunction, ...]
    applications: tuple[Path, ...]


def find_code(root: Path) -> FoundCode:
    """Read all of ``root`` that may answer requests, each file once."""
    found: list[FoundFunction] = []
    applications: list[Path] = []
    for path in _python_files(root):
        module = _parse(path)
        if module is None:
            continue
        found += _functions_in(root, path, module)
        if _makes_application(module):
            applications.append(path.relative_to(root))
    declared = [one for one in found if one.is_declared]
    return FoundCode(functions=tuple(declared or found), applications=tuple(applications))


def _makes_application(module: ast.Module) -> bool:
    return any(
        isinstance(node, ast.Assign | ast.AnnAssign)
        and isinstance(node.value, ast.Call)
        and ast.unparse(node.value.func).rpartition(".")[2] in _APPLICATIONS
        for node in module.body
    )


def _parse(path: Path) -> ast.Module | None:
    try:
        return ast.parse(path.read_bytes())
    except (SyntaxError, ValueError):
        return None


def _python_files(root: Path) -> Iterator[Path]:
    seen = 0
    for folder, folders, files in os.walk(root):
        here = Path(folder)
        folders[:] = sorted(
            name
            for name in folders
            if not name.startswith((".", "_"))
            and name not in _SKIPPED
            and not (here / name / "pyvenv.cfg").exists()
        )
        for name in sorted(files):
            seen += 1
            if seen > _MOST_FILES:
                return
            if name.endswith(".py") and (here / name).stat().st_size < _MOST_BYTES:
                yield here / name


def _functions_in(root: Path, path: Path, module: ast.Module) -> Iterator[FoundFunction]:
    is_main = path.name == MAIN
    source = _source_folder(root, path, module)
    name = ".".join(path.relative_to(source).with_suffix("").parts)
    for node in module.body:
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        is_declared = any(map(_is_http_decorator, node.decorator_list))
        if is_declared or (is_main and _takes_request(node)):
            yield FoundFunction(
                entry_point=node.name,
                file=path.relative_to(root),
                source=source.relative_to(root),
                module=name,
                is_declared=is_declared,
            )


def _is_http_decorator(node: ast.expr) -> bool:
    """``@functions_framework.http``, and ``@http`` where it was imported by that name."""
    return ast.unparse(node) in ("functions_framework.http", "http")


def _takes_request(node: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    arguments = [*node.args.posonlyargs, *node.args.args]
    return (
        not node.name.startswith("_")
        and len(arguments) - len(node.args.defaults) == 1
        and arguments[0].arg in _REQUEST_NAMES
    )


def _source_folder(root: Path, path: Path, module: ast.Module) -> Path:
    """The nearest folder, from that of the file up, in which all modules are found that the file imports from here.

    What is found nowhere is installed.
    """
    folders = [folder for folder in path.parents if folder.is_relative_to(root)]
    needed = [
        next((level for level, folder in enumerate(folders) if _has_module(folder, name)), 0)
        for name in _imported_modules(module)
    ]
    packages = 0
    if any(isinstance(node, ast.ImportFrom) and node.level for node in module.body):
        # a relative import works in a package only, whose folder must lie in the source
        while (folders[packages] / "__init__.py").exists() and packages < len(folders) - 1:
            packages += 1
    return folders[max([packages, *needed])]


def _imported_modules(module: ast.Module) -> Iterator[str]:
    for node in ast.walk(module):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            yield node.module.partition(".")[0]


def _has_module(folder: Path, name: str) -> bool:
    return (folder / f"{name}.py").is_file() or (folder / name / "__init__.py").is_file()
