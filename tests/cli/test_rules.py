"""Freeze windows and approvals bind promotions, and never a rollback."""

from datetime import UTC, datetime
from pathlib import Path
from textwrap import dedent

import pytest

from pytest_deploygate.config.environment import Environment
from pytest_deploygate.config.settings import load
from pytest_deploygate.core.errors import ConfigError, PolicyRefused
from pytest_deploygate.core.identifiers import Digest
from pytest_deploygate.judge.preconditions import check_approval, check_not_frozen
from tests.cli.cli_project import CliProject

WEEKEND = 'freeze = ["fri 15:00 - mon 07:00 Europe/Berlin"]'
ALWAYS = 'freeze = ["2000-01-01 - 2999-01-01 UTC"]'
APPROVAL = 'approval = "required"'


def environment(folder: Path, text: str) -> Environment:
    project = CliProject.build(folder / "project", environment=text)
    return load(project.root).environment("fake")


def test_promotion_in_a_freeze_window_is_refused_with_its_end(tmp_path: Path) -> None:
    chosen = environment(tmp_path, WEEKEND)
    with pytest.raises(PolicyRefused, match="frozen until 2026-11-23 06:00 UTC") as caught:
        check_not_frozen(chosen, datetime(2026, 11, 21, 12, tzinfo=UTC))
    assert "going back is never frozen" in caught.value.hint


def test_promotion_outside_of_a_freeze_window_is_allowed(tmp_path: Path) -> None:
    check_not_frozen(environment(tmp_path, WEEKEND), datetime(2026, 11, 23, 6, tzinfo=UTC))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('freeze = ["fri - mon"]', "fake.freeze: freeze window 'fri - mon'"),
        ('approval = "sometimes"', '"sometimes" is not "none", "required" or "step"'),
    ],
)
def test_settings_that_cannot_be_read_name_the_key(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        environment(tmp_path, text)


def test_approval_must_be_of_this_very_plan(tmp_path: Path) -> None:
    chosen = environment(tmp_path, APPROVAL)
    digest = Digest("a" * 64)
    check_approval(chosen, digest, digest.upper())
    for approval in ("", "b" * 64, digest[:12]):
        with pytest.raises(PolicyRefused, match=f"the plan is {digest}"):
            check_approval(chosen, digest, approval)


def test_environment_without_approval_asks_for_none(tmp_path: Path) -> None:
    check_approval(environment(tmp_path, ""), Digest("a" * 64), "")


def test_frozen_environment_stages_nothing_and_still_goes_back(project: CliProject) -> None:
    project.write_settings(environment=ALWAYS)
    done = project.release("v3")
    assert done.status == 1
    assert "environment fake is frozen until 2999-01-01 00:00 UTC" in done.out
    assert project.shares == {"svc-00002": 100}
    assert "until 2999" in project.deploygate("status").out
    back = project.deploygate("rollback", "fake", "--reason", "x", "--yes")
    assert back.status == 0, back.err
    assert project.shares == {"svc-00001": 100}


def test_deployment_needs_the_digest_that_plan_prints(project: CliProject) -> None:
    project.write_settings(environment=APPROVAL)
    refused = project.release("v3")
    assert refused.status == 1
    digest = str(project.deploygate("plan", "--json").json["plan_digest"])
    assert f"the plan is {digest}" in refused.out
    stale = project.release("v4", f"--deploy-approval={digest}")
    assert stale.status == 1
    assert "is of another plan" in stale.out
    assert project.shares == {"svc-00002": 100}
    assert project.release("v3", f"--deploy-approval={digest}").status == 0


CLOCK = """\
from datetime import UTC, datetime
from pathlib import Path

from pytest_deploygate import wiring

PLACE = Path(__file__).parent / "now.txt"


class SetClock(wiring.SystemClock):
    def now(self):
        return datetime.fromisoformat(PLACE.read_text()).replace(tzinfo=UTC)


wiring.SystemClock = SetClock
"""


def test_window_that_begins_after_staging_keeps_the_candidate_from_serving(
    project: CliProject,
) -> None:
    project.write_settings(environment=WEEKEND)
    project.edit("pyproject.toml", "[tool.deploygate]", '[tool.deploygate]\nplugins = ["clock"]')
    (project.root / "clock.py").write_text(CLOCK)
    now = project.root / "now.txt"
    now.write_text("2026-11-20 13:59")
    (project.root / "suites" / "test_health.py").write_text(
        dedent(f"""
            from pathlib import Path


            def test_health():
                Path({str(now)!r}).write_text("2026-11-20 14:00")
        """)
    )
    done = project.release("v3", "-v")
    assert done.status == 1
    assert "frozen until 2026-11-23 06:00 UTC" in done.out
    assert "gate health: PASSED" in done.out
    assert project.shares == {"svc-00002": 100}
    now.write_text("2026-11-23 06:00")
    (project.root / "suites" / "test_health.py").write_text("""\
def test_health():
    pass
""")
    assert project.release("v3").status == 0, "a freeze says nothing about the release"
