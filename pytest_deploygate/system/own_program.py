"""Starts programs of this package in processes that load no code of the project that is judged.

Neither the working directory nor ``PYTHONPATH`` is searched, so a ``json.py`` or ``sitecustomize.py`` of the project
takes the place of nothing. Only what the settings name as ``module:name`` is looked for there, by :func:`import_named`.
"""

import importlib
import os
import sys
from pathlib import Path
from types import ModuleType

_START = str(Path(__file__).with_name("start_module.py"))


def own_program(module: str) -> list[str]:
    """The command that runs ``module`` of this package; its arguments follow."""
    # without PYTHONHOME such an interpreter does not find its own library
    isolation = ["-P"] if "PYTHONHOME" in os.environ else ["-E", "-P"]
    return [sys.executable, *isolation, _START, module]


def import_named(name: str) -> ModuleType:
    """The module that the settings name: installed, or below a folder of ``PYTHONPATH``."""
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{name}.".startswith(f"{error.name}."):
            raise
    folders = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    sys.path += [folder for folder in folders if folder and folder not in sys.path]
    importlib.invalidate_caches()
    return importlib.import_module(name)
