"""What the options of a session ask for."""

from dataclasses import dataclass

import pytest

from pytest_deploygate import ROLLBACK_CHECKS
from pytest_deploygate.core.errors import ConfigError
from pytest_deploygate.state_keys import Mode


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
