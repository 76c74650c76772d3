"""What every session loads: options, hooks, and the question whether a project asks for the plugin at all.

An idle plugin costs next to nothing: few modules and few hook functions. The others are in
:mod:`pytest_deploygate.session.hooks`, and are registered when a project or an option asks for them.
"""

import argparse
from collections.abc import Generator

import pytest

from pytest_deploygate import ROLLBACK_CHECKS, hookspecs, is_configured, project_folder

SESSION = "deploygate-session"


def pytest_addoption(parser: pytest.Parser, pluginmanager: pytest.PytestPluginManager) -> None:
    """Declare options and hooks."""
    pluginmanager.add_hookspecs(hookspecs)
    _add_options(parser)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> Generator[None]:
    """Be there before any conftest file is, where a project or an option asks; hand over to the judge."""
    known = early_config.known_args_namespace
    is_asked = known.deploy_to is not None or known.deploy_env is not None
    if not is_asked and ROLLBACK_CHECKS not in known.markexpr:
        _refuse_without_environment(known)
    if not is_asked and known.markexpr:  # live gates of a project below pytest's root
        is_asked = project_folder(early_config.invocation_params.dir) is not None
    if is_asked or is_configured(early_config.rootpath):
        from pytest_deploygate import handover
        from pytest_deploygate.session import hooks

        role = None
        if handover.needs_judge(early_config):
            role = handover.role_of_this_process()
            if role is None:
                handover.hand_over(early_config)
        # taken out by name, this session would end well with nothing deployed: it has to refuse that
        early_config.pluginmanager.unblock(SESSION)
        early_config.pluginmanager.register(hooks, SESSION)
        hooks.begin(early_config, role)
    return (yield)


def _refuse_without_environment(known: argparse.Namespace) -> None:
    """An option of a deployment must not end well where nothing was deployed, planned or judged.

    Raises:
        UsageError: such an option, but no environment.
    """
    given = {
        "--deploy-plan": known.deploy_plan,
        "--deploy-reason": known.deploy_reason is not None,
        "--deploy-steps": known.deploy_steps is not None,
        "--deploy-detach": known.deploy_detach,
        "--deploy-approval": known.deploy_approval is not None,
        "--deploy-override": known.deploy_override,
        "--deploy-report-only": known.deploy_report_only,
    }
    for option in (name for name, value in given.items() if value):
        needed = "-m rollback-checks" if option == "--deploy-report-only" else "--deploy-to=ENV"
        raise pytest.UsageError(
            f"{option} without {needed}: nothing would be deployed or judged\n"
            f"  hint: add {needed}, or leave {option} out"
        )


def _add_options(parser: pytest.Parser) -> None:
    """All under one heading. ``dest`` is named each time, since pytest looks for one that is not everywhere."""
    group = parser.getgroup("deploygate", "deployment gating (pytest-deploygate)")
    _add_what_to_do(group)
    _add_what_people_say(group)
    _add_how_to_go_about_it(group)


def _add_what_to_do(group: pytest.OptionGroup) -> None:
    group.addoption(
        "--deploy-to",
        dest="deploy_to",
        metavar="ENV",
        help="run the gates, stage the new version beside the old one, judge it, and promote it or go back",
    )
    group.addoption(
        "--deploy-detach",
        dest="deploy_detach",
        action="store_true",
        help="with --deploy-to: leave the rollout at the first step that must wait; exit status 12, never 0",
    )
    group.addoption(
        "--deploy-resume",
        dest="deploy_resume",
        metavar="ENV",
        action=_Resume,
        help="carry the rollout that waits at a step of ENV on; exit status 12 while steps go on, else that of its end",
    )
    group.addoption(
        "--deploy-plan",
        dest="deploy_plan",
        action="store_true",
        help="with --deploy-to: run the readiness gates, print what would be done, change nothing",
    )
    group.addoption(
        "--deploy-endpoint",
        dest="deploy_endpoint",
        metavar="local",
        choices=("local",),
        help="rehearse: use ENV's whole configuration against the emulator",
    )
    group.addoption(
        "--deploy-env",
        dest="deploy_env",
        metavar="ENV",
        help="judge what serves in ENV; never acts, except with -m rollback-checks",
    )
    group.addoption(
        "--deploy-report-only",
        dest="deploy_report_only",
        action="store_true",
        help="with -m rollback-checks: judge and report, never roll back",
    )


class _Resume(argparse.Action):
    """``--deploy-resume=ENV`` is a deployment to ENV as well."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: object,
        option_string: str | None = None,
    ) -> None:
        """Note both; the judge refuses two environments."""
        del parser, option_string
        namespace.deploy_to = namespace.deploy_resume = values


def _add_what_people_say(group: pytest.OptionGroup) -> None:
    group.addoption(
        "--deploy-reason",
        dest="deploy_reason",
        metavar="TEXT",
        help="why: needed where less is asked than at the last promotion, or for a release that was rolled back before",
    )
    group.addoption(
        "--deploy-approval",
        dest="deploy_approval",
        metavar="DIGEST",
        help="approve the plan with this digest, where the environment asks for an approval",
    )
    group.addoption(
        "--deploy-override",
        dest="deploy_override",
        metavar="GATE:REASON",
        action="append",
        default=[],
        help="emergency: promote although GATE did not pass; recorded and printed; may be given again",
    )
    group.addoption(
        "--deploy-steps",
        dest="deploy_steps",
        metavar="none",
        choices=("none",),
        help="emergency: go to 100 percent at once, without judging steps; needs --deploy-reason and is recorded",
    )


def _add_how_to_go_about_it(group: pytest.OptionGroup) -> None:
    group.addoption(
        "--deploy-wait",
        dest="deploy_wait",
        metavar="SECONDS",
        type=float,
        default=0,
        help="wait so long for somebody else's rollout to end (default: 0)",
    )
    group.addoption(
        "--deploy-report",
        dest="deploy_report",
        metavar="FILE",
        help="write a page on the rollout to look at: HTML, self-contained",
    )
    group.addoption(
        "--deploy-no-watchdog",
        dest="deploy_no_watchdog",
        action="store_true",
        help="do not start the process that restores the baseline when pytest dies",
    )
