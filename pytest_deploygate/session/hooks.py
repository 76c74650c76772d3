"""Hook functions of a session that the plugin has a part in: translate, delegate, report; no decision."""

from typing import TYPE_CHECKING

import pytest

from pytest_deploygate import ROLLBACK_CHECKS

if TYPE_CHECKING:
    from pytest_deploygate.handover import Role

ROLE: pytest.StashKey["Role"] = pytest.StashKey()


def begin(early_config: pytest.Config, role: "Role | None") -> None:
    """What has to be done before any conftest file is loaded.

    The channel to the judge is opened, and what is seen from here on is seen before any hook of the project.
    """
    if role is None:
        return
    import gc

    from pytest_deploygate.channel.client import JudgeLink
    from pytest_deploygate.collection.outcome_audit import PLUGIN, OutcomeAuditor
    from pytest_deploygate.state_keys import AUDITOR, LINK

    early_config.stash[ROLE] = role
    link = early_config.stash[LINK] = JudgeLink(role.address)
    auditor = early_config.stash[AUDITOR] = OutcomeAuditor(link, early_config.pluginmanager)
    early_config.pluginmanager.register(auditor, PLUGIN)
    gc.freeze()  # what is loaded up to here stays: no collection of garbage needs to look at it again
    # at the end it goes: what is frozen keeps whatever it knows of, and a file that a plugin left open is never written
    early_config.add_cleanup(gc.unfreeze)


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Register what this session needs, before anything else is configured."""
    config.addinivalue_line(
        "markers",
        f"{ROLLBACK_CHECKS}: judges what serves; applied to the checks of live gates by itself",
    )
    config.addinivalue_line(
        "markers",
        "known_defect(until, reason): the check is known to fail until that day; it is listed, and is no pass",
    )
    from pytest_deploygate.session.activation import activate

    activate(config, config.stash.get(ROLE, None))
