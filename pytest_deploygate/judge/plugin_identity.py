"""Version and digest of the code of others that runs in the judge because the settings name it."""

import importlib.metadata
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

from pytest_deploygate.judge.source_scan import digest_file, suite_digest

_CODE = (".py", ".so", ".pyd")


def identity_of(module: ModuleType) -> str:
    """``VERSION sha256:DIGEST`` of the top-level package that brings ``module``, or of its file if it is none.

    The version is that of the installed distribution, and left out where there is none, as for a file of the project.
    """
    digest = suite_digest({name: digest_file(path) for name, path in _files(module)})
    return " ".join([*_versions(module), f"sha256:{digest}"])


def _top_level(module: ModuleType) -> str:
    return module.__name__.partition(".")[0]


def _versions(module: ModuleType) -> Iterator[str]:
    for name in importlib.metadata.packages_distributions().get(_top_level(module), ())[:1]:
        yield importlib.metadata.version(name)


def _files(module: ModuleType) -> Iterator[tuple[str, Path]]:
    top = sys.modules.get(_top_level(module), module)
    whole = top if getattr(top, "__file__", None) else module  # a namespace belongs to several
    for folder in map(Path, getattr(whole, "__path__", ())):
        for path in folder.rglob("*"):
            if path.suffix in _CODE:
                yield path.relative_to(folder).as_posix(), path
    if not hasattr(whole, "__path__") and whole.__file__:
        yield Path(whole.__file__).name, Path(whole.__file__)
