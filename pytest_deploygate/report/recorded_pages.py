"""Pages on what a record holds."""

from collections.abc import Callable

from pytest_deploygate.core.errors import JournalDamaged
from pytest_deploygate.core.identifiers import EnvironmentName
from pytest_deploygate.core.policy import Policy
from pytest_deploygate.core.record import JournalEntry, RolloutRecord
from pytest_deploygate.core.state_machine import State
from pytest_deploygate.ports import Store
from pytest_deploygate.report.history_page import history_page
from pytest_deploygate.report.rendering import render_history, render_rollout
from pytest_deploygate.report.rollout_page import rollout_page

HISTORY = 500
"""How many rollouts a page looks back on."""


def rollout_html(
    store: Store, record: RolloutRecord, policy: Policy, clean: Callable[[str], str]
) -> str:
    """The page on one rollout."""
    journal: tuple[JournalEntry, ...] = ()
    problem = ""
    try:
        journal = store.journal(record.rollout_id)
    except JournalDamaged as error:
        problem = error.message
    earlier = (
        r for r in store.history(record.environment, HISTORY) if r.began_at < record.began_at
    )
    page = rollout_page(
        record,
        policy=policy,
        journal=journal,
        journal_problem=problem,
        promotions=[r for r in earlier if r.state is State.PROMOTED],
    )
    return render_rollout(page, clean)


def history_html(store: Store, environment: EnvironmentName, clean: Callable[[str], str]) -> str:
    """The page on the history of ``environment``."""
    return render_history(history_page(environment, store.history(environment, HISTORY)), clean)
