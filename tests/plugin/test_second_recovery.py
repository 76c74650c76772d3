"""STRANDED is said only after another process has tried; and what a record that cannot be written leaves to say."""

import pytest

from pytest_deploygate.testing import DeploygateProject
from tests.plugin.plugin_project import ENVIRONMENT, SETTINGS

FAILS = {"gates/live/test_live.py": "def test_honest(): assert False\n"}
SPOILED = """
from pytest_deploygate.core.errors import TargetRefused
from pytest_deploygate.testing.fake_target import FakeTarget

shift_traffic = FakeTarget.shift_traffic

def spoiled(self, plan, **more):
    if plan.sole == "svc-00001" and more["expect"].sole != plan.sole:
        raise TargetRefused("something in this process is broken")
    return shift_traffic(self, plan, **more)

FakeTarget.shift_traffic = spoiled
"""
PLUGIN = {
    "pyproject.toml": SETTINGS.replace(
        "[tool.deploygate]", '[tool.deploygate]\nplugins = ["spoils"]', 1
    ),
    "spoils.py": SPOILED,
}
"""Breaks the rollback in the deciding process, in which alone it is loaded."""


def test_another_process_returns_to_the_baseline_where_the_deciding_one_cannot(
    project: DeploygateProject, before: str
) -> None:
    run = project.write({**FAILS, **PLUGIN}).deploy()
    assert (run.status, run.serving) == (1, before), run.output
    assert "in another process, since this one did not succeed" in run.output
    assert run.property("state") == "ROLLED_BACK"
    assert run.property("serving_revision") == before
    assert (
        run.property("reason") == "gate live failed: 0/1 checks passed, it needs 1; first: honest"
    )
    assert run.record is not None
    assert run.record.state.value == "ROLLED_BACK"
    with project.store() as store:
        assert store.lease(ENVIRONMENT) is None


def test_judging_session_returns_by_another_process_too(
    project: DeploygateProject, before: str
) -> None:
    assert project.deploy().status == 0
    run = project.write({**FAILS, **PLUGIN}).pytest("-m", "rollback-checks", "-n0")
    assert (run.status, run.serving) == (1, before), run.output
    assert run.property("state") == "ROLLED_BACK"


BROKEN = """
from pathlib import Path
from pytest_deploygate.testing.fake_target import FakeTarget

real = {{name: getattr(FakeTarget, name) for name in {names!r}}}

def broken(name):
    def call(self, *given, **more):
        if Path(__file__).with_name("live-ran").exists():
            raise RuntimeError("a library in this process is broken")
        return real[name](self, *given, **more)
    return call

for name in real:
    setattr(FakeTarget, name, broken(name))
"""
FAILS_AND_SAYS_SO = {
    "gates/live/test_live.py": """
    from pathlib import Path

    def test_honest(request):
        (request.config.rootpath / "live-ran").touch()
        assert False
"""
}


@pytest.mark.parametrize("names", [("snapshot",), ("snapshot", "shift_traffic")])
def test_session_that_cannot_settle_is_settled_by_another_process(
    project: DeploygateProject, before: str, names: tuple[str, ...]
) -> None:
    project.write({**FAILS_AND_SAYS_SO, **PLUGIN, "spoils.py": BROKEN.format(names=names)})
    run = project.deploy()
    assert (run.status, run.serving) == (10, before), run.output
    assert (run.property("verdict"), run.property("state")) == ("ROLL_BACK", "ROLLED_BACK")
    assert run.property("serving_revision") == before
    assert (
        run.property("reason") == "the session could not be concluded: internal error (see the log)"
    )
    assert f"serving: {before}" in run.output
    assert run.record is not None
    assert run.property("rollout_id") == run.record.rollout_id


def test_judging_session_that_breaks_in_its_rollback_is_settled_by_another_process(
    project: DeploygateProject, before: str
) -> None:
    assert project.deploy().status == 0
    spoils = BROKEN.format(names=("shift_traffic",))
    project.write({**FAILS_AND_SAYS_SO, **PLUGIN, "spoils.py": spoils})
    run = project.pytest("-m", "rollback-checks", "-n0")
    assert (run.status, run.serving) == (10, before), run.output
    assert run.property("state") == "ROLLED_BACK"
    assert run.property("serving_revision") == before


def test_judging_session_that_breaks_before_its_rollback_says_what_serves(
    project: DeploygateProject,
) -> None:
    assert project.deploy().status == 0
    serving = project.serving
    spoils = BROKEN.format(names=("snapshot",))
    project.write({**FAILS_AND_SAYS_SO, **PLUGIN, "spoils.py": spoils})
    run = project.pytest("-m", "rollback-checks", "-n0")
    assert (run.status, run.serving) == (10, serving), run.output
    assert run.property("state") == "REFUSED"
    assert run.property("serving_revision") == serving
    assert f"serving: {serving}" in run.output


def test_what_no_process_can_do_is_stranded(project: DeploygateProject, before: str) -> None:
    own = {
        "pyproject.toml": SETTINGS.replace("pytest_deploygate.testing.target_on_disk", "spoils"),
        "spoils.py": f"{SPOILED}\nfrom pytest_deploygate.testing.target_on_disk import make\n",
    }
    project.write({**FAILS, **own})
    run = project.deploy(PYTHONPATH=f"{project.root}:{project.variables['PYTHONPATH']}")
    assert run.status == 11, run.output
    assert run.property("state") == "STRANDED"
    assert "something in this process is broken" in run.property("reason")
    assert "an operator must look: deploygate status fake" in run.output
    assert run.serving != before
    project.write({"pyproject.toml": SETTINGS, "spoils.py": ""})
    assert project.deploygate("recover", "fake").status == 0
    assert project.serving == before


@pytest.mark.parametrize("write", [2, 3], ids=["rollout was recorded", "what serves was recorded"])
def test_record_that_takes_no_more_writes_is_the_reason(
    project: DeploygateProject, before: str, write: int
) -> None:
    run = project.deploy(
        DEPLOYGATE_STATE="tests.e2e.killing_store:make",
        KILL_AT=f"after:{write}",
        KILL_WITH="FULL",
        KILLED=str(project.root / "struck"),
    )
    assert (project.root / "struck").exists()
    assert (run.status, run.serving) == (10, before), run.output
    assert (run.property("verdict"), run.property("state")) == ("REFUSE", "REFUSED")
    assert "the disk answered with an error" in run.property("reason")
    assert run.property("serving_revision") == before
    assert f"serving: {before}" in run.output
    assert "when it can be written again: deploygate recover fake" in run.output
    assert project.deploygate("recover", "fake").status == 0


def test_rollback_of_a_judging_session_that_no_process_can_do_is_stranded(
    project: DeploygateProject,
) -> None:
    assert project.deploy().status == 0
    own = {
        "pyproject.toml": SETTINGS.replace("pytest_deploygate.testing.target_on_disk", "spoils"),
        "spoils.py": f"{SPOILED}\nfrom pytest_deploygate.testing.target_on_disk import make\n",
    }
    project.write({**FAILS, **own})
    path = f"{project.root}:{project.variables['PYTHONPATH']}"
    run = project.pytest("-m", "rollback-checks", "-n0", PYTHONPATH=path)
    assert run.status == 11, run.output
    assert run.property("state") == "STRANDED"
    assert "an operator must look: deploygate status fake" in run.output
    project.write({"pyproject.toml": SETTINGS, "spoils.py": ""})
    assert project.deploygate("recover", "fake").status == 0
