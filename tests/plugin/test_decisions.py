"""Hooks of a project: they may be stricter, they may listen, and they never leave a candidate behind."""

import hashlib
from collections.abc import Mapping
from itertools import product
from pathlib import Path
from textwrap import dedent

import pytest

from pytest_deploygate.judge.judge_hooks import JudgeHooks
from pytest_deploygate.testing import DeploygateProject
from tests.plugin.plugin_project import SETTINGS, SUBJECT

FAILS = {
    SUBJECT: """
    def test_subject():
        assert False
"""
}
DECIDE = """\
from dataclasses import replace
from pytest_deploygate.core.identifiers import Phase
from pytest_deploygate.core.verdict import Reason, ReasonCode, judge_phase

def pytest_deploygate_decide(config, policy, evidence):
    own = judge_phase(policy, evidence)
    {decision}
"""
NO_ACT = """\
def pytest_deploygate_act(rollout, verdict):
    return verdict.evidence.phase.value == "{phase}" or None
"""
LISTENS = """\
def pytest_deploygate_verdict(rollout, verdict):
    with open("heard", "a") as file:
        print(verdict.evidence.phase.value, verdict.holds, rollout.state.value, file=file)

def pytest_deploygate_finished(rollout):
    with open("heard", "a") as file:
        print("finished", rollout.state.value, file=file)
"""


def acting(project: DeploygateProject, text: str) -> DeploygateProject:
    """The project with a module that the settings name as a plugin that acts."""
    settings = SETTINGS.replace("[tool.deploygate]", '[tool.deploygate]\nplugins = ["acting"]', 1)
    return project.write({"acting.py": text, "pyproject.toml": settings})


def _digest(texts: Mapping[str, bytes]) -> str:
    """The digest of a plugin's files, as ``sha256sum`` prints them, by name."""
    lines = (
        f"{hashlib.sha256(text).hexdigest()}  {name}\n" for name, text in sorted(texts.items())
    )
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def decide(decision: str) -> dict[str, str]:
    return {"conftest.py": DECIDE.format(decision=decision)}


@pytest.mark.parametrize("phase", ["READINESS", "CANDIDATE", "LIVE"])
def test_custom_decision_can_be_stricter(
    project: DeploygateProject, before: str, phase: str
) -> None:
    project.write(
        decide(
            f"return replace(own, holds=evidence.phase is not Phase.{phase}, "
            "reasons=(Reason(code=ReasonCode.CUSTOM, sentence='not on a Friday'),))"
        )
    )
    run = project.deploy()
    assert (run.status, run.serving) == (1, before), run.output
    assert run.property("state") == ("REFUSED" if phase == "READINESS" else "ROLLED_BACK")
    assert run.property("reason") == "not on a Friday"
    assert run.property("reason_code") == "custom"


def test_custom_decision_cannot_be_more_lenient(project: DeploygateProject, before: str) -> None:
    project.write({**FAILS, **decide("return replace(own, holds=True)")})
    run = project.deploy()
    assert (run.status, run.serving) == (1, before), run.output
    assert run.property("reason_code") == "gate_failed"
    assert "a custom decision would have let it pass" in run.output


def test_override_lets_a_gate_fail_and_is_recorded(project: DeploygateProject, before: str) -> None:
    project.write({**FAILS, **decide("return replace(own, holds=True)")})
    run = project.deploy("--deploy-override=cand:the sheet is down")
    assert run.status == 0, run.output
    assert run.serving != before
    assert run.record is not None
    assert run.record.overrides == {"cand": "the sheet is down"}
    assert run.property("override.cand") == "the sheet is down"
    assert "gate cand was overridden: the sheet is down" in run.output
    assert run.property("gate.cand") == "1/2 FAILED"


def test_override_lets_a_gate_fail_without_any_hook_of_the_project(
    project: DeploygateProject, before: str
) -> None:
    run = project.write(FAILS).deploy("--deploy-override=cand:the sheet is down")
    assert run.status == 0, run.output
    assert run.serving != before
    assert run.property("override.cand") == "the sheet is down"
    assert "gate cand was overridden: the sheet is down" in run.output


def test_override_of_a_gate_that_there_is_not_is_refused(
    project: DeploygateProject, before: str
) -> None:
    run = project.deploy("--deploy-override=other:why")
    assert (run.status, run.serving) == (4, before), run.output
    assert "--deploy-override=other: there is no such gate" in run.output


