"""The main job as a user types it, on a platform that answers as Google is recorded to."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from pytest_deploygate.emulator.lifecycle import RUN_FILE
from tests.contract.recorded_changes import CHANGES, ImageAsDigest, ImageAsTag, forward_to
from tests.e2e.checkout import Checkout
from tests.e2e.greeting_project import FUNCTION, small_project
from tests.loopback_server import serving

pytestmark = [pytest.mark.e2e, pytest.mark.full]


@pytest.fixture(
    params=[ImageAsTag, ImageAsDigest],
    ids=lambda shown: shown.__name__,
)
def recorded(
    request: pytest.FixtureRequest, tmp_path: Path, build_cache: Path
) -> Iterator[Checkout]:
    """The small project, between whose sessions and emulator all recorded differences stand."""
    project = small_project(tmp_path / "checkout", build_cache)
    changes = [one for one in CHANGES if one not in (ImageAsTag, ImageAsDigest)]
    assert project.deploygate("emulator", "up").status == 0
    file = project.state_dir / "local" / RUN_FILE
    run = json.loads(file.read_text(encoding="utf-8"))
    with serving() as start:
        proxy = start(forward_to(project.endpoint, request.param(), *(one() for one in changes)))
        run["port"] = int(proxy.url.rpartition(":")[2])
        file.write_text(json.dumps(run), encoding="utf-8")
        try:
            yield project
        finally:
            project.close()


def test_a_release_is_promoted_and_the_next_is_taken_back(recorded: Checkout) -> None:
    first = recorded.deploy("-q")
    assert first.status == 0, first.output
    baseline = recorded.answering()
    main = recorded.root / "function" / "main.py"
    main.write_text(f"{FUNCTION}# second\n", encoding="utf-8")
    second = recorded.deploy("-q")
    assert second.status == 0, second.output
    assert recorded.answering() not in ("", baseline)

    now = recorded.answering()
    main.write_text(FUNCTION.replace("hello, {", "goodbye, {"), encoding="utf-8")
    third = recorded.deploy("-q")
    assert third.status == 1, third.output
    assert "ROLL_BACK" in third.output
    assert recorded.answering() == now
    back = recorded.deploygate("rollback", "local", "--reason", "a drill", "--yes")
    assert back.status == 0, back.output
    assert recorded.answering() == baseline
