"""A script: runs a module of the package that it belongs to, without what ``PYTHONPATH`` names.

Folders of ``PYTHONPATH`` into which packages were installed (``pip install --target``) are searched, after all others.
"""

import sys

if __name__ == "__main__":
    import importlib.util
    import os
    import runpy

    _named = [p for p in os.environ.get("PYTHONPATH", "").split(os.pathsep) if p]
    _named = [os.path.abspath(p) for p in _named]  # noqa: PTH100
    sys.path[:] = [p for p in sys.path if os.path.abspath(p) not in _named]  # noqa: PTH100
    for _folder in _named:
        if os.path.isdir(_folder) and any(n.endswith(".dist-info") for n in os.listdir(_folder)):  # noqa: PTH112, PTH208
            sys.path.append(_folder)
    # another copy of the package may be installed: this one was asked for
    _package = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))  # noqa: PTH100, PTH120
    _spec = importlib.util.spec_from_file_location(
        "pytest_deploygate",
        os.path.join(_package, "__init__.py"),  # noqa: PTH118
        submodule_search_locations=[_package],
    )
    assert _spec is not None
    assert _spec.loader is not None
    sys.modules[_spec.name] = importlib.util.module_from_spec(_spec)
    _spec.loader.exec_module(sys.modules[_spec.name])
    del sys.argv[0]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
