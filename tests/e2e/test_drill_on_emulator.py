"""On the emulator a drill is a whole rollback: all traffic moves to the previous revision, answers, and returns."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.checkout import Checkout
from tests.e2e.greeting_project import small_project

pytestmark = [pytest.mark.e2e, pytest.mark.full]


@pytest.fixture
def project(tmp_path: Path, build_cache: Path) -> Iterator[Checkout]:
    project = small_project(tmp_path / "small", build_cache)
    try:
        yield project
    finally:
        project.close()


def test_a_drill_on_the_emulator_moves_all_traffic_and_returns(project: Checkout) -> None:
    assert project.deploy("-q", "-n0").status == 0
    first = project.answering()
    main = project.root / "function" / "main.py"
    main.write_text(main.read_text(encoding="utf-8") + "# second\n", encoding="utf-8")
    assert project.deploy("-q", "-n0").status == 0
    second = project.answering()
    found = project.deploygate("drill", "local", "--json").json
    assert found["error"] == "", found
    assert (found["holds"], found["moved_traffic"], found["to_revision"]) == (True, True, first)
    assert found["return_seconds"]
    assert project.answering() == second
    assert project.shares == {second: 100}
