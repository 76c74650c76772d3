"""What a function imports: from ``main.py`` on, through its own modules, and only what it cannot do without."""

import ast
from collections.abc import Iterator
from pathlib import Path

_CAUGHT = {"ImportError", "ModuleNotFoundError", "Exception", "BaseException"}


def imported_packages(folder: Path) -> set[str]:
    """Top-level names that the function in ``folder`` imports and that are none of its own.

    Scripts beside it that nothing imports do not count, nor do imports in a ``try`` that goes on without them, or for
    type checkers alone.
    """
    waiting, seen, found = [folder / "main.py"], set[Path](), set[str]()
    while waiting:
        module = waiting.pop()
        if module in seen:
            continue
        seen.add(module)
        for name, level in _needed(ast.parse(module.read_bytes())):
            base = folder if not level else module.parents[level - 1]
            own = list(_own_modules(base, name))
            waiting += own
            if not own and not level:
                found.add(name.partition(".")[0])
    return found


def _own_modules(base: Path, name: str) -> Iterator[Path]:
    """Files of the folder that importing ``name`` runs: packages on the way, and the module itself."""
    here = base
    for part in filter(None, name.split(".")):
        here = here / part
        for path in (here / "__init__.py", here.with_suffix(".py")):
            if path.is_file():
                yield path
    if here.is_dir() and here != base and not (here / "__init__.py").is_file():
        yield from here.glob("*.py")  # a package without an __init__


def _needed(tree: ast.AST) -> Iterator[tuple[str, int]]:
    """Names and levels of imports; ``from a import b`` may import the module ``a.b``."""
    for node in ast.iter_child_nodes(tree):
        match node:
            case ast.Import():
                yield from ((alias.name, 0) for alias in node.names)
            case ast.ImportFrom():
                module = node.module or ""
                yield module, node.level
                if node.level or module:
                    yield from (
                        (f"{module}.{alias.name}".lstrip("."), node.level) for alias in node.names
                    )
            case ast.Try() if any(map(_catches_imports, node.handlers)):
                for handler in (*node.handlers, *node.orelse, *node.finalbody):
                    yield from _needed(handler)
            case ast.If() if "TYPE_CHECKING" in ast.unparse(node.test):
                for other in node.orelse:
                    yield from _needed(ast.Module(body=[other], type_ignores=[]))
            case _:
                yield from _needed(node)


def _catches_imports(handler: ast.ExceptHandler) -> bool:
    if handler.type is None:
        return True
    kinds = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
    return any(isinstance(kind, ast.Name) and kind.id in _CAUGHT for kind in kinds)
