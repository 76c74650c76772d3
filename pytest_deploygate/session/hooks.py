"""Hook functions of a session that the plugin has a part in: translate, delegate, report; no decision."""

import contextlib
from collections.abc import Generator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pytest_deploygate import ROLLBACK_CHECKS

if TYPE_CHECKING:
    from pytest_deploygate.core.evidence import Evidence
    from pytest_deploygate.core.policy import Policy
    from pytest_deploygate.core.verdict import PhaseVerdict
    from pytest_deploygate.engine.rollout import Rollout


def begin(early_config: pytest.Config) -> None:
    """What has to be done before any conftest file is loaded.

    A JUnit file of an earlier run must not speak for a deployment that a conftest file ends at once, and what conftest
    files make of reports is held against what was seen before them.
    """
    known = early_config.known_args_namespace
    if known.deploy_to or known.deploy_env or known.markexpr == ROLLBACK_CHECKS:
        from pytest_deploygate.collection.outcome_audit import PLUGIN, OutcomeAuditor

        early_config.pluginmanager.register(OutcomeAuditor(), PLUGIN)
    if known.deploy_to and getattr(known, "xmlpath", None):
        path = Path(known.xmlpath)
        with contextlib.suppress(OSError):
            if path.is_file():  # a device or a pipe keeps nothing
                path.write_text("", encoding="utf-8")


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_cmdline_main(config: pytest.Config) -> Generator[None, object, object]:
    """Let the deciding process of a real deployment run no test code, and no deployment end well undecided."""
    is_checks = config.getoption("markexpr", "") == ROLLBACK_CHECKS
    if is_checks or config.getoption("--deploy-to", None):
        from pytest_deploygate.session.activation import isolate

        isolate(config)
    status = yield
    is_act = config.getoption("--deploy-to", None) and not config.getoption("--deploy-plan", False)
    is_asked = config.getoption("help", False) or config.getoption("version", 0)
    if not is_act or is_asked or hasattr(config, "workerinput") or status not in (None, 0):
        return status
    from pytest_deploygate.state_keys import DECIDED

    return status if config.stash.get(DECIDED, False) else 1


@pytest.hookimpl(trylast=True)
def pytest_configure(config: pytest.Config) -> None:
    """Register what this session needs."""
    config.addinivalue_line(
        "markers",
        f"{ROLLBACK_CHECKS}: judges what serves; applied to the checks of live gates by itself",
    )
    from pytest_deploygate.session.activation import activate

    activate(config)


@pytest.hookimpl(trylast=True)
def pytest_deploygate_decide(
    config: pytest.Config, policy: "Policy", evidence: "Evidence"
) -> "PhaseVerdict":
    """The policy decides."""
    del config
    from pytest_deploygate.core.verdict import judge_phase

    return judge_phase(policy, evidence)


@pytest.hookimpl(trylast=True)
def pytest_deploygate_act(
    config: pytest.Config, rollout: "Rollout", verdict: "PhaseVerdict"
) -> bool:
    """Stage, promote, keep or go back, as the verdict says."""
    del config
    from pytest_deploygate.judge.action import act

    act(rollout, verdict)
    return True
