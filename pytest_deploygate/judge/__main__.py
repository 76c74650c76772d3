"""``python -m pytest_deploygate.judge REQUEST``: the process that decides, in place of the pytest that was started."""

import os
import sys


def _put_project_last() -> None:
    """What PYTHONPATH names cannot take the place of a library."""
    named = [os.path.abspath(p) for p in os.environ.get("PYTHONPATH", "").split(os.pathsep) if p]  # noqa: PTH100
    kept = [path for path in sys.path if os.path.abspath(path) not in named]  # noqa: PTH100
    sys.path[:] = [*kept, *named]


if __name__ == "__main__":
    _put_project_last()
    from pytest_deploygate.judge.main import main

    sys.exit(main(sys.argv[1]))
