"""The ledger answers from its indexes, so its speed does not depend on the number of rollouts."""

from collections.abc import Callable
from pathlib import Path

import pytest

from pytest_deploygate.core.identifiers import EnvironmentName, RevisionName, RolloutId
from pytest_deploygate.store import SqlStore, open_store
from pytest_deploygate.store.schema import INDEXES
from tests.fakes import FakeClock

PROD = EnvironmentName("production")

QUESTIONS: dict[str, Callable[[SqlStore], object]] = {
    "history": lambda store: store.history(PROD, 20),
    "history of all": lambda store: store.history(None, 20),
    "rollout": lambda store: store.rollout(RolloutId("one")),
    "open rollouts": lambda store: store.open_rollouts(PROD),
    "last promoted": lambda store: store.last_promoted(PROD),
    "promotion": lambda store: store.promotion_of(PROD, RevisionName("svc-00001")),
    "known good": lambda store: store.is_known_good(PROD, RevisionName("svc-00001")),
    "known bad": lambda store: store.is_known_bad(PROD, "d" * 64),
    "backups": lambda store: store.backups(PROD),
    "lease events": lambda store: store.lease_events(PROD, 20),
}


def plan_of(store: SqlStore, question: Callable[[SqlStore], object]) -> list[str]:
    """SQLite's query plan for the statement of a query."""
    with store._database.open_connection() as connection:
        asked: list[str] = []
        connection.raw.set_trace_callback(asked.append)  # type: ignore[attr-defined] # it is SQLite's
    question(store)  # uses the same connection
    with store._database.open_connection() as connection:
        connection.raw.set_trace_callback(None)  # type: ignore[attr-defined] # as above
        return [
            str(step["detail"])
            for statement in asked
            for step in connection.rows(f"EXPLAIN QUERY PLAN {statement}")
        ]


def make_indexes_again(store: SqlStore, *, backwards: bool) -> None:
    """Create the indexes in another order, which SQLite uses to break ties."""
    with store._database.open_transaction() as connection:
        for name in INDEXES:
            connection.run(f"DROP INDEX {name}")
        for name in sorted(INDEXES, reverse=backwards):
            connection.run(f"CREATE INDEX {name} ON {INDEXES[name]}")


@pytest.mark.parametrize("backwards", [False, True], ids=["forwards", "backwards"])
@pytest.mark.parametrize("question", QUESTIONS)
def test_question_is_answered_from_an_index(tmp_path: Path, question: str, backwards: bool) -> None:
    with open_store(f"sqlite:///{tmp_path}/state.db", FakeClock()) as store:
        make_indexes_again(store, backwards=backwards)
        plan = plan_of(store, QUESTIONS[question])
    assert plan
    scans = [step for step in plan if step.startswith("SCAN")]
    # The newest of all are read from the end of the table itself.
    assert scans == (["SCAN deploygate_rollouts"] if question == "history of all" else [])
    if question == "known good":
        assert [step.partition("(")[2] for step in plan] == [
            "environment=? AND candidate=?)",
            "environment=? AND serving=? AND state=?)",
        ]
    if question in ("history", "history of all", "last promoted"):
        assert not [step for step in plan if "TEMP B-TREE" in step]
