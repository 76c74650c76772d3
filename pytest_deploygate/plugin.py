"""Hook functions of the pytest plugin: translate, delegate, report; no decision.

Everything else is imported when a project or an option asks for it: an idle plugin costs next to nothing.
"""

import contextlib
from collections.abc import Generator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pytest_deploygate import hookspecs, options
from pytest_deploygate.configured import ROLLBACK_CHECKS, is_configured

if TYPE_CHECKING:
    from pytest_deploygate.core.evidence import Evidence
    from pytest_deploygate.core.policy import Policy
    from pytest_deploygate.core.verdict import PhaseVerdict
    from pytest_deploygate.engine import Rollout


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare the options."""
    options.add_options(parser)


def pytest_addhooks(pluginmanager: pytest.PytestPluginManager) -> None:
    """Declare the hooks."""
    pluginmanager.add_hookspecs(hookspecs)


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> None:
    """Be there before any conftest file is.

    A JUnit file of an earlier run must not speak for a deployment that a conftest file ends at once, and what conftest
    files make of reports is held against what was seen before them.
    """
    known = early_config.known_args_namespace
    is_checks = known.markexpr == ROLLBACK_CHECKS and is_configured(early_config.rootpath)
    if known.deploy_to or known.deploy_env or is_checks:
        from pytest_deploygate.witness import PLUGIN, Witness

        early_config.pluginmanager.register(Witness(), PLUGIN)
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
    from pytest_deploygate.stash import DECIDED

    return status if config.stash.get(DECIDED, False) else 1


@pytest.hookimpl(trylast=True)
def pytest_configure(config: pytest.Config) -> None:
    """Register what this session needs; nothing where the project has no settings and no option asks."""
    config.addinivalue_line(
        "markers",
        f"{ROLLBACK_CHECKS}: judges what serves; applied to the checks of live gates by itself",
    )
    asks = config.getoption("--deploy-to") or config.getoption("--deploy-env")
    if asks or is_configured(config.rootpath):
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
    from pytest_deploygate.session.action import act

    act(rollout, verdict)
    return True
