"""The rollout table: every row, every missing row, and what holds for the table as a whole."""

import pytest

from pytest_deploygate.core.errors import IllegalTransition
from pytest_deploygate.core.state_machine import Effect, Event, State, Step, advance, rows

TABLE = [
    ("OPEN", "ready", "STAGING", "stage"),
    ("OPEN", "unchanged", "PROMOTED", "record"),
    ("OPEN", "not_ready", "REFUSED", "record"),
    ("OPEN", "broke", "REFUSED", "record"),
    ("OPEN", "serving_bad", "ROLLING_BACK", "restore"),
    ("STAGING", "staged", "STAGED", "none"),
    ("STAGING", "broke", "ROLLING_BACK", "restore"),
    ("STAGED", "candidate_held", "PROMOTING", "shift"),
    ("STAGED", "broke", "ROLLING_BACK", "restore"),
    ("PROMOTING", "shifted", "SERVING", "none"),
    ("PROMOTING", "step_shifted", "STEPPING", "none"),
    ("STEPPING", "step_held", "PROMOTING", "shift"),
    ("STEPPING", "broke", "ROLLING_BACK", "restore"),
    ("PROMOTING", "broke", "ROLLING_BACK", "restore"),
    ("SERVING", "live_held", "FINALISING", "finalise"),
    ("SERVING", "broke", "ROLLING_BACK", "restore"),
    ("FINALISING", "finalised", "PROMOTED", "record"),
    ("FINALISING", "broke", "PROMOTED", "record"),
    ("ROLLING_BACK", "broke", "ROLLING_BACK", "restore"),
    ("ROLLING_BACK", "restored", "ROLLED_BACK", "record"),
    ("ROLLING_BACK", "not_restored", "STRANDED", "record"),
    ("STRANDED", "broke", "ROLLING_BACK", "restore"),
]
FINAL = {State.PROMOTED, State.ROLLED_BACK, State.REFUSED, State.STRANDED}
MISSING = [
    (state, event)
    for state in State
    for event in Event
    if (state.value, event.value) not in {(s, e) for s, e, _, _ in TABLE}
]


@pytest.mark.parametrize(("state", "event", "entered", "effect"), TABLE)
def test_row(state: str, event: str, entered: str, effect: str) -> None:
    step = advance(State(state), Event(event))
    assert step == Step(State(entered), Effect(effect))


@pytest.mark.parametrize(("state", "event"), MISSING)
def test_missing_row_is_a_bug_that_names_itself(state: State, event: Event) -> None:
    with pytest.raises(IllegalTransition) as caught:
        advance(state, event)
    assert str(caught.value) == (
        f"a rollout in state {state.value} cannot take the event {event.value}"
    )
    assert caught.value.__suppress_context__


def test_rows_are_exactly_those_of_the_table() -> None:
    found = {(s.value, e.value, step.state.value, step.effect.value) for s, e, step in rows()}
    assert found == set(TABLE)
    assert len(rows()) == len(TABLE)


@pytest.mark.parametrize("state", list(State))
def test_final_states_are_those_that_say_who_serves(state: State) -> None:
    assert state.is_final == (state in FINAL)


def test_every_open_state_has_an_exit_when_anything_breaks() -> None:
    for state in set(State) - FINAL:
        advance(state, Event.BROKE)


def test_only_two_rows_promote_without_a_return_and_both_were_judged() -> None:
    promoting = {(s, e) for s, e, step in rows() if step.state is State.PROMOTED}
    assert promoting == {
        (State.OPEN, Event.UNCHANGED),
        (State.FINALISING, Event.FINALISED),
        (State.FINALISING, Event.BROKE),
    }
    into_finalising = {(s, e) for s, e, step in rows() if step.state is State.FINALISING}
    assert into_finalising == {(State.SERVING, Event.LIVE_HELD)}
