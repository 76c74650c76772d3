"""The first false green of each kind where a function really runs: the baseline goes on serving."""

import shutil
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from textwrap import dedent

import pytest

from pytest_deploygate.emulator.emulator_settings import BUILD_CACHE_VARIABLE
from pytest_deploygate.testing import FAKE, LOCAL, DeploygateProject, ProjectFactory
from pytest_deploygate.testing import project_factory as factory
from tests.plugin.false_green import IN_PROCESS, FalseGreen
from tests.plugin.false_greens import FALSE_GREENS
from tests.plugin.plugin_project import FILES, SETTINGS, SOURCE, VARIABLES
from tests.plugin.test_false_greens import FIRST, check_record
from tests.session_options import LEAN

pytestmark = [pytest.mark.e2e, pytest.mark.full, pytest.mark.xdist_group("false greens")]

_OF_FAKE = factory.SETTINGS.format(environment=FAKE, target=factory.TARGETS[FAKE])
ON_EMULATOR = SETTINGS.replace(
    _OF_FAKE, factory.SETTINGS.format(environment=LOCAL, target=factory.TARGETS[LOCAL])
)
CASES = [case for case in FALSE_GREENS if case.name in FIRST and IN_PROCESS in case.workers]


@pytest.fixture(scope="module")
def served(
    tmp_path_factory: pytest.TempPathFactory, build_cache: Path
) -> Iterator[DeploygateProject]:
    """The project of these cases on an emulator, with a release that serves."""
    project = ProjectFactory(tmp_path_factory.mktemp("greens"))(name="project", environment=LOCAL)
    project.variables |= {**VARIABLES, BUILD_CACHE_VARIABLE: str(build_cache)}
    project.options = LEAN
    try:
        _reset(project, 0)
        run = project.deploy()
        assert run.status == 0, run.output
        yield project
    finally:
        project.close()


def _reset(project: DeploygateProject, version: int) -> None:
    """Only the files of an honest project are there, and another version of its function."""
    for path in project.root.iterdir():
        if path.name in (".deploygate", "function"):
            continue
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    source = f"{dedent(factory.HELLO)}\n# {version}\n"
    project.write({**FILES, "pyproject.toml": ON_EMULATOR, SOURCE: source})


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_false_green_does_not_promote_on_the_emulator(
    served: DeploygateProject, case: FalseGreen
) -> None:
    if case.needs and case.needs != "pytest 9" and find_spec(case.needs) is None:
        pytest.skip(f"{case.needs} is not installed")
    _reset(served, 1 + CASES.index(case))
    before = served.serving
    served.write({**case.programs, "pyproject.toml": ON_EMULATOR.replace(*case.settings)})
    meant = ("--deploy-reason=these checks are meant",) if case.state == "ROLLED_BACK" else ()
    run = served.deploy(*meant, *case.args, workers=IN_PROCESS, **case.env)
    assert run.serving == before, run.output
    assert served.get().headers["X-Revision"] == before
    assert run.status in case.statuses, run.output
    check_record(case, run)
