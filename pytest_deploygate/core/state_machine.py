"""The rollout as one table: from a state and an event to the next state and its effect.

A state whose name ends in ``ING`` has an effect in flight. A final state says which revision serves: PROMOTED the
candidate, ROLLED_BACK and REFUSED the baseline. STRANDED means that this is unknown and an operator must look.
"""

from collections.abc import Mapping
from enum import Enum, unique
from typing import Final, NamedTuple, TypeAlias

from pytest_deploygate.core.errors import IllegalTransition
from pytest_deploygate.core.identifiers import Phase


@unique
class State(Enum):
    """State of a rollout."""

    OPEN = "OPEN"
    """Lease held, readiness gates are being judged; the target has not been touched."""
    STAGING = "STAGING"
    STAGED = "STAGED"
    """The candidate runs without traffic; its gates are being judged."""
    PROMOTING = "PROMOTING"
    STEPPING = "STEPPING"
    """The candidate has part of the traffic and is compared with the baseline."""
    SERVING = "SERVING"
    """The candidate has the traffic; the live gates are being judged."""
    FINALISING = "FINALISING"
    """The candidate was judged good and serves; its tags and labels are being set."""
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
    """The release already serves, and all gates held."""
    NOT_READY = "not_ready"
    SERVING_BAD = "serving_bad"
    """The serving revision was judged bad, or an operator asked for a rollback."""
    STAGED = "staged"
    CANDIDATE_HELD = "candidate_held"
    STEP_SHIFTED = "step_shifted"
    """The candidate has the traffic of a step that is judged."""
    STEP_HELD = "step_held"
    """The candidate may get more traffic."""
    SHIFTED = "shifted"
    LIVE_HELD = "live_held"
    FINALISED = "finalised"
    BROKE = "broke"
    """A gate did not hold, an effect failed, traffic drifted, the session was interrupted, or the process died."""
    RESTORED = "restored"
    NOT_RESTORED = "not_restored"


@unique
class Judged(Enum):
    """Judgements besides those of phases."""

    STEP = "step"
    """The candidate against the baseline, at part of the traffic."""


Permit: TypeAlias = Phase | Judged
NEEDED_FOR: Final[Mapping[Event, Permit]] = {
    Event.READY: Phase.READINESS,
    Event.CANDIDATE_HELD: Phase.CANDIDATE,
    Event.STEP_HELD: Judged.STEP,
    Event.LIVE_HELD: Phase.LIVE,
    Event.UNCHANGED: Phase.LIVE,
}
"""The events that lead towards a promotion, with the phase that must be judged to hold before each (ADR 8)."""


@unique
class Effect(Enum):
    """What the engine must do next."""

    NONE = "none"
    STAGE = "stage"
    SHIFT = "shift"
    FINALISE = "finalise"
    RESTORE = "restore"
    RECORD = "record"


class Step(NamedTuple):
    """One row: the new state and its effect."""

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
    (State.PROMOTING, Event.STEP_SHIFTED): Step(State.STEPPING, Effect.NONE),
    (State.STEPPING, Event.STEP_HELD): Step(State.PROMOTING, Effect.SHIFT),
    (State.STEPPING, Event.BROKE): Step(State.ROLLING_BACK, Effect.RESTORE),
    (State.PROMOTING, Event.BROKE): Step(State.ROLLING_BACK, Effect.RESTORE),
    (State.SERVING, Event.LIVE_HELD): Step(State.FINALISING, Effect.FINALISE),
    (State.SERVING, Event.BROKE): Step(State.ROLLING_BACK, Effect.RESTORE),
    (State.FINALISING, Event.FINALISED): Step(State.PROMOTED, Effect.RECORD),
    # The candidate was judged good and serves: a failed clean-up does not undo that, the next rollout repeats it.
    (State.FINALISING, Event.BROKE): Step(State.PROMOTED, Effect.RECORD),
    (State.ROLLING_BACK, Event.BROKE): Step(State.ROLLING_BACK, Effect.RESTORE),
    (State.ROLLING_BACK, Event.RESTORED): Step(State.ROLLED_BACK, Effect.RECORD),
    (State.ROLLING_BACK, Event.NOT_RESTORED): Step(State.STRANDED, Effect.RECORD),
    # A later recovery ends a stranded rollout; it observes the platform first (ADR 7).
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
            f"a rollout in state {state.value} cannot take the event {event.value}"
        ) from None


def rows() -> tuple[tuple[State, Event, Step], ...]:
    """All rows, for tests and documentation."""
    return tuple((state, event, step) for (state, event), step in _TABLE.items())