def test_act_of_a_conftest_file_is_not_called_and_that_is_said(
    project: DeploygateProject, before: str
) -> None:
    acts = "def pytest_deploygate_act(rollout, verdict): raise SystemExit(7)\n"
    run = project.write({"conftest.py": acts}).deploy()
    assert run.status == 0, run.output
    assert run.serving != before
    said = (
        f"pytest_deploygate_act of {project.root}/conftest.py is not called: another process acts"
    )
    assert run.output.count(said) == 1
    assert "name an installed module in tool.deploygate.plugins" in run.output


def test_version_and_digest_of_a_plugin_that_acts_are_recorded(
    project: DeploygateProject, before: str
) -> None:
    first = acting(project, "FIRST = True").deploy()
    assert first.status == 0, first.output
    assert first.serving != before
    identity = f"sha256:{_digest({'acting.py': b'FIRST = True'})}"
    assert first.record is not None
    assert first.record.plugins == {"acting": identity}
    assert first.property("plugin.acting") == identity
    shown = project.deploygate("show", "last").output
    assert f"plugin acting {identity}" in " ".join(shown.split())
    changed = acting(project, "CHANGED = True").pytest("-m", "rollback-checks")
    assert changed.status == 0, changed.output
    assert (
        changed.property("plugin.acting") == f"sha256:{_digest({'acting.py': b'CHANGED = True'})}"
    )


def test_digest_of_an_installed_plugin_covers_its_whole_package(tmp_path: Path) -> None:
    package = tmp_path / "acting_package"
    (package / "inner").mkdir(parents=True)
    texts = {
        "__init__.py": b"",
        "hooks.py": b"from . import inner\n",
        "inner/__init__.py": b"V = 1\n",
    }
    for name, text in texts.items():
        (package / name).write_bytes(text)
    (tmp_path / "acting_package-3.2.dist-info").mkdir()
    (tmp_path / "acting_package-3.2.dist-info" / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: acting-package\nVersion: 3.2\n"
    )
    (tmp_path / "acting_package-3.2.dist-info" / "top_level.txt").write_text("acting_package\n")
    found = JudgeHooks(["acting_package.hooks"], tmp_path).identities
    assert found == {"acting_package.hooks": f"3.2 sha256:{_digest(texts)}"}


@pytest.mark.parametrize("phase", ["readiness", "candidate", "live"])
def test_act_that_does_nothing_leaves_the_baseline(
    project: DeploygateProject, before: str, phase: str
) -> None:
    run = acting(project, NO_ACT.format(phase=phase)).deploy()
    assert (run.status, run.serving) == (1, before), run.output
    assert run.property("reason") == "no action was taken on the verdict"
    assert len(run.cases) == 4


@pytest.mark.parametrize(
    ("hook", "phase"),
    [
        ("def pytest_deploygate_decide(policy, evidence): {}", "live"),
        ("def pytest_deploygate_act(rollout, verdict): {}", "candidate"),
    ],
)
def test_hook_that_breaks_ends_in_the_baseline(
    project: DeploygateProject, before: str, hook: str, phase: str
) -> None:
    where = "evidence" if "evidence" in hook else "verdict.evidence"
    breaks = f"\n    if {where}.phase.value == '{phase}': raise OSError('broken')\n"
    text = hook.format(breaks)
    if "pytest_deploygate_act" in hook:
        acting(project, text)
    else:
        project.write({"conftest.py": text})
    run = project.deploy()
    assert run.status in (1, 3), run.output
    assert run.serving == before, run.output
    assert run.property("state") == "ROLLED_BACK"


FAILING = {
    "readiness": {
        "gates/ready/test_ready.py": """
        def test_honest():
            assert False
    """
    },
    "candidate": FAILS,
    "live": {
        "gates/live/test_live.py": """
        def test_honest():
            assert False
    """
    },
}
DARING = {
    "goes on": "{'readiness': rollout.stage, 'candidate': rollout.promote}.get(phase, finalise)()",
    "keeps": "rollout.keep(verdict.reason)",
    "takes the row": "rollout.move({'readiness': Event.READY, 'candidate': Event.CANDIDATE_HELD}.get("
    "phase, Event.LIVE_HELD))",
    "changes the verdict": "object.__setattr__(verdict, 'holds', True); act(rollout, verdict)",
}
ACTS = """\
from pytest_deploygate.core.state_machine import Event
from pytest_deploygate.judge.action import act
def pytest_deploygate_act(rollout, verdict):
    phase = verdict.evidence.phase.value
    if phase != "{phase}": return None
    def finalise(): rollout.finalise(verdict.reason)
    {daring}
    return True
"""


