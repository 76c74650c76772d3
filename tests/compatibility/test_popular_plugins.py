"""An honest release with each of the plugins that many projects have: it is promoted, in one process and with workers.

``tox -e plugins`` installs ten of them; of those that are not installed nothing is tested.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec

import pytest

from pytest_deploygate.testing import DeploygateProject
from tests.plugin.plugin_project import SETTINGS, SUBJECT

CHECK = "gates/cand/test_with_{}.py"


@dataclass(frozen=True, kw_only=True)
class Popular:
    """A plugin and a check that uses it. ``module`` tells whether it is installed."""

    name: str
    module: str
    check: str = "def test_subject(): pass\n"
    files: Mapping[str, str] = field(default_factory=dict)
    args: tuple[str, ...] = ()
    settings: str = ""

    @property
    def all_files(self) -> dict[str, str]:
        """The check, in a file of its own, and what it needs."""
        return {CHECK.format(self.name.replace("-", "_")): self.check, **self.files}


FEATURE = """\
Feature: release
  Scenario: it is released
    Given a release
"""
POPULAR = [
    Popular(
        name="asyncio",
        module="pytest_asyncio",
        check="""\
import pytest
@pytest.mark.asyncio
async def test_subject(): pass
""",
    ),
    Popular(
        name="anyio",
        module="anyio",
        check="""\
import pytest
@pytest.mark.anyio
async def test_subject(): pass
""",
        files={
            "conftest.py": """\
import pytest
@pytest.fixture
def anyio_backend(): return 'asyncio'
"""
        },
    ),
    Popular(
        name="trio",
        module="pytest_trio",
        check="""\
import pytest
@pytest.mark.trio
async def test_subject(): pass
""",
    ),
    Popular(
        name="check",
        module="pytest_check",
        check="def test_subject(check): check.equal(1, 1)\n",
    ),
    Popular(
        name="flaky",
        module="flaky",
        check="""\
from flaky import flaky
@flaky
def test_subject(): pass
""",
    ),
    Popular(
        name="rerunfailures",
        module="pytest_rerunfailures",
        check="""\
import pytest
@pytest.mark.flaky(reruns=2)
def test_subject(): pass
""",
    ),
    Popular(
        name="retry",
        module="pytest_retry",
        check="""\
import pytest
@pytest.mark.flaky(retries=2)
def test_subject(): pass
""",
    ),
    Popular(
        name="repeat",
        module="pytest_repeat",
        check="""\
import pytest
@pytest.mark.repeat(3)
def test_subject(): pass
""",
    ),
    Popular(name="randomly", module="pytest_randomly", args=("-p", "randomly")),
    Popular(
        name="order",
        module="pytest_order",
        check="import pytest\n@pytest.mark.order(2)\ndef test_a(): pass\n"
        "@pytest.mark.order(1)\ndef test_b(): pass\n",
    ),
    Popular(
        name="hypothesis",
        module="hypothesis",
        check="from hypothesis import given, strategies as st\n"
        "@given(st.integers())\ndef test_subject(number): assert number == number\n",
    ),
    Popular(
        name="bdd",
        module="pytest_bdd",
        check="from pytest_bdd import given, scenarios\nscenarios('release.feature')\n"
        "@given('a release')\ndef _(): pass\n",
        files={"gates/cand/release.feature": FEATURE},
    ),
    Popular(
        name="benchmark",
        module="pytest_benchmark",
        check="def test_subject(benchmark): benchmark.pedantic(lambda: None)\n",
    ),
    Popular(
        name="mock",
        module="pytest_mock",
        check="def test_subject(mocker): mocker.patch('os.getcwd', return_value='/')\n",
    ),
    Popular(
        name="freezer",
        module="pytest_freezer",
        check="def test_subject(freezer): freezer.move_to('2020-01-01')\n",
    ),
    Popular(
        name="env",
        module="pytest_env",
        check="""\
import os
def test_subject(): assert os.environ['IS_SET'] == 'yes'
""",
        settings='\n[tool.pytest_env]\nIS_SET = "yes"\n',
    ),
    Popular(name="html", module="pytest_html", args=("--html=report.html",)),
    Popular(name="json-report", module="pytest_jsonreport", args=("--json-report",)),
    Popular(name="sugar", module="pytest_sugar"),
    Popular(name="instafail", module="pytest_instafail", args=("--instafail",)),
    Popular(name="reportlog", module="pytest_reportlog", args=("--report-log=log.json",)),
    Popular(name="allure", module="allure_pytest", args=("--alluredir=allure",)),
    Popular(name="cov", module="pytest_cov", args=("--cov=gates",)),
    Popular(
        name="socket", module="pytest_socket", args=("--disable-socket", "--allow-unix-socket")
    ),
    Popular(
        name="gevent",
        module="gevent",
        files={
            "conftest.py": """\
from gevent import monkey
monkey.patch_all()
"""
        },
    ),
    Popular(
        name="time-machine",
        module="time_machine",
        check="""\
import time_machine
@time_machine.travel('2020-01-01')
def test_subject(): pass
""",
    ),
]
INSTALLED = [one for one in POPULAR if find_spec(one.module) is not None]
TOGETHER = [
    one for one in INSTALLED if one.name not in ("gevent", "socket", "sugar", "flaky", "retry")
]
"""Those that do not change for the others how everything runs."""


RIVALS = {"flaky": "flaky", "rerunfailures": "rerunfailures", "retry": "pytest-retry"}
"""Plugins of which each takes the same mark for its own, and their names for ``-p``."""


def prepare(project: DeploygateProject, *used: Popular) -> None:
    project.options = ()
    names = {one.name for one in used}
    for rival, name in RIVALS.items():
        if rival not in names:
            project.options += ("-p", f"no:{name}")
    for one in used:
        project.write(one.all_files)
    project.write({"pyproject.toml": SETTINGS + "".join(one.settings for one in used)})


@pytest.mark.parametrize("used", POPULAR, ids=lambda one: one.name)
def test_honest_release_is_promoted_with_a_popular_plugin(
    project: DeploygateProject, before: str, used: Popular
) -> None:
    if used not in INSTALLED:
        pytest.skip(f"{used.module} is not installed")
    prepare(project, used)
    run = project.deploy(*used.args)
    assert run.status == 0, run.output
    assert run.serving != before
    assert run.property("state") == "PROMOTED"


def test_honest_release_is_promoted_with_all_of_them_and_workers(
    project: DeploygateProject, before: str
) -> None:
    prepare(project, *TOGETHER)
    run = project.deploy(*(word for one in TOGETHER for word in one.args), workers=2)
    assert run.status == 0, run.output
    assert run.serving != before


@pytest.mark.parametrize(
    ("args", "files"),
    [
        (("--forked",), {}),
        (
            (),
            {
                SUBJECT: """\
import pytest
@pytest.mark.forked
def test_subject(): pass
"""
            },
        ),
    ],
    ids=["option", "marker"],
)
def test_pytest_forked_is_refused_with_what_to_do(
    project: DeploygateProject, before: str, args: tuple[str, ...], files: dict[str, str]
) -> None:
    if find_spec("pytest_forked") is None:
        pytest.skip("pytest-forked is not installed")
    run = project.write(files).deploy(*args)
    assert (run.status in (1, 4), run.serving) == (True, before), run.output
    assert "run checks in processes of their own with -n" in run.output
