"""The rollout as one table: from a state and an event to the next state and the effect that it asks for.

A state whose name ends in ``ING`` has an effect in flight. Final states say who serves: PROMOTED the candidate,
ROLLED_BACK and REFUSED the baseline, STRANDED nobody can tell and a person must look.
"""

from collections.abc import Mapping
from enum import Enum, unique
from typing import Final, NamedTuple

from pytest_deploygate.core.errors import IllegalTransition
from pytest_deploygate.core.identifiers import Phase


@unique
class State(Enum):
    """Where a rollout stands."""

    OPEN = "OPEN"
    """Lease held, readiness gates are being judged; the target has not been touched."""
    STAGING = "STAGING"
    STAGED = "STAGED"
    """The candidate is up without traffic; its gates are being judged."""
    PROMOTING = "PROMOTING"
    SERVING = "SERVING"
    """The candidate has the traffic; the live gates are being judged."""
    FINALISING = "FINALISING"
    """Judged good: tags and labels are being put in order. The candidate serves."""
    ROLLING_BACK = "ROLLING_BACK"
    PROMOTED = "PROMOTED"
    ROLLED_BACK = "ROLLED_BACK"
    REFUSED = "REFUSED"
    STRANDED = "STRANDED"

    @property
    def is_final(self) -> bool:
        """Whether nothing more happens in this rollout."""
        return self in _FINAL


_FINAL = frozenset({State.PROMOTED, State.ROLLED_BACK, State.REFUSED, State.STRANDED})


@unique
class Event(Enum):
    """What happened."""

    READY = "ready"
    """The readiness gates held."""
    UNCHANGED = "unchanged"
    """What would be staged already serves, and all gates held."""
    NOT_READY = "not_ready"
    SERVING_BAD = "serving_bad"
    """What serves was judged bad, or a person wants the revision before back."""
    STAGED = "staged"
    CANDIDATE_HELD = "candidate_held"
    SHIFTED = "shifted"
    LIVE_HELD = "live_held"
    FINALISED = "finalised"
    BROKE = "broke"
    """Gates broke, an effect failed, somebody interfered, the session was interrupted, or the process was lost."""
    RESTORED = "restored"
    NOT_RESTORED = "not_restored"


NEEDED_FOR: Final[Mapping[Event, Phase]] = {
    Event.READY: Phase.READINESS,
    Event.CANDIDATE_HELD: Phase.CANDIDATE,
    Event.LIVE_HELD: Phase.LIVE,
    Event.UNCHANGED: Phase.LIVE,
}
"""The events that lead towards a promotion, and the phase that must have been judged to hold before each."""


@unique
class Effect(Enum):
    """What must be done next."""

    NONE = "none"
    STAGE = "stage"
    SHIFT = "shift"
    FINALISE = "finalise"
    RESTORE = "restore"
    RECORD = "record"


class Step(NamedTuple):
    """One row taken: the state entered and the effect that it asks for."""

    state: State
    effect: Effect


_TABLE: dict[tuple[State, Event], Step] = {
    (State.OPEN, Event.READY): Step(State.STAGING, Effect.STAGE),
    (State.OPEN, Event.UNCHANGED): Step(State.PROMOTED, Effect.RECORD),
    (State.OPEN, Event.NOT_READY): Step(State.REFUSED, Effect.RECORD),
    (State.OPEN, Event.BROKE): Step(State.REFUSED, Effect.RECORD),
    (State.OPEN, Event.SERVING_BAD): Step(State.ROLLING_BACK, Effect.RESTORE),
    (State.STAGING, Event.STAGED): Step(State.STAGED, Effect.NONE),
    (State.STAGING, Event.BROKE): Step(State.ROLLING_BACK, Effect.RESTORE),
    (State.STAGED, Event.CANDIDATE_HELD): Step(State.PROMOTING, Effect.SHIFT),
    (State.STAGED, Event.BROKE): Step(State.ROLLING_BACK, Effect.RESTORE),
    (State.PROMOTING, Event.SHIFTED): Step(State.SERVING, Effect.NONE),
    (State.PROMOTING, Event.BROKE): Step(State.ROLLING_BACK, Effect.RESTORE),
    (State.SERVING, Event.LIVE_HELD): Step(State.FINALISING, Effect.FINALISE),
    (State.SERVING, Event.BROKE): Step(State.ROLLING_BACK, Effect.RESTORE),
    (State.FINALISING, Event.FINALISED): Step(State.PROMOTED, Effect.RECORD),
    # Judged good and serving: whatever breaks the tidying up, a later tidying up repeats it.
    (State.FINALISING, Event.BROKE): Step(State.PROMOTED, Effect.RECORD),
    (State.ROLLING_BACK, Event.BROKE): Step(State.ROLLING_BACK, Effect.RESTORE),
    (State.ROLLING_BACK, Event.RESTORED): Step(State.ROLLED_BACK, Effect.RECORD),
    (State.ROLLING_BACK, Event.NOT_RESTORED): Step(State.STRANDED, Effect.RECORD),
    # A stranded rollout is ended by a later recovery, which observes first.
    (State.STRANDED, Event.BROKE): Step(State.ROLLING_BACK, Effect.RESTORE),
}


def advance(state: State, event: Event) -> Step:
    """The row of the table for ``state`` and ``event``.

    Raises:
        IllegalTransition: there is no such row.
    """
    try:
        return _TABLE[state, event]
    except KeyError:
        raise IllegalTransition(
            f"a rollout that is {state.value} cannot take the event {event.value}"
        ) from None


def rows() -> tuple[tuple[State, Event, Step], ...]:
    """All rows, for tests and documentation."""
    return tuple((state, event, step) for (state, event), step in _TABLE.items())
