"""A script: runs a module of this package, found where this file is, without what ``PYTHONPATH`` names.

Folders of ``PYTHONPATH`` into which packages were installed (``pip install --target``) are searched, after all others.
"""

import sys

if __name__ == "__main__":
    import os
    import runpy

    _named = [p for p in os.environ.get("PYTHONPATH", "").split(os.pathsep) if p]
    _named = [os.path.abspath(p) for p in _named]  # noqa: PTH100
    sys.path[:] = [p for p in sys.path if os.path.abspath(p) not in _named]  # noqa: PTH100
    for _folder in _named:
        if os.path.isdir(_folder) and any(n.endswith(".dist-info") for n in os.listdir(_folder)):  # noqa: PTH112, PTH208
            sys.path.append(_folder)
    _package = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))  # noqa: PTH100, PTH120
    if not any(os.path.isdir(os.path.join(p, "pytest_deploygate")) for p in sys.path):  # noqa: PTH112, PTH118
        sys.path.append(os.path.dirname(_package))  # noqa: PTH120
    del sys.argv[0]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