@pytest.mark.parametrize(
    ("phase", "daring"),
    [
        pytest.param(
            phase, how, id=f"{phase}-{name}", marks=() if turn % 3 == 0 else pytest.mark.full
        )
        for turn, (phase, (name, how)) in enumerate(product(FAILING, DARING.items()))
    ],
)
def test_act_cannot_go_on_where_the_verdict_does_not_hold(
    project: DeploygateProject, before: str, phase: str, daring: str
) -> None:
    acts = ACTS.format(phase=phase, daring=daring)
    run = acting(project, acts).write(FAILING[phase]).deploy()
    assert (run.status, run.serving) == (1, before), run.output
    assert run.property("state") in ("REFUSED", "ROLLED_BACK")
    if (
        phase != "live"
    ):  # of a live phase that does not hold nobody is asked: the rollback comes first
        assert "phase was not judged to hold" in run.output


def test_act_cannot_promote_before_the_candidate_was_judged(
    project: DeploygateProject, before: str
) -> None:
    hasty = dedent("""
        def pytest_deploygate_act(rollout, verdict):
            if verdict.evidence.phase.value == "readiness":
                rollout.stage()
                rollout.promote()
                return True
    """)
    run = acting(project, hasty).write(FAILS).deploy()
    assert (run.status, run.serving) == (1, before), run.output
    assert "the candidate phase was not judged to hold" in run.output


def test_decision_that_changes_the_evidence_changes_only_its_own(
    project: DeploygateProject, before: str
) -> None:
    forges = (
        "    evidence.checks['cand'] = (('cand', CheckState.PASSED),)\n"
        "    return judge_phase(policy, evidence)\n"
    )
    text = DECIDE.format(decision="").replace("    own = judge_phase(policy, evidence)\n", forges)
    head = "from pytest_deploygate.core.evidence import CheckState\n"
    run = project.write({"conftest.py": head + text, **FAILS}).deploy()
    assert (run.status, run.serving) == (1, before), run.output
    assert run.property("gate.cand") == "1/2 FAILED"


def test_listeners_hear_every_verdict_and_the_end(project: DeploygateProject) -> None:
    run = project.write({"conftest.py": LISTENS}).deploy()
    assert run.status == 0, run.output
    assert (project.root / "heard").read_text(encoding="utf-8").splitlines() == [
        "readiness True OPEN",
        "candidate True STAGED",
        "live True SERVING",
        "finished PROMOTED",
    ]


def test_listeners_hear_of_a_return(project: DeploygateProject) -> None:
    run = project.write({"conftest.py": LISTENS, **FAILS}).deploy()
    assert run.status == 1, run.output
    assert (project.root / "heard").read_text(encoding="utf-8").splitlines() == [
        "readiness True OPEN",
        "candidate False STAGED",
        "finished ROLLED_BACK",
    ]


RAISES = {
    "error": "raise OSError('chat is down')",
    "outcome": "import pytest; pytest.fail('chat is down')",
}


@pytest.mark.parametrize("body", RAISES.values(), ids=RAISES)
def test_listeners_that_break_change_nothing(
    project: DeploygateProject, before: str, body: str
) -> None:
    breaks = f"def pytest_deploygate_verdict(): {body}\ndef pytest_deploygate_finished(): {body}\n"
    project.write({"conftest.py": breaks, **FAILS})
    run = project.deploy()
    assert (run.status, run.serving) == (1, before), run.output
    assert run.property("state") == "ROLLED_BACK"
    assert "chat is down" in run.output
    project.write(
        {
            SUBJECT: """
        def test_subject():
            pass
    """
        }
    )
    again = project.deploy("--deploy-reason=it was the check")
    assert again.status == 0, again.output
    assert again.serving != before


def test_listener_that_ends_pytest_changes_nothing(project: DeploygateProject, before: str) -> None:
    exits = (
        "import pytest\ndef pytest_deploygate_verdict(verdict):\n"
        "    if verdict.evidence.phase.value == 'live': pytest.exit('x', returncode=0)\n"
    )
    run = project.write({"conftest.py": exits}).deploy()
    assert (run.status, run.property("state")) == (0, "PROMOTED"), run.output
    assert run.serving != before
