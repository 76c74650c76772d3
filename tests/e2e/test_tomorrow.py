"""A whole life of a function on a platform that answers with what no library knows yet."""

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.checkout import Checkout, until
from tests.e2e.greeting_project import FUNCTION, small_project

pytestmark = pytest.mark.e2e


@pytest.fixture(params=["google", pytest.param("cloud-run", marks=pytest.mark.full)])
def tomorrow(
    tmp_path: Path, build_cache: Path, request: pytest.FixtureRequest
) -> Iterator[Checkout]:
    """The small project, whose emulator answers as the platform may tomorrow."""
    made = small_project(tmp_path / "checkout", build_cache, emulates=request.param)
    home = made.root / ".deploygate" / "local"
    home.mkdir(parents=True)
    (home / "settings.toml").write_text('answers = "tomorrow"\n', encoding="utf-8")
    try:
        yield made
    finally:
        made.close()


def test_the_main_job_a_refusal_a_rollback_and_a_recovery_do_not_mind(tomorrow: Checkout) -> None:
    first = tomorrow.deploy("-q")
    assert first.status == 0, first.output
    baseline = tomorrow.answering()

    check = tomorrow.root / "checks" / "source" / "test_source.py"
    held = check.read_text(encoding="utf-8")
    check.write_text("""\
def test_it_has_a_name():
    raise AssertionError('not yet')
""")
    main = tomorrow.root / "function" / "main.py"
    main.write_text(FUNCTION + "# second\n", encoding="utf-8")
    refused = tomorrow.deploy("-q")
    assert refused.status == 1, refused.output
    assert "REFUSE" in refused.output
    check.write_text(held, encoding="utf-8")

    main.write_text(FUNCTION.replace("hello, {", "goodbye, {"), encoding="utf-8")
    rolled_back = tomorrow.deploy("-q")
    assert rolled_back.status == 1, rolled_back.output
    assert "ROLL_BACK" in rolled_back.output
    assert tomorrow.answering() == baseline

    main.write_text(FUNCTION + "# third\n", encoding="utf-8")
    second = tomorrow.deploy("-q")
    assert second.status == 0, second.output
    assert tomorrow.answering() != baseline

    main.write_text(FUNCTION + "# fourth\n", encoding="utf-8")
    now = tomorrow.answering()
    process = tomorrow.start("--deploy-to=local", "-q", "--deploy-no-watchdog")
    until(lambda: tomorrow.answering() != now, seconds=120, what="the candidate serves")
    process.send_signal(signal.SIGKILL)
    process.communicate()
    settled = tomorrow.deploygate("recover", "local")
    assert settled.status == 0, settled.output
    assert tomorrow.answering() == now
    back = tomorrow.deploygate("rollback", "local", "--reason", "a drill", "--yes")
    assert back.status == 0, back.output
    assert tomorrow.answering() == baseline
