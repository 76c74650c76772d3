"""A phase whose time is up ends with that as the reason, whatever breaks while it is interrupted."""

import pytest

from pytest_deploygate.testing import DeploygateProject
from tests.plugin.plugin_project import SUBJECT

SLOW = """\
import time
def test_subject(): time.sleep(60)
"""
BREAKS = {
    "a check": {SUBJECT: SLOW},
    "an old wrapper of a plugin": {
        "conftest.py": """
            import time
            import pytest

            @pytest.hookimpl(hookwrapper=True)
            def pytest_runtest_protocol(item):
                yield
                if item.name == "test_subject":
                    time.sleep(60)
        """
    },
    "a plugin that ends the session": {
        SUBJECT: SLOW,
        "conftest.py": """
            import pytest

            def pytest_runtest_logreport(report):
                if report.failed:
                    raise RuntimeError("cannot take it")
        """,
    },
}


@pytest.mark.parametrize("files", BREAKS.values(), ids=BREAKS)
def test_budget_that_ran_out_is_the_reason(
    project: DeploygateProject, before: str, files: dict[str, str]
) -> None:
    project.write(files)
    project.edit("pyproject.toml", "budget-s = 60", "budget-s = 1")
    project.edit("pyproject.toml", "addopts", 'filterwarnings = ["error"]\naddopts')
    run = project.deploy()
    assert run.serving == before
    told = "the candidate phase took longer than its budget of 1 s"
    assert run.property("reason") == told, run.output
    assert f"  also: gate cand is unknown: {told}" not in run.out.splitlines()
