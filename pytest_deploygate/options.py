"""Command line options, all under one heading of ``pytest --help``, and what they ask for."""

from dataclasses import dataclass

import pytest

from pytest_deploygate.core.errors import ConfigError
from pytest_deploygate.stash import ROLLBACK_CHECKS, Mode


@dataclass(frozen=True, slots=True, kw_only=True)
class DeployOptions:
    """Options of one session. ``environment`` is empty where the default is meant."""

    mode: Mode
    environment: str = ""
    wait_s: float = 0
    reason: str = ""
    overrides: tuple[tuple[str, str], ...] = ()
    endpoint: str = ""
    approval: str = ""
    watchdog: bool = True
    report_only: bool = False


def add_options(parser: pytest.Parser) -> None:
    """Declare the options."""
    group = parser.getgroup("deploygate", "deployment gating (pytest-deploygate)")
    group.addoption(
        "--deploy-to",
        metavar="ENV",
        help="run the gates, stage the new version beside the old one, judge it, and promote it or go back",
    )
    group.addoption(
        "--deploy-env",
        metavar="ENV",
        help="judge what serves in ENV; never acts, except with -m rollback-checks",
    )
    group.addoption(
        "--deploy-plan",
        action="store_true",
        help="with --deploy-to: run the readiness gates, print what would be done, change nothing",
    )
    group.addoption(
        "--deploy-wait",
        metavar="SECONDS",
        type=float,
        default=0,
        help="wait so long for somebody else's rollout to end (default: 0)",
    )
    group.addoption(
        "--deploy-reason",
        metavar="TEXT",
        default="",
        help="why: needed for fewer checks than at the last promotion, or a release that was rolled back before",
    )
    group.addoption(
        "--deploy-override",
        metavar="GATE:REASON",
        action="append",
        default=[],
        help="emergency: promote although GATE did not pass; recorded and printed; may be given again",
    )
    group.addoption(
        "--deploy-endpoint",
        metavar="local",
        choices=("", "local"),
        default="",
        help="rehearse: use ENV's whole configuration against the local cloud",
    )
    group.addoption(
        "--deploy-approval",
        metavar="DIGEST",
        default="",
        help="approve the plan with this digest, where the environment asks for an approval",
    )
    group.addoption(
        "--deploy-report-only",
        action="store_true",
        help="with -m rollback-checks: judge and report, never roll back",
    )
    group.addoption(
        "--deploy-no-watchdog",
        action="store_true",
        help="do not start the process that restores the baseline when pytest dies",
    )


def read_options(config: pytest.Config, *, is_configured: bool) -> DeployOptions:
    """What the options ask for.

    Raises:
        ConfigError: options that contradict each other.
    """
    to, env = config.getoption("--deploy-to"), config.getoption("--deploy-env")
    is_plan = bool(config.getoption("--deploy-plan"))
    asks_checks = config.getoption("markexpr", "") == ROLLBACK_CHECKS
    if to and env:
        raise ConfigError("--deploy-to and --deploy-env exclude each other")
    if is_plan and not to:
        raise ConfigError("--deploy-plan needs --deploy-to=ENV")
    if to:
        mode = Mode.PLAN if is_plan else Mode.DEPLOY
    elif asks_checks and (env or is_configured):
        mode = Mode.ROLLBACK_CHECKS
    elif env:
        mode = Mode.JUDGE
    else:
        mode = Mode.PASSIVE if is_configured else Mode.OFF
    return DeployOptions(
        mode=mode,
        environment=to or env or "",
        wait_s=config.getoption("--deploy-wait"),
        reason=config.getoption("--deploy-reason"),
        overrides=tuple(_override(text) for text in config.getoption("--deploy-override")),
        endpoint=config.getoption("--deploy-endpoint"),
        approval=config.getoption("--deploy-approval"),
        report_only=bool(config.getoption("--deploy-report-only")),
        watchdog=not config.getoption("--deploy-no-watchdog"),
    )


def _override(text: str) -> tuple[str, str]:
    gate, colon, reason = text.partition(":")
    if not colon or not gate.strip() or not reason.strip():
        raise ConfigError(f"--deploy-override={text}: needs the form GATE:REASON")
    return gate.strip(), reason.strip()
