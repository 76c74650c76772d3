"""Names a check as people say it."""

_LONGEST = 80


def check_title(nodeid: str) -> str:
    """``rows begin in column a (CS003837319)`` for ``test_rows.py::test_rows_begin_in_column_a[CS003837319]``."""
    path, _, parameters = nodeid.partition("[")
    name = path.rpartition("::")[2].removeprefix("test_").replace("_", " ")
    title = f"{name} ({parameters.removesuffix(']')})" if parameters else name
    return title if len(title) <= _LONGEST else f"{title[: _LONGEST - 3]}..."
